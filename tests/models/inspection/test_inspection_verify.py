from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.errors import InspectionError
from models.inspection import standalone
from models.inspection.draw import draw
from models.inspection.pool import Pool
from models.inspection.probability import inclusion_probabilities
from models.inspection.record import DrawRecord
from models.inspection.verify import line_of, verify
from tests.models.inspection.pools import FROZEN, frame, pool, seeded, targets

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def record() -> DrawRecord:
    return DrawRecord.of(pool(), seeded(pool()))


def changed(record: DrawRecord, change: Change) -> DrawRecord:
    data = json.loads(record.text())
    change(data)
    return DrawRecord.parse(json.dumps(data), "record.json")


def run(folder: Path, record: DrawRecord, of: Pool, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "record.json").write_text(record.text(), encoding="utf-8")
    (folder / "pool.txt").write_bytes(of.lines())
    program = [sys.executable, "-I", "-S", standalone.__file__, "record.json"]
    return subprocess.run(
        [*program, *more], cwd=folder, check=False, capture_output=True, encoding="utf-8"
    )


def test_a_record_reads_back_to_the_bit(record: DrawRecord) -> None:
    assert DrawRecord.parse(record.text(), "x") == record
    drawn = draw(pool(), record.seed.seed).filter("drawn")
    assert record.frame().equals(drawn.select(record.frame().columns))


def test_a_true_record_holds(record: DrawRecord, tmp_path: Path) -> None:
    assert [one.trouble for one in verify(pool(), record)] == [""] * 8
    shown = run(tmp_path, record, pool())
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("OK     23 subjects drawn")


def set_(*place: str | int, to: object) -> Change:
    def change(data: Any) -> None:  # noqa: ANN401 -- JSON
        for step in place[:-1]:
            data = data[step]
        data[place[-1]] = to

    return change


def swapped(data: dict[str, Any]) -> None:
    """Put somebody on the list who was not drawn, as if nothing had happened."""
    drawn = {one["subject_id"] for one in data["drawn"]}
    other = next(one for one in pool().frame["subject_id"] if one not in drawn)
    data["drawn"][3]["subject_id"] = other
    ids = "".join(f"{one['subject_id']}\n" for one in data["drawn"])
    data["result"] = sha256(ids.encode()).hexdigest()


def dropped(data: dict[str, Any]) -> None:
    del data["drawn"][5]


BEFORE = (FROZEN - timedelta(minutes=1)).isoformat()
TAMPERED: list[tuple[str, Change]] = [
    ("pool", set_("seed", "commitment", "commitment", to="0" * 64)),
    ("pool", set_("seed", "commitment", "subjects", to=7)),
    ("values", set_("seed", "entropy", 0, "published_at", to=BEFORE)),
    ("seed", set_("seed", "entropy", 0, "value", to="02,05,12,19,27,33+08")),
    ("seed", set_("seed", "seed", to="1" * 64)),
    ("strata", set_("strata", 0, "n", to=9)),
    ("subjects", swapped),
    ("subjects", dropped),
    ("keys", set_("drawn", 4, "u", to=0.5)),
    ("keys", set_("drawn", 4, "stratum", to="丙")),
    ("probabilities", set_("drawn", 9, "inclusion_probability", to=0.123)),
    ("result", set_("result", to="0" * 64)),
]


@pytest.mark.parametrize(("name", "change"), TAMPERED)
def test_every_falsehood_is_found_by_its_check(
    record: DrawRecord, name: str, change: Change
) -> None:
    found = {one.name for one in verify(pool(), changed(record, change)) if one.trouble}
    assert name in found


@pytest.mark.parametrize("change", [change for _, change in TAMPERED])
def test_the_standalone_program_finds_every_falsehood(record: DrawRecord, change: Change) -> None:
    said = json.loads(changed(record, change).text())
    rows = standalone.pool_rows(pool().lines())
    strata = [
        standalone.draw_stratum(name, rows[name], said["seed"]["seed"])
        for name in sorted(rows, key=str.encode)
    ]
    assert list(standalone.troubles(said, pool().lines(), strata))


def test_a_strata_too_many_is_found(record: DrawRecord) -> None:
    longer = record.model_copy(update={"strata": (*record.strata, record.strata[0])})
    assert {one.name for one in verify(pool(), longer) if one.trouble} == {"strata"}


