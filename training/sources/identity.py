"""Whose record a row is: exact code, organisation code, registered name. Never a guess."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import polars as pl
from xxhash import xxh3_128_hexdigest

from models.codes import organisation, registration, uscc
from models.records.contract import Contract
from training.sources.convert import PROBLEMS
from training.sources.read import LINE

METHOD: Final = "__method__"
"""The column that tells how a subject was found: code, organisation, name, or null."""

_NAMELESS: Final = "自然人"
"""What stands for a natural person's name; the standard wants the field filled."""

_WHOLE_NUMBER: Final = r"^[0-9A-Z()（）-]{6,}$"
"""An id number with nothing masked: 2101**********1234 stands for many persons."""


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
    subject, present and former, as ``subject_id``, ``key``.
    """

    organisations: pl.DataFrame
    registrations: pl.DataFrame
    named: pl.DataFrame
    names: pl.DataFrame


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
    return Register(
        organisations=_counted(codes),
        registrations=_counted(known.select("subject_id", key="registration_number")),
        named=_counted(all_names.lazy()),
        names=all_names,
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
) -> Identified:
    """Add ``subject_id`` and ``__method__`` to converted rows.

    Under ``strict`` an invalid code refuses the row even where a name would match, and a name that
    the register does not know for a code refuses it too (V04).
    """
    coded = frame.with_columns(_codes())
    found = _by_code(coded) if contract.name == "subject" else _look_up(coded, register)
    found = _persons(found, person_key)
    invalid = found["_code"].is_not_null() & ~found["_valid"]
    missing = found["subject_id"].is_null()
    person = found["_person"]
    many = missing & (found["_names"] > 1) & ~person
    refused = {
        "S03": missing & person,
        "S02": many,
        "V02": (invalid & (missing & ~many if not strict else ~missing | ~many)) & ~person,
        "S01": missing & ~many & ~invalid & ~person,
    }
    named = _name_field(contract)
    if strict:
        refused["V04"] = _other_name(found, register, named)
    problems = [_problem(found, rule, mask, named) for rule, mask in refused.items() if mask.any()]
    frame = found.drop("_code", "_valid", "_names", "_person")
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
    )


def _other_keys() -> list[pl.Expr]:
    """Return what else a row offers: organisation code, legacy number, name."""
    code, tax = pl.col("uscc"), uscc.normalise_expr("taxpayer_number")
    # A tax number of 15 digits is a region and an organisation code; some pad it with 000.
    old_tax = tax.str.extract(r"^\d{6}([0-9A-Z]{8}[0-9X])(?:000)?$")
    offered = (_organisation(column) for column in (pl.col("organisation_code"), code, old_tax))
    reg = pl.coalesce(
        pl.col("registration_number"), pl.when(code.str.contains(r"^\d{15}$")).then(code)
    )
    return [
        pl.coalesce(*offered).alias("_org"),
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
    otherwise = rest.select(
        LINE,
        "_names",
        pl.coalesce(by_org, by_name).alias("_other"),
        pl.when(by_org.is_not_null())
        .then(pl.lit("organisation"))
        .when(by_name.is_not_null())
        .then(pl.lit("name"))
        .alias("_how"),
    )
    valid = pl.when("_valid")
    return (
        frame.join(otherwise, on=LINE, how="left", maintain_order="left")
        .with_columns(
            valid.then("_code").otherwise("_other").alias("subject_id"),
            valid.then(pl.lit("code")).otherwise("_how").alias(METHOD),
            pl.col("_names").fill_null(0),
        )
        .drop("_other", "_how")
    )


def _only(keys: pl.DataFrame, alias: str) -> pl.DataFrame:
    return keys.filter(pl.col("count") == 1).select("key", pl.col("subject_id").alias(alias))


def _persons(frame: pl.DataFrame, key: bytes | None) -> pl.DataFrame:
    """Give natural persons a keyed hash of their id number and drop what names them."""
    if "subject_category" not in frame.columns:
        return frame.with_columns(_person=pl.lit(value=False))
    person = (pl.col("subject_category") == "自然人").fill_null(value=False)
    frame = frame.with_columns(person.alias("_person"))
    if not frame["_person"].any():
        return frame
    numbers = frame["citizen_id"].str.replace_all(r"\s", "").str.to_uppercase()
    numbers = numbers.set(~numbers.str.contains(_WHOLE_NUMBER), None)
    ids = [person_id(n, key) if key and n else None for n in numbers]
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


def record_ids(frame: pl.DataFrame, contract: Contract) -> pl.Series:
    """Return each row's record id: 128 bits of XXH3 over table and key, as 32 hex digits.

    A source's own id, where mapped, stands for the key. Equal input gives equal ids on any machine.
    """
    parts = [
        pl.coalesce(pl.col(*part.split("|")).cast(pl.String)).fill_null("") for part in contract.key
    ]
    key = pl.concat_str([pl.lit(contract.name), *parts], separator="\x1f")
    own = pl.concat_str(
        [pl.lit(contract.name), pl.col("authority").fill_null(""), pl.col("source_id")],
        separator="\x1e",
    )
    texts = frame.select(pl.coalesce(own, key).cast(pl.Binary)).to_series()
    return pl.Series("record_id", list(map(xxh3_128_hexdigest, texts.to_list())), dtype=pl.String)


def stable_id(text: str) -> str:
    """Return 128 bits of XXH3 over ``text`` as 32 hex digits; the same on every machine."""
    return xxh3_128_hexdigest(text.encode())
