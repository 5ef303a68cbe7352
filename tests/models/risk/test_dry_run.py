"""A dry run says who would move and what work that would be, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from models.decide import decide
from models.errors import ConfigError
from models.risk.dry_run import amended, dry_run
from models.risk.grade import foretells
from tests.models.risk.small import bundle, frame, scenario

LOOSER = """\
grades: {A: {below: 0.3, draw: 0.02}, B: {below: 0.5, draw: 0.05}, C: {below: 0.6, draw: 0.2},
         D: {draw: 1.0, warn: true}}
capacity: {per_month: 10}
"""


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "thresholds.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_amendment_changes_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    other = amended(scenario(), file(tmp_path, LOOSER))
    assert other.grades["A"].below == 0.3
    assert other.capacity is not None
    assert other.veto == scenario().veto
    assert other.validity == scenario().validity
    assert other.digest != scenario().digest
    assert foretells(other) == foretells(scenario())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label: {table: penalty}", r"thresholds\.yaml:1: unknown key 'label'"),
        ("grades: {A: {below: 2, draw: 1}}", r"thresholds\.yaml:1"),
        ("grades: {A: {below: 0.1, draw: 0}, B: {draw: 1}}", "不免抽"),
        ("grades: {A: {below: 0.1, draw: 1}, B: {draw: 1}}", r"thresholds\.yaml: .*veto|no grade"),
        ("actions: {A: 甲}", "grades and actions differ in B, C, D"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        amended(scenario(), file(tmp_path, text))


def test_it_counts_who_moves_and_the_work(tmp_path: Path) -> None:
    rows, other = frame(1_000), amended(scenario(), file(tmp_path, LOOSER))
    now, then = decide(rows, scenario(), bundle()), decide(rows, other, bundle())
    run = dry_run(now, then, scenario(), other)
    shares = run.distribution
    assert shares["grade"].to_list() == ["A", "B", "C", "D"]
    assert shares["now"].sum() == shares["then"].sum() == 1_000
    assert shares["share_then"].sum() == pytest.approx(1)
    assert shares["now"].to_list() == [now.filter(grade=g).height for g in "ABCD"]
    both = now.select(now=pl.col("grade")).hstack(then.select(then=pl.col("grade")))
    moved = both.filter(pl.col("now") != pl.col("then"))
    assert run.moves["subjects"].sum() == moved.height > 0
    assert set(run.moves.select("now", "then").rows()) == set(moved.unique().rows())
    assert run.workload["then"].sum() == pytest.approx(then["draw"].sum())
    assert run.months_now is None
    assert run.months_then == pytest.approx(then["draw"].sum() / 10)


def test_the_same_thresholds_move_nobody() -> None:
    made = decide(frame(100), scenario(), bundle())
    assert dry_run(made, made, scenario(), scenario()).moves.is_empty()


def test_grades_that_nobody_has_are_counted_as_none() -> None:
    made = decide(frame(200), scenario(), bundle()).filter(grade="A")
    run = dry_run(made, made, scenario(), scenario())
    assert run.distribution["now"].to_list() == [made.height, 0, 0, 0]
    assert dry_run(made[:0], made[:0], scenario(), scenario()).distribution["now"].sum() == 0


def test_decisions_about_different_rows_are_refused() -> None:
    made = decide(frame(10), scenario(), bundle())
    with pytest.raises(ConfigError, match="different rows"):
        dry_run(made, made[:5], scenario(), scenario())