def test_an_edited_pool_is_found(record: DrawRecord, tmp_path: Path) -> None:
    other = Pool.of(frame().with_columns(pl.col("subject_id").replace("912101000000000000", "X")))
    assert "pool" in {one.name for one in verify(other, record) if one.trouble}
    shown = run(tmp_path, record, other)
    assert shown.returncode == 1
    assert "WRONG  the pool's SHA-256 is" in shown.stdout
    with pytest.raises(InspectionError, match="changed after the freeze"):
        DrawRecord.of(other, seeded(pool()))


def test_the_standalone_program_shows_a_subjects_arithmetic(
    record: DrawRecord, tmp_path: Path
) -> None:
    subject = record.drawn[0].subject_id
    shown = run(tmp_path, record, pool(), "pool.txt", subject).stdout
    assert sha256((record.seed.seed + subject).encode()).hexdigest() in shown
    assert f"u = {record.drawn[0].u!r}; drawn" in shown
    assert "not in the pool" in run(tmp_path, record, pool(), "pool.txt", "nobody").stdout


def test_the_standalone_program_tells_what_it_cannot_read(
    record: DrawRecord, tmp_path: Path
) -> None:
    assert run(tmp_path, record, pool(), "none.txt").returncode == 2
    assert run(tmp_path, record, pool(), "a", "b", "c", "d").returncode == 2
    (tmp_path / "bad.txt").write_bytes(pool().lines().replace(b"0.1", b"0.2", 1))
    shown = run(tmp_path, record, pool(), "bad.txt")
    assert (shown.returncode, shown.stderr) == (2, "")
    assert "do not sum" in shown.stdout


@pytest.mark.parametrize(
    "content",
    [b"A,S,0.5", b"A,S,0.5\n", b"B,S,1.000000000000\nA,S,1.000000000000\n",
     b"A,S,1.000000000000\nA,T,1.000000000000\n", b"A,S,0.000000000000\n",
     b"A\x07,S,1.000000000000\n", "A,S,٠.500000000000\n".encode()],
)  # fmt: skip
def test_the_standalone_program_reads_canonical_pools_only(content: bytes) -> None:
    with pytest.raises(ValueError, match="pool"):
        standalone.pool_rows(content)


def test_it_imports_nothing_but_the_standard_library() -> None:
    text = Path(standalone.__file__).read_text(encoding="utf-8")
    names = re.findall(r"^(?:import|from) ([\w.]+)(?: import .+)?$", text, flags=re.MULTILINE)
    assert len(names) > 5
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names | {"__future__"}


def test_probabilities_of_large_strata_are_near_their_targets(
    monkeypatch: pytest.MonkeyPatch, record: DrawRecord
) -> None:
    monkeypatch.setattr(standalone, "MOST_WORK", 10)
    assert standalone.inclusion([0.2, 0.3, 0.5], 1) == {}
    said = standalone.parsed(record.text())
    rows = standalone.pool_rows(pool().lines())
    strata = [standalone.draw_stratum(one, rows[one], record.seed.seed) for one in sorted(rows)]
    assert list(standalone.draw_troubles(said, strata)) == []
    widest = max(one.off for stratum in strata for one in stratum.drawn)
    assert standalone.TOLERANCE < widest < 0.01
    place = next(n for n, one in enumerate(said["drawn"]) if one["stratum"] == "乙")
    said["drawn"][place]["inclusion_probability"] *= 1.05
    assert "the probability is" in next(standalone.draw_troubles(said, strata))


@pytest.mark.parametrize("seed", range(6))
def test_exact_probabilities_lie_within_what_large_strata_allow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = targets(rng.lognormal(0, float(rng.uniform(0.3, 2)), 400), int(rng.integers(30, 300)))
    pi = np.round(raw * 1e12) / 1e12
    square = float((pi * (1 - pi)).sum()) ** 2
    apart = np.abs(inclusion_probabilities(pi) - pi) / (pi * (1 - pi)) * square
    assert apart.max() < standalone.NEAR


def test_a_subject_can_follow_its_own_line(record: DrawRecord) -> None:
    made = pool()
    for one in record.drawn:
        line = line_of(made, record.seed.seed, one.subject_id)
        assert line.drawn
        assert (line.u, line.key) == (one.u, one.key)
        assert line.rank is None or line.rank <= line.n
        assert line.digest == sha256(line.hashed.encode()).hexdigest()
    with pytest.raises(InspectionError, match="not in the pool"):
        line_of(made, record.seed.seed, "nobody")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"seed": 1}'])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(InspectionError, match=r"r\.json is no draw record"):
        DrawRecord.parse(text, "r.json")
