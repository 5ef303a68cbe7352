"""Whose record a row is: exact code, organisation code, registered name. Never a guess."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Final

import polars as pl

from models.codes import citizen, organisation, regions, registration, uscc
from models.records.contract import Contract
from training.sources.convert import PROBLEMS
from training.sources.read import LINE

METHOD: Final = "__method__"
"""The column that tells how a subject was found: code, organisation, name, or null."""

_NAMELESS: Final = "自然人"
"""What stands for a natural person's name; the standard wants the field filled."""


def name_key(column: pl.Expr) -> pl.Expr:
    """Return a name as it is compared: half-width, no blanks, no quotes, one kind of bracket."""
    folded = column.str.normalize("NFKC").str.to_uppercase()
    folded = folded.str.replace_all(r"[\s\"'“”‘’·\u200b-\u200f\ufeff]", "")
    folded = folded.str.replace_all(r"[\[【〔{]", "(").str.replace_all(r"[\]】〕}]", ")")
    return pl.when(folded != "").then(folded)  # what is only quotes and blanks names nobody


@dataclass(frozen=True, slots=True)
class Register:
    """Who is registered, by every key a source may give.

    ``codes`` (organisation code, legacy registration number or name → subject) hold ``key``,
    ``subject_id`` and ``count`` of subjects that share the key; ``names`` holds all names of a
    subject, present and former, and ``held`` its organisation code, as ``subject_id``, ``key``.
    """

    organisations: pl.DataFrame
    registrations: pl.DataFrame
    named: pl.DataFrame
    names: pl.DataFrame
    held: pl.DataFrame


def build_register(subjects: pl.LazyFrame | None, changes: pl.LazyFrame | None) -> Register:
    """Return the register of the lake's subjects and their changes (``None``: no such table)."""
    empty = pl.LazyFrame(
        schema={
            "subject_id": pl.String,
            "name": pl.String,
            "organisation_code": pl.String,
            "registration_number": pl.String,
        }
    )
    known = subjects.select(empty.collect_schema().names()) if subjects is not None else empty
    names = [known.select("subject_id", name_key(pl.col("name")).alias("key"))]
    if changes is not None:
        renamed = changes.filter(pl.col("item") == "name")
        names += [
            renamed.select("subject_id", name_key(pl.col(value)).alias("key"))
            for value in ("old_value", "new_value")
        ]
    all_names = pl.concat(names).drop_nulls().unique().collect()
    inside = uscc.organisation_code_expr("subject_id")
    codes = known.select(
        "subject_id",
        pl.coalesce(inside, _organisation(pl.col("organisation_code"))).alias("key"),
    )
    held = codes.drop_nulls().unique().collect()
    return Register(
        organisations=_counted(held.lazy()),
        registrations=_counted(known.select("subject_id", key="registration_number")),
        named=_counted(all_names.lazy()),
        names=all_names,
        held=held,
    )


def _counted(pairs: pl.LazyFrame) -> pl.DataFrame:
    grouped = pairs.drop_nulls().unique().group_by("key")
    return grouped.agg(pl.col("subject_id").min(), count=pl.len()).collect()


@dataclass(frozen=True, slots=True)
class Identified:
    """Rows with ``subject_id`` (null where unknown), ``__method__`` and what stood in the way.

    ``warned`` marks rows found by other means although they carry an invalid code.
    """

    frame: pl.DataFrame
    problems: pl.DataFrame
    warned: pl.Series


def identify(
    frame: pl.DataFrame,
    contract: Contract,
    register: Register,
    *,
    strict: bool,
    person_key: bytes | None,
    today: date,
) -> Identified:
    """Add ``subject_id`` and ``__method__`` to converted rows; ``today`` is the day of the run.

    A key that is not the code finds nobody whom another of the row's keys contradicts: a name that
    is not the subject's, or an organisation code that is another's, refuses the row (V04). Under
    ``strict`` an invalid code refuses it even where a name would match, and so does a name that the
    register does not know for a code.
    """
    coded = frame.with_columns(_codes())
    found = _by_code(coded) if contract.name == "subject" else _look_up(coded, register)
    found = _persons(found, person_key, today)
    invalid = found["_code"].is_not_null() & ~found["_valid"]
    missing = found["subject_id"].is_null()
    person = found["_person"]
    many = missing & (found["_names"] > 1) & ~person & ~found["_denied"]
    refused = {
        "S03": missing & person,
        "S02": many,
        "V02": (invalid & (missing & ~many if not strict else ~missing | ~many)) & ~person,
        "S01": missing & ~many & ~invalid & ~person & ~found["_denied"],
        "V04": found["_denied"] & ~person,
    }
    named = _name_field(contract)
    if strict:
        refused["V04"] |= _other_name(found, register, named)
    problems = [_problem(found, rule, mask, named) for rule, mask in refused.items() if mask.any()]
    frame = found.drop("_code", "_valid", "_names", "_person", "_denied")
    return Identified(
        frame=frame,
        problems=pl.concat(problems) if problems else pl.DataFrame(schema=PROBLEMS),
        warned=invalid & ~missing,
    )


