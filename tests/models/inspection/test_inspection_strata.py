from __future__ import annotations

import hmac

import polars as pl
import pytest

from models.errors import InspectionError
from models.inspection.draw import draw
from models.inspection.pool import Pool
from models.inspection.record import DrawRecord
from models.inspection.strata import StrataKey, hide, label, reveal, troubles
from models.inspection.verify import verify
from tests.models.inspection.pools import SEED, frame, seeded

SECRET = "a7" * 32
HIDDEN, KEY = hide(frame(), "2026-食品-01", secret=SECRET)


def test_public_lines_tell_no_names() -> None:
    pool = Pool.of(HIDDEN)
    text = pool.lines().decode()
    assert not any(name in text for name in "甲乙丙")
    assert HIDDEN["stratum"].n_unique() == 3
    assert HIDDEN["stratum"].str.contains(r"^S[0-9a-f]{32}$").all()
    record = DrawRecord.of(pool, seeded(pool))
    assert not any(name in record.text() for name in "甲乙丙")
    assert not [one for one in verify(pool, record) if one.trouble]


def test_labels_do_not_change_who_is_drawn() -> None:
    plain = draw(Pool.of(frame()), SEED).filter("drawn")["subject_id"].sort()
    assert draw(Pool.of(HIDDEN), SEED).filter("drawn")["subject_id"].sort().equals(plain)


def test_the_label_is_a_plain_hmac() -> None:
    """As ``openssl dgst -sha256 -hmac`` gives it."""
    text = b"xinjian-strata-v1\np\nA/B\n"
    assert (
        label(SECRET, "p", "A/B") == "S" + hmac.digest(SECRET.encode(), text, "sha256").hex()[:32]
    )
    assert len({label(SECRET, p, n) for p in ("p", "q") for n in ("A", "B")}) == 4
    assert label("b" * 64, "p", "A") != label(SECRET, "p", "A")


def test_the_key_reveals_after_closing() -> None:
    again = StrataKey.parse(KEY.model_dump_json(), "strata.json")
    assert again == KEY
    assert reveal(HIDDEN, again).equals(frame())
    assert troubles(again, HIDDEN["stratum"].unique().to_list()) == []


def test_nobody_can_rename_afterwards() -> None:
    one = next(iter(KEY.names))
    renamed = KEY.model_copy(update={"names": {**KEY.names, one: "丁"}})
    assert "'丁' has the label" in troubles(renamed, [one])[0]
    other = KEY.model_copy(update={"secret": "0" * 64})
    assert len(troubles(other, [one])) == 3
    short = KEY.model_copy(update={"names": {one: KEY.names[one]}})
    with pytest.raises(InspectionError, match="2 strata have no name in the key"):
        reveal(HIDDEN, short)


def test_what_no_line_holds_is_refused() -> None:
    with pytest.raises(InspectionError, match="stratum 'A,B'"):
        hide(pl.DataFrame({"stratum": ["A,B"]}), "p", secret=SECRET)
    with pytest.raises(InspectionError, match="needs a 'stratum'"):
        hide(pl.DataFrame({"subject_id": ["A"]}), "p", secret=SECRET)
    with pytest.raises(InspectionError, match=r"x\.json is no key of strata"):
        StrataKey.parse(b'{"plan": 5}', "x.json")
