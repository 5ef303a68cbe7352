"""行政许可 and 行政处罚: the two kinds of decision that are published (双公示).

Columns follow the reporting standard of 2018 (28 licence and 30 penalty fields; revised 2021).
``PublishedLicence`` and ``PublishedPenalty`` add what the standard demands of a reported row; the
plain schemas accept the many public tables that carry only some of its columns.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import dataframely as dy
import polars as pl

from models.codes import masking, uscc
from models.codes.penalty_kinds import kinds
from models.codes.subjects import PartyCategory
from models.records.amounts import fine_agrees
from models.records.contract import Contract, Countable, Finding, Record, one_of, up_to

LICENCE_KINDS: Final = ("普通", "特许", "认可", "核准", "登记", "其他")
PENALTY_KIND_IDS: Final = tuple(kinds())
FINE, CONFISCATION, SUSPENSION = "03", ("04", "05"), ("06", "08")

LAW_CITED: Final = r"《[^》]+》.*第.+条"
SIMPLE_PROCEDURE: Final = r"简易程序|当场处罚|当场作出|罚简"


_LAST_BIRTHDAY: Final = date(2099, 12, 31)


def _no_id_number(*columns: str) -> pl.Expr:
    return pl.all_horizontal(
        ~masking.has_citizen_id_expr(c, today=_LAST_BIRTHDAY).fill_null(value=False)
        for c in columns
    )


def _category_fits() -> pl.Expr:
    subject = pl.col("subject_id")
    code = pl.when(uscc.is_valid_expr(subject)).then(subject)
    return uscc.category_agrees_expr("subject_category", code)


def _organ() -> pl.Expr:
    code = pl.col("authority_code")
    return uscc.is_valid_expr(code) & code.str.contains("^1[1-9]")


def _represented() -> pl.Expr:
    person = pl.col("subject_category") == PartyCategory.NATURAL_PERSON
    return person | pl.col("legal_representative").is_not_null()


def _ordinary_procedure() -> pl.Expr:
    """Hold when nothing marks the simple procedure, which 双公示 excludes (行政处罚法 51)."""
    marks = [
        pl.col(c).str.contains(SIMPLE_PROCEDURE).fill_null(value=False)
        for c in ("document_number", "remark")
    ]
    marked = pl.any_horizontal(marks) | (pl.col("procedure") == "simple").fill_null(value=False)
    return ~marked


class Licence(Record):
    """An administrative licence (行政许可)."""

    document_number = dy.String(check=up_to(128))
    subject_name = dy.String(nullable=True, check=up_to(200))
    subject_category = dy.String(nullable=True, check=one_of(*PartyCategory))
    legal_representative = dy.String(nullable=True, check=up_to(50))
    document_name = dy.String(nullable=True, check=up_to(200))
    kind = dy.String(nullable=True, check=one_of(*LICENCE_KINDS))
    certificate_name = dy.String(nullable=True, check=up_to(200))
    certificate_number = dy.String(nullable=True, check=up_to(128))
    content = dy.String(nullable=True, check=up_to(4000))
    valid_from = dy.Date(nullable=True)
    valid_to = dy.Date(nullable=True)
    valid = dy.Bool(nullable=True)
    source_authority = dy.String(nullable=True, check=up_to(200))
    source_authority_code = dy.String(nullable=True, check=up_to(18))
    remark = dy.String(nullable=True, check=up_to(4000))

    @dy.rule()
    def V06_valid_to(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when the licence does not end before it begins."""
        return pl.col("valid_to") >= pl.coalesce("valid_from", "happened_on")

    @dy.rule()
    def V09_content(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when no citizen id number stands in a text."""
        return _no_id_number("content", "remark")


class PublishedLicence(Licence):
    """A licence reported for publication: every field the standard requires is there."""

    subject_name = dy.String(check=up_to(200))
    subject_category = dy.String(check=one_of(*PartyCategory))
    document_name = dy.String(check=up_to(200))
    kind = dy.String(check=one_of(*LICENCE_KINDS))
    content = dy.String(check=up_to(4000))
    valid_from = dy.Date()
    valid_to = dy.Date()
    valid = dy.Bool()
    authority = dy.String(check=up_to(200))
    authority_code = dy.String(check=up_to(18))
    source_authority = dy.String(check=up_to(200))
    source_authority_code = dy.String(check=up_to(18))

    @dy.rule()
    def V01_legal_representative(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when an organisation names its legal representative."""
        return _represented()

    @dy.rule()
    def V03_subject_category(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when the category agrees with the code's prefix."""
        return _category_fits()

    @dy.rule()
    def V14_authority_code(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when the authority is an organ or an institution with a valid code."""
        return _organ()


class Penalty(Countable):
    """An administrative penalty (行政处罚); amounts in yuan, kinds by id (§ 处罚类别)."""

    document_number = dy.String(check=up_to(128))
    subject_name = dy.String(nullable=True, check=up_to(200))
    subject_category = dy.String(nullable=True, check=one_of(*PartyCategory))
    legal_representative = dy.String(nullable=True, check=up_to(50))
    violation_type = dy.String(nullable=True)
    violation_fact = dy.String(nullable=True)
    legal_basis = dy.String(nullable=True)
    penalty_kinds = dy.List(dy.String(check=one_of(*PENALTY_KIND_IDS)), nullable=True)
    penalty_content = dy.String(nullable=True)
    fine_amount = dy.Float64(nullable=True, min=0)
    confiscated_amount = dy.Float64(nullable=True, min=0)
    revoked_certificate = dy.String(nullable=True, check=up_to(200))
    valid_to = dy.Date(nullable=True)
    publish_until = dy.Date(nullable=True)
    procedure = dy.String(nullable=True, check=one_of("ordinary", "simple"))
    source_authority = dy.String(nullable=True, check=up_to(200))
    source_authority_code = dy.String(nullable=True, check=up_to(18))
    remark = dy.String(nullable=True)

    @dy.rule()
    def V06_valid_to(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when the penalty's effect does not end before the decision."""
        return pl.col("valid_to") >= pl.col("happened_on")

    @dy.rule()
    def V06_publish_until(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when publication does not end before the decision."""
        return pl.col("publish_until") >= pl.col("happened_on")

    @dy.rule()
    def V09_violation_fact(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when no citizen id number stands in a text."""
        return _no_id_number("violation_fact", "penalty_content", "remark")


class PublishedPenalty(Penalty):
    """A penalty reported for publication: every field the standard requires is there."""

    subject_name = dy.String(check=up_to(200))
    subject_category = dy.String(check=one_of(*PartyCategory))
    violation_type = dy.String()
    violation_fact = dy.String()
    legal_basis = dy.String()
    penalty_kinds = dy.List(dy.String(check=one_of(*PENALTY_KIND_IDS)), min_length=1)
    penalty_content = dy.String()
    valid_to = dy.Date()
    publish_until = dy.Date()
    authority = dy.String(check=up_to(200))
    authority_code = dy.String(check=up_to(18))
    source_authority = dy.String(check=up_to(200))
    source_authority_code = dy.String(check=up_to(18))

    @dy.rule()
    def V01_legal_representative(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when an organisation names its legal representative."""
        return _represented()

    @dy.rule()
    def V03_subject_category(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when the category agrees with the code's prefix."""
        return _category_fits()

    @dy.rule()
    def V07_fine_amount(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when a fine has an amount, and an amount a fine."""
        fined = pl.col("penalty_kinds").list.contains(FINE)
        return fined == pl.col("fine_amount").is_not_null()

    @dy.rule()
    def V07_confiscated_amount(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when a confiscation has an amount, and an amount a confiscation."""
        kinds = pl.col("penalty_kinds")
        confiscated = pl.any_horizontal(kinds.list.contains(k) for k in CONFISCATION)
        return confiscated == pl.col("confiscated_amount").is_not_null()

    @dy.rule()
    def V07_revoked_certificate(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when a suspended or revoked certificate is named."""
        kinds = pl.col("penalty_kinds")
        revoked = pl.any_horizontal(kinds.list.contains(k) for k in SUSPENSION)
        return ~revoked | pl.col("revoked_certificate").is_not_null()

    @dy.rule()
    def V14_authority_code(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when the authority is an organ or an institution with a valid code."""
        return _organ()


LICENCE = Contract(
    name="licence",
    title="行政许可",
    schema=Licence,
    strict=PublishedLicence,
    key=("authority_code|authority", "document_number", "subject_id"),
    categories=("kind", "valid"),
    texts=("content",),
    personal=frozenset({"legal_representative"}),
)
PENALTY = Contract(
    name="penalty",
    title="行政处罚",
    schema=Penalty,
    strict=PublishedPenalty,
    key=("authority_code|authority", "document_number", "subject_id"),
    warnings=(
        Finding("V08", "fine_amount", lambda: fine_agrees("fine_amount", "penalty_content")),
        Finding("V11", "legal_basis", lambda: pl.col("legal_basis").str.contains(LAW_CITED)),
        Finding("V12", "procedure", _ordinary_procedure),
    ),
    measures=("fine_amount", "confiscated_amount"),
    categories=("penalty_kinds", "severity", "procedure", "violation_type"),
    texts=("violation_type", "violation_fact", "penalty_content", "legal_basis"),
    outcome=frozenset({"corrected"}),
    personal=frozenset({"legal_representative", "violation_fact"}),
)
