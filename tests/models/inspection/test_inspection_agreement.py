"""The two verifiers agree: what one accepts, the other accepts, whatever was done to the files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InspectionError
from models.inspection import standalone
from models.inspection.pool import GRID, Pool
from models.inspection.record import DrawRecord
from models.inspection.seed import make_seed
from models.inspection.verify import verify
from tests.models.inspection.pools import committed, pool, seeded, values

LINES = pool(20).lines()
TEXT = DrawRecord.of(pool(20), seeded(pool(20))).text()
ODD: Sequence[object] = (
    None, True, False, 0, -1, 1, 1.0, 5, "", "x", "5", [], {}, 10**400, float("nan"), float("inf"),
)  # fmt: skip


def full(text: str, content: bytes = LINES) -> bool:
    """Tell whether the full program accepts the files."""
    try:
        checks = verify(Pool.read(content), DrawRecord.parse(text, "r"))
    except InspectionError:
        return False
    return not any(one.trouble for one in checks)


def alone(folder: Path, text: str, content: bytes = LINES) -> bool:
    """Tell whether the stand-alone program accepts them."""
    (folder / "record.json").write_text(text, encoding="utf-8")
    (folder / "pool.txt").write_bytes(content)
    return standalone.main([str(folder / "record.json")]) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agreement")


def places(data: object, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return where the values of JSON stand."""
    made: Any = data
    if not isinstance(data, dict | list):
        return []
    steps: Any = made.items() if isinstance(data, dict) else enumerate(made[:2])
    return [p for step, one in steps for p in [(*before, step), *places(one, (*before, step))]]


PLACES = places(json.loads(TEXT))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_no_value_may_be_another(folder: Path, place: tuple[str | int, ...]) -> None:
    for odd in (*ODD, "drop", "more"):
        data = json.loads(TEXT)
        part: Any = data
        for step in place[:-1]:
            part = part[step]
        old = part[place[-1]]
        if odd == "drop":
            del part[place[-1]]
        elif odd == "more" and isinstance(part, dict):
            part["more"] = 1
        else:
            part[place[-1]] = odd
        absent = odd == "drop" and place[-1] in {"version", "sources", "digest"}
        unchanged = absent or (type(old) is type(odd) and old == odd)
        text = json.dumps(data)
        assert (full(text), alone(folder, text)) == (unchanged, unchanged), (odd, old)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace('"result": ', f'"result": "{"0" * 64}", "result": ', 1),
        TEXT.replace('"u": ', '"u": 0.5, "u": ', 1),
        TEXT.replace("2026-01-05T09:00:00Z", "1767603600"),
        TEXT.replace("2026-01-05T09:00:00Z", "20260105T090000Z"),
        TEXT.replace("2026-01-05T09:00:00Z", "2026-01-05T09:00:00"),
        "\ufeff" + TEXT,
        TEXT + "{}",
        "[" * 5000,
    ],
)
def test_there_is_one_way_to_read_a_record(folder: Path, text: str) -> None:
    assert text != TEXT
    assert (full(text), alone(folder, text)) == (False, False)


def sealed(content: bytes) -> str:
    """Return a record of a pool that the stand-alone program makes, whatever the pool is."""
    data: dict[str, Any] = json.loads(TEXT)
    seed = data["seed"]
    seed["commitment"]["commitment"] = sha256(content).hexdigest()
    seed["commitment"]["subjects"] = content.count(b"\n")
    seed["seed"] = standalone.seed_of(seed["commitment"], seed["entropy"])
    rows = standalone.pool_rows(content)
    strata = [
        standalone.draw_stratum(name, rows[name], seed["seed"])
        for name in sorted(rows, key=str.encode)
    ]
    data["strata"] = [one.summary for one in strata]
    drawn = sorted((one, of.summary["stratum"]) for of in strata for one in of.drawn)
    data["drawn"] = [
        {
            "subject_id": one.subject,
            "stratum": stratum,
            "u": one.u,
            "key": one.key,
            "inclusion_probability": one.probability,
        }
        for one, stratum in drawn
    ]
    ids = "".join(f"{one.subject}\n" for one, _ in drawn)
    return json.dumps({**data, "result": sha256(ids.encode()).hexdigest()})