def _codes() -> list[pl.Expr]:
    """Return the code a row offers, in normal form, and whether it is one."""
    code, tax = pl.col("uscc"), uscc.normalise_expr("taxpayer_number")
    tax_code = pl.when(uscc.is_valid_expr(tax)).then(tax)
    best = pl.when(uscc.is_valid_expr(code)).then(code).otherwise(pl.coalesce(tax_code, code))
    return [best.alias("_code"), uscc.is_valid_expr(best).fill_null(value=False).alias("_valid")]


def _by_code(frame: pl.DataFrame) -> pl.DataFrame:
    """Take the code alone: who is registered must have one."""
    valid = pl.when("_valid")
    return frame.with_columns(
        valid.then("_code").alias("subject_id"),
        valid.then(pl.lit("code")).alias(METHOD),
        pl.lit(0, pl.UInt32).alias("_names"),
        _denied=pl.lit(value=False),
    )


def _other_keys() -> list[pl.Expr]:
    """Return what else a row offers: organisation code, legacy number, name.

    ``_orgs`` are all organisation codes in it, the one inside a code with a wrong symbol elsewhere
    included: that one finds nobody, but it can contradict.
    """
    code, tax = pl.col("uscc"), uscc.normalise_expr("taxpayer_number")
    # A tax number of 15 digits is a region and an organisation code; some pad it with 000.
    region = tax.str.head(6)
    placed = regions.is_known_expr(region) | region.str.contains(rf"^{citizen.PROVINCES}")
    old_tax = pl.when(placed).then(tax.str.extract(r"^\d{6}([0-9A-Z]{8}[0-9X])(?:000)?$"))
    offered = [_organisation(column) for column in (pl.col("organisation_code"), code, old_tax)]
    inside = _organisation(code.str.extract(r"^.{8}(.{9}).$"))
    reg = pl.coalesce(
        pl.col("registration_number"), pl.when(code.str.contains(r"^\d{15}$")).then(code)
    )
    return [
        pl.coalesce(*offered).alias("_org"),
        pl.concat_list(*offered, inside).list.drop_nulls().list.unique().alias("_orgs"),
        pl.when(registration.is_valid_expr(reg)).then(reg).alias("_reg"),
        name_key(pl.col("subject_name")).alias("_key"),
    ]


def _name_field(contract: Contract) -> str:
    return "name" if contract.name == "subject" else "subject_name"


def _organisation(column: pl.Expr) -> pl.Expr:
    """Return a valid organisation code without its dash, else null."""
    code = organisation.undash_expr(column.str.to_uppercase())
    return pl.when(organisation.is_valid_expr(code)).then(code)


def _look_up(frame: pl.DataFrame, register: Register) -> pl.DataFrame:
    """Take a valid code; else try each key in turn. Only a key of one subject counts."""
    rest = frame.filter(~pl.col("_valid")).select(LINE, *_other_keys())
    lookups = (
        ("_org", _only(register.organisations, "_by_org")),
        ("_reg", _only(register.registrations, "_by_reg")),
        ("_key", _only(register.named, "_by_name")),
        ("_key", register.named.select("key", _names="count")),
    )
    for key, known in lookups:
        rest = rest.join(known, left_on=key, right_on="key", how="left")
    by_org, by_name = pl.coalesce("_by_org", "_by_reg"), pl.col("_by_name")
    rest = rest.with_columns(
        pl.coalesce(by_org, by_name).alias("_other"),
        pl.when(by_org.is_not_null())
        .then(pl.lit("organisation"))
        .when(by_name.is_not_null())
        .then(pl.lit("name"))
        .alias("_how"),
    )
    rest = rest.with_columns(_denied=pl.col("_other").is_not_null() & _contradicted(rest, register))
    otherwise = rest.select(
        LINE,
        "_names",
        "_denied",
        *(pl.when(~pl.col("_denied")).then(column).alias(column) for column in ("_other", "_how")),
    )
    valid = pl.when("_valid")
    return (
        frame.join(otherwise, on=LINE, how="left", maintain_order="left")
        .with_columns(
            valid.then("_code").otherwise("_other").alias("subject_id"),
            valid.then(pl.lit("code")).otherwise("_how").alias(METHOD),
            pl.col("_names").fill_null(0),
            pl.col("_denied").fill_null(value=False),
        )
        .drop("_other", "_how")
    )


