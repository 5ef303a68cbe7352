"""Whose record a row is: its own valid code, or the one register entry of that very key."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codes.organisation import complete_organisation_code
from models.codes.registration import check_digit
from models.codes.uscc import make_uscc
from models.records.contracts import CONTRACTS, contract_named
from models.records.identity import record_ids, stable_id
from training.sources.identity import (
    METHOD,
    Identified,
    Register,
    build_register,
    identify,
    name_key,
    person_id,
)
from training.sources.mapping import IDENTITY
from training.sources.read import LINE

Row = dict[str, str | None]
TODAY = date(2026, 6, 1)
KEY = b"a key for tests, long enough"
A, B, C = (make_uscc("91", "210102", body=f"MA0{n:05d}") for n in (1, 2, 3))
SHARED = [make_uscc("92", "210102", body=f"MA1{n:05d}") for n in (1, 2)]
OLD_NUMBER = "21010200001234" + str(check_digit("21010200001234"))
UNKNOWN = make_uscc("91", "210102", body="MA099999")
INVALID = A[:17] + ("0" if A[17] != "0" else "1")
NAMES = {A: "沈阳和平机械有限公司", B: "大连星海食品有限公司", C: "鞍山（立山）钢材“宝”行"}


def register(
    *,
    changes: Sequence[tuple[str, str, str]] = (),
    extra: Sequence[Row] = (),
) -> Register:
    schema = ["subject_id", "name", "organisation_code", "registration_number"]
    rows: list[Row] = [
        {"subject_id": A, "name": NAMES[A], "registration_number": OLD_NUMBER},
        {"subject_id": B, "name": NAMES[B]},
        {"subject_id": C, "name": NAMES[C]},
        *({"subject_id": code, "name": "便民超市"} for code in SHARED),
        *extra,
    ]
    subjects = pl.DataFrame(
        [{c: row.get(c) for c in schema} for row in rows], schema=dict.fromkeys(schema, pl.String())
    )
    changed = pl.DataFrame(
        [(s, "name", old, new) for s, old, new in changes],
        schema=dict.fromkeys(("subject_id", "item", "old_value", "new_value"), pl.String()),
        orient="row",
    )
    return build_register(subjects.lazy(), changed.lazy() if changes else None)


REGISTER = register()


def frame(rows: Sequence[Row], table: str = "penalty") -> pl.DataFrame:
    contract = contract_named(table)
    names = [*IDENTITY, "authority", "authority_code", *contract.key]
    names += [c for c in ("subject_category", "document_number") if c in contract.columns]
    names += ["name"] if table == "subject" else []
    wanted = [n for n in dict.fromkeys(names) if "|" not in n and n != "subject_id"]
    columns = {c: pl.Series(c, [row.get(c) for row in rows], pl.String) for c in wanted}
    return pl.DataFrame({LINE: pl.Series(range(2, len(rows) + 2), dtype=pl.Int64), **columns})


def found(
    *rows: Row,
    table: str = "penalty",
    strict: bool = False,
    key: bytes | None = KEY,
    known: Register = REGISTER,
) -> Identified:
    contract = contract_named(table)
    return identify(frame(rows, table), contract, known, strict=strict, person_key=key, today=TODAY)


def one(
    table: str = "penalty",
    *,
    row: Row | None = None,
    strict: bool = False,
    known: Register = REGISTER,
    key: bytes | None = KEY,
    **fields: str | None,
) -> tuple[str | None, str | None, list[str]]:
    """Return subject, method and rules of one row."""
    result = found({**(row or {}), **fields}, table=table, strict=strict, known=known, key=key)
    rules = sorted(result.problems["rule"].to_list())
    return result.frame["subject_id"][0], result.frame[METHOD][0], rules


def test_a_valid_code_is_the_subject_registered_or_not() -> None:
    assert one(uscc=A) == (A, "code", [])
    assert one(uscc=UNKNOWN, subject_name="谁也不认识") == (UNKNOWN, "code", [])


def test_a_valid_code_goes_before_a_name_of_another() -> None:
    assert one(uscc=A, subject_name=NAMES[B]) == (A, "code", [])
    assert one(uscc=A, subject_name=NAMES[B], strict=True) == (A, "code", ["V04"])


@pytest.mark.parametrize("dash", ["", "-"])
@pytest.mark.parametrize("field", ["organisation_code", "uscc"])
def test_an_organisation_code_finds_its_subject(field: str, dash: str) -> None:
    code = f"{A[8:16]}{dash}{A[16]}"
    assert one(row={field: code}) == (A, "organisation", [])
    assert one(organisation_code=code.lower())[0] == A


def test_a_broken_organisation_code_does_not_hide_a_right_one() -> None:
    assert one(organisation_code="不详123", uscc=A[8:17])[0] == A


@pytest.mark.parametrize("tail", ["", "000"])
def test_an_old_tax_number_is_region_and_organisation_code(tail: str) -> None:
    assert one(taxpayer_number=f"210102{A[8:17]}{tail}") == (A, "organisation", [])


def test_a_tax_number_may_be_the_code() -> None:
    assert one(taxpayer_number=A) == (A, "code", [])


@pytest.mark.parametrize("field", ["registration_number", "uscc"])
def test_the_old_registration_number_finds_its_subject(field: str) -> None:
    assert one(row={field: OLD_NUMBER})[:2] == (A, "organisation")
    wrong = OLD_NUMBER[:14] + str((int(OLD_NUMBER[14]) + 1) % 10)
    assert one(row={field: wrong})[0] is None


def test_zeros_are_nobodys_number() -> None:
    known = register(extra=[{"subject_id": UNKNOWN, "name": "某", "registration_number": "0" * 15}])
    assert one(registration_number="0" * 15, known=known)[0] is None
    assert one(organisation_code="000000000", known=known)[0] is None


@pytest.mark.parametrize(
    "name",
    [
        "鞍山（立山）钢材“宝”行",
        "鞍山(立山)钢材宝行",
        " 鞍山 (立山） 钢材'宝'行　",
        "鞍山【立山】钢材宝行",
    ],
)
def test_names_are_compared_without_width_blanks_quotes_and_brackets(name: str) -> None:
    assert one(subject_name=name) == (C, "name", [])


@pytest.mark.parametrize("name", ["鞍山立山钢材宝行", "鞍山（立山）钢材宝", "沈阳和平机械"])
def test_a_similar_name_is_no_match(name: str) -> None:
    assert one(subject_name=name) == (None, None, ["S01"])


def test_a_name_of_nothing_but_marks_is_no_name() -> None:
    known = register(extra=[{"subject_id": UNKNOWN, "name": "“”"}])
    assert one(subject_name="'' ", known=known) == (None, None, ["S01"])


def test_former_names_find_their_subject() -> None:
    known = register(changes=[(A, "沈阳旧名机械厂", NAMES[A])])
    assert one(subject_name="沈阳旧名机械厂", known=known) == (A, "name", [])
    assert one(uscc=A, subject_name="沈阳旧名机械厂", strict=True, known=known)[2] == []
    assert one(subject_name="沈阳旧名机械厂") == (None, None, ["S01"])


def test_a_name_that_another_took_over_is_shared() -> None:
    known = register(changes=[(A, NAMES[B], NAMES[A])])
    assert one(subject_name=NAMES[B], known=known) == (None, None, ["S02"])


def test_a_name_of_two_subjects_is_ambiguous() -> None:
    assert one(subject_name="便民超市") == (None, None, ["S02"])
    assert one(uscc=SHARED[0], subject_name="便民超市", strict=True)[2] == []


@pytest.mark.parametrize("row", [{"subject_name": "无名氏"}, {}, {"uscc": None}])
def test_an_unknown_subject_is_s01(row: Row) -> None:
    assert one(row=row) == (None, None, ["S01"])


def test_an_invalid_code_with_an_unknown_name_is_v02() -> None:
    result = found({"uscc": INVALID, "subject_name": "无名氏"})
    assert result.problems.select(LINE, "rule", "column", "value").rows() == [
        (2, "V02", "uscc", INVALID)
    ]
    assert result.warned.to_list() == [False]


def test_an_invalid_code_with_a_known_name_is_a_finding_or_refused() -> None:
    row: Row = {"uscc": INVALID, "subject_name": NAMES[A]}
    lenient = found(row)
    assert lenient.frame["subject_id"].to_list() == [A]
    assert lenient.problems.is_empty()
    assert lenient.warned.to_list() == [True]
    assert one(row=row, strict=True) == (A, "name", ["V02"])


def test_a_problem_shows_what_the_source_says() -> None:
    name = "大连（虚构）公司"
    assert found({"subject_name": name}).problems["value"].to_list() == [name]
    shown = found({"uscc": A, "subject_name": name}, strict=True).problems["value"]
    assert shown.to_list() == [name]


def test_no_rows_are_no_problem() -> None:
    result = found()
    assert result.frame.is_empty()
    assert result.problems.is_empty()


def test_an_empty_register_knows_nobody() -> None:
    known = build_register(None, None)
    assert one(uscc=A, known=known) == (A, "code", [])
    assert one(subject_name=NAMES[A], known=known) == (None, None, ["S01"])


def test_subjects_need_a_code_of_their_own() -> None:
    assert one("subject", uscc=UNKNOWN, name="新公司") == (UNKNOWN, "code", [])
    assert one("subject", uscc=INVALID, name=NAMES[A]) == (None, None, ["V02"])
    assert one("subject", name=NAMES[A])[0::2] == (None, ["S01"])


def test_a_contracts_own_column_called_method_stays() -> None:
    rows = frame([{"uscc": A}], "inspection").with_columns(method=pl.lit("双随机"))
    result = identify(
        rows,
        contract_named("inspection"),
        REGISTER,
        strict=False,
        person_key=None,
        today=TODAY,
    )
    assert result.frame["method"].to_list() == ["双随机"]


# What contradicts a key

ALIEN = complete_organisation_code("12345678")


@pytest.mark.parametrize("name", [NAMES[B], "张三五金店"])
@pytest.mark.parametrize(
    "row",
    [
        {"organisation_code": A[8:17]},
        {"uscc": A[8:17]},
        {"taxpayer_number": f"210102{A[8:17]}"},
        {"taxpayer_number": f"110101{A[8:17]}000"},
        {"registration_number": OLD_NUMBER},
        {"uscc": OLD_NUMBER},
    ],
)
def test_a_key_finds_nobody_of_another_name(row: Row, name: str) -> None:
    result = found({**row, "subject_name": name})
    assert result.frame["subject_id"].to_list() == [None]
    assert result.frame[METHOD].to_list() == [None]
    named = result.problems.filter(rule="V04").select("column", "value").rows()
    assert named == [("subject_name", name)]
    assert one(row={**row, "subject_name": NAMES[A]})[0] == A
    assert one(row=row)[0] == A


@pytest.mark.parametrize(
    "row",
    [
        {"organisation_code": ALIEN},
        {"organisation_code": B[8:17]},
        {"uscc": B[:17] + ("0" if B[17] != "0" else "1")},
        {"taxpayer_number": f"210102{ALIEN}"},
    ],
)
def test_a_name_finds_nobody_of_another_organisation_code(row: Row) -> None:
    subject, method, rules = one(row={**row, "subject_name": NAMES[A]})
    assert (subject, method) == (None, None)
    assert "V04" in rules


def test_keys_that_disagree_find_nobody() -> None:
    row: Row = {"organisation_code": B[8:17], "registration_number": OLD_NUMBER}
    assert one(row=row) == (None, None, ["V04"])
    assert one(row={"organisation_code": A[8:17], "taxpayer_number": f"210102{B[8:17]}"})[0] is None


@pytest.mark.parametrize("region", ["000000", "990102", "160101"])
def test_a_tax_number_of_no_region_is_none(region: str) -> None:
    assert one(taxpayer_number=region + A[8:17]) == (None, None, ["S01"])


# Natural persons

PERSON: Row = {"subject_category": "自然人", "subject_name": "某某"}
NUMBER = "210102199001011237"


def test_a_person_is_known_by_a_keyed_hash_and_the_name_is_dropped() -> None:
    result = found({**PERSON, "citizen_id": NUMBER})
    subject = result.frame["subject_id"][0]
    assert subject == person_id(NUMBER, KEY)
    assert subject.startswith("P_")
    assert NUMBER not in subject
    assert result.frame["subject_name"].to_list() != ["某某"]
    assert result.problems.is_empty()


def test_one_number_is_one_person_under_one_key() -> None:
    spellings = ["11010519491231002x", " 11010519491231002X", "110105 19491231 002X"]
    ids = {one(row=PERSON, citizen_id=number)[0] for number in spellings}
    assert len(ids) == 1
    assert one(row=PERSON, citizen_id=NUMBER, key=b"another key")[0] not in ids
    assert one(row=PERSON, citizen_id=NUMBER)[0] not in ids


@pytest.mark.parametrize(
    ("number", "key"),
    [(NUMBER, None), (None, KEY), ("2101**********1234", KEY), ("2101", KEY), ("不便透露", KEY)]
    + [
        (number, KEY)
        for number in (
            *("0" * 18, "1" * 18, "NULLNULL", "E12345678", "护照E12345678", "11010519491231002"),
            *("110105491231002", NUMBER[:17] + "8", "210102209001011230"),
        )
    ],
)
def test_a_person_who_cannot_be_hashed_is_refused(number: str | None, key: bytes | None) -> None:
    assert one(row=PERSON, citizen_id=number, key=key) == (None, None, ["S03"])


def test_a_person_is_never_matched_by_name() -> None:
    row = PERSON | {"subject_name": NAMES[A]}
    assert one(row=row)[0::2] == (None, ["S03"])


def test_a_refused_persons_name_stands_in_no_problem() -> None:
    assert found(PERSON).problems["value"].to_list() == [None]


# Record ids


def ids(rows: Sequence[Row], source: str = "s") -> list[str]:
    typed = found(*rows).frame
    return record_ids(typed, contract_named("penalty"), source=source).to_list()


def test_record_ids_tell_authority_number_and_subject_apart() -> None:
    base: Row = {"uscc": A, "document_number": "1", "authority": "甲局"}
    rows = [base, base | {"uscc": B}, base | {"document_number": "2"}, base | {"authority": "乙局"}]
    assert len(set(ids([*rows, base]))) == 4
    named = base | {"authority_code": UNKNOWN}
    assert ids([named]) == ids([named | {"authority": "甲局（改名）"}])


def test_a_sources_own_id_stands_for_the_key() -> None:
    base: Row = {"uscc": A, "source_id": "7", "authority": "甲局"}
    assert ids([base]) == ids([base | {"document_number": "2"}])
    assert ids([base]) != ids([base | {"authority": "乙局"}])


def test_a_sources_own_id_counts_within_its_source() -> None:
    """Two systems that count their rows from 1 have no record in common."""
    row: Row = {"uscc": A, "source_id": "1", "authority": "甲局"}
    assert ids([row], "a") != ids([row], "b")
    keyed: Row = {"uscc": A, "document_number": "1", "authority": "甲局"}
    assert ids([keyed], "a") == ids([keyed], "b")


@pytest.mark.parametrize(
    "number",
    ["沈罚[2024]1号", "沈罚【2024】1号", "沈罚（2024）1号", "沈罚(2024) 1 号", "沈罚﹝2024﹞1号"],
)
def test_the_brackets_and_blanks_of_a_number_make_no_other_record(number: str) -> None:
    base: Row = {"uscc": A, "authority": "甲局"}
    same = ids([base | {"document_number": "沈罚〔2024〕1号"}, base | {"document_number": number}])
    assert same[0] == same[1]


def test_ids_are_the_same_in_every_process() -> None:
    code = "from models.records.identity import stable_id; print(stable_id('沈罚1号'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == stable_id("沈罚1号")
    assert len(stable_id("x")) == 32


# Never a guess

PARTS = st.sampled_from(
    [
        *(None, A, B, C, INVALID, UNKNOWN, A[8:17], f"{B[8:16]}-{B[16]}", OLD_NUMBER),
        *("00000000000000000X", f"210102{B[8:17]}", "91", "无效", *SHARED),
        complete_organisation_code("12345678"),
    ]
)
CALLED = st.sampled_from(
    [None, *NAMES.values(), "便民超市", "无名氏", "鞍山(立山)钢材宝行", "沈阳旧名", "大连星海食品"]
)
ROWS = st.fixed_dictionaries(
    {
        "uscc": PARTS,
        "organisation_code": PARTS,
        "registration_number": PARTS,
        "taxpayer_number": PARTS,
        "subject_name": CALLED,
    }
)


@given(rows=st.lists(ROWS, min_size=1, max_size=6), strict=st.booleans())
def test_a_match_is_never_invented(rows: list[Row], strict: bool) -> None:
    """A row's subject is its own valid code, or the one register entry with exactly its key."""
    known = register(changes=[(A, "沈阳旧名", NAMES[A])])
    result = found(*rows, strict=strict, known=known)
    refused = set(result.problems[LINE])
    keys = {B[8:17]: B, A[8:17]: A, C[8:17]: C, OLD_NUMBER: A} | {c[8:17]: c for c in SHARED}
    called = pl.DataFrame({"n": [*NAMES.values(), "沈阳旧名"]}).select(name_key(pl.col("n")))
    owners = dict(zip(called["n"], [*NAMES, A], strict=True))
    for row, line, subject, method in zip(
        rows,
        result.frame[LINE],
        result.frame["subject_id"],
        result.frame[METHOD],
        strict=True,
    ):
        if subject is None:
            assert line in refused
            continue
        offered = [value for field, value in row.items() if field != "subject_name" and value]
        if method == "code":
            assert subject in (row["uscc"], row["taxpayer_number"])
        elif method == "organisation":
            plain = [value.replace("-", "") for value in offered]
            assert subject in {keys.get(p) for p in plain} | {keys.get(p[6:15]) for p in plain}
        else:
            key = pl.select(name_key(pl.lit(row["subject_name"]))).item()
            assert subject == owners[key]


@pytest.mark.parametrize("table", sorted(CONTRACTS))
def test_every_table_can_be_identified(table: str) -> None:
    subject, method, _ = one(table, uscc=A)
    assert (subject, method) == (A, "code")