def canonical(ids: Sequence[str], stratum: str, units: Sequence[int]) -> bytes:
    lines = [
        f"{one},{stratum},{u // GRID}.{u % GRID:012d}\n".encode()
        for one, u in zip(ids, units, strict=True)
    ]
    return b"".join(sorted(lines))


@pytest.mark.parametrize("text", ["", " A", "A\u3000", "\ufeffA", "A\u2028", "A\u0085", "A\t"])
def test_texts_that_a_pool_cannot_hold_are_refused_by_both(folder: Path, text: str) -> None:
    for content in (canonical([text, "B"], "S", [GRID] * 2), canonical(["A"], text, [GRID])):
        assert (full(TEXT, content), alone(folder, TEXT, content)) == (False, False)
        with pytest.raises(ValueError, match="of the pool"):
            sealed(content)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"A,S,inf\n", b"A,S,nan\n", b"A,S,1e999\n", b"\xff"]
)
def test_what_is_no_pool_is_refused_by_both(folder: Path, content: bytes) -> None:
    assert (full(TEXT, content), alone(folder, TEXT, content)) == (False, False)


@st.composite
def units(draw: st.DrawFn) -> list[int]:
    """Return targets of a stratum on the grid, its ends included, that sum to a whole number."""
    others = draw(st.integers(2, 12))
    drawn = draw(st.integers(1, others - 1))
    spots = st.one_of(st.integers(0, drawn * GRID), st.sampled_from([1, 2, drawn * GRID - 1]))
    cuts = sorted(draw(st.lists(spots, min_size=others - 1, max_size=others - 1)))
    made = [b - a for a, b in pairwise([0, *cuts, drawn * GRID])]
    for _ in range(others):  # what is past the ends goes to whoever has room
        over = sum(max(one - (GRID - 1), 0) - max(1 - one, 0) for one in made)
        made = [min(max(one, 1), GRID - 1) for one in made]
        for k in range(others):
            step = min(max(over, 1 - made[k]), GRID - 1 - made[k])
            made[k], over = made[k] + step, over - step
    return made + [GRID] * draw(st.integers(0, 2))


NAMES = st.text(st.characters(codec="utf-8", exclude_characters=","), min_size=1, max_size=6)


@given(
    targets=units(),
    ids=st.lists(NAMES, min_size=14, max_size=14, unique=True),
    stratum=NAMES,
)
@settings(deadline=None)
def test_both_make_and_accept_the_same_draws(
    folder: Path, targets: list[int], ids: list[str], stratum: str
) -> None:
    content = canonical(ids[: len(targets)], stratum, targets)
    try:
        text = sealed(content)
    except ValueError:
        assert not full(TEXT, content)
        with pytest.raises(InspectionError):
            Pool.read(content)
        return
    assert (full(text, content), alone(folder, text, content)) == (True, True)
    made = Pool.read(content)
    theirs = DrawRecord.of(made, make_seed(committed(made), values()))
    assert alone(folder, theirs.text(), content)


@given(st.integers(0, len(TEXT) - 1), st.sampled_from('0123456789abcdef"{}[],:. -eE+\\'))
@settings(deadline=None, max_examples=200)
def test_a_changed_character_is_found_by_both_or_means_the_same(
    folder: Path, place: int, character: str
) -> None:
    text = TEXT[:place] + character + TEXT[place + 1 :]
    assert full(text) == alone(folder, text)
    if full(text):
        same = DrawRecord.parse(text, "r").model_dump(exclude={"seed": {"entropy", "commitment"}})
        true = DrawRecord.parse(TEXT, "r").model_dump(exclude={"seed": {"entropy", "commitment"}})
        assert same["result"] == true["result"]
        assert [one["u"] for one in same["drawn"]] == [one["u"] for one in true["drawn"]]