def _contradicted(rest: pl.DataFrame, register: Register) -> pl.Series:
    """Mark rows where ``_other`` bears another name, organisation code or legacy number."""
    names = register.names.select(_other="subject_id", _key="key", _named=pl.lit(value=True))
    held = register.held.select(_other="subject_id", _held="key").unique("_other")
    joined = rest.join(names, on=["_other", "_key"], how="left", maintain_order="left").join(
        held, on="_other", how="left", maintain_order="left"
    )
    misnamed = pl.col("_key").is_not_null() & pl.col("_named").is_null()
    alien = pl.col("_orgs").list.set_difference(pl.concat_list("_held").list.drop_nulls())
    two = pl.col("_by_reg").is_not_null() & (pl.col("_by_reg") != pl.col("_other"))
    return joined.select(
        (misnamed | (alien.list.len() > 0) | two).fill_null(value=False)
    ).to_series()


def _only(keys: pl.DataFrame, alias: str) -> pl.DataFrame:
    return keys.filter(pl.col("count") == 1).select("key", pl.col("subject_id").alias(alias))


def _persons(frame: pl.DataFrame, key: bytes | None, today: date) -> pl.DataFrame:
    """Give natural persons a keyed hash of their citizen id and drop what names them.

    Only a valid citizen id is one person's alone: a passport's number is not unique among
    countries, and placeholders and masked numbers stand for many.
    """
    if "subject_category" not in frame.columns:
        return frame.with_columns(_person=pl.lit(value=False))
    person = (pl.col("subject_category") == "自然人").fill_null(value=False)
    frame = frame.with_columns(person.alias("_person"))
    if not frame["_person"].any():
        return frame
    numbers = frame["citizen_id"].str.replace_all(r"\s", "").str.to_uppercase()
    valid = numbers.to_frame("n").select(citizen.is_valid_expr("n", today=today))["n"]
    ids = [
        person_id(number, key) if key and fits else None
        for number, fits in zip(numbers, valid, strict=True)
    ]
    known = pl.Series(ids, dtype=pl.String)
    by_code = pl.when(known.is_not_null()).then(pl.lit("code"))
    return frame.with_columns(
        pl.when("_person").then(known).otherwise("subject_id").alias("subject_id"),
        pl.when("_person").then(by_code).otherwise(METHOD).alias(METHOD),
        pl.when(pl.col("_person") & pl.col("subject_name").is_not_null())
        .then(pl.lit(_NAMELESS))
        .otherwise("subject_name")
        .alias("subject_name"),
    )


def person_id(number: str, key: bytes) -> str:
    """Return the keyed hash (HMAC-SHA-256, 128 bits) by which a natural person is known."""
    return "P_" + hmac.new(key, number.strip().upper().encode(), sha256).hexdigest()[:32]


def _other_name(frame: pl.DataFrame, register: Register, named: str) -> pl.Series:
    """Mark rows whose code is registered, but under other names only (V04)."""
    registered = (
        register.names.select("subject_id").unique().with_columns(_registered=pl.lit(value=True))
    )
    pairs = register.names.select("subject_id", _key="key").with_columns(_same=pl.lit(value=True))
    joined = (
        frame.select("subject_id", name_key(pl.col(named)).alias("_key"))
        .join(registered, on="subject_id", how="left", maintain_order="left")
        .join(pairs, on=["subject_id", "_key"], how="left", maintain_order="left")
    )
    return joined.select(
        pl.col("_registered").fill_null(value=False)
        & pl.col("_same").is_null()
        & pl.col("_key").is_not_null()
    ).to_series()


def _problem(frame: pl.DataFrame, rule: str, mask: pl.Series, named: str) -> pl.DataFrame:
    column, value = {
        "V02": ("uscc", pl.col("_code")),
        "S03": ("citizen_id", pl.lit(None, pl.String)),
    }.get(rule, (named, pl.col(named)))
    return frame.filter(mask).select(LINE, rule=pl.lit(rule), column=pl.lit(column), value=value)
