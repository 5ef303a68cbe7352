from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.errors import ModelError
from training.retrain.journal import STALE, Journal, Json

NOW = datetime(2025, 1, 5, 8, tzinfo=UTC)
ABOUT: Json = {"scenario": "town", "versions": {"inspection": 3}}


def test_an_unfinished_run_is_gone_on_with_on_its_own_versions(tmp_path: Path) -> None:
    first = Journal.open(tmp_path, ABOUT, now=NOW)
    first.finish("drift", {"drifted": True})
    later = {**ABOUT, "versions": {"inspection": 4}}
    again = Journal.open(tmp_path, later, now=NOW + timedelta(hours=1))
    assert again == first
    assert again.result("drift") == {"drifted": True}
    assert again.result("fit") is None
    assert again.begun["versions"] == {"inspection": 3}


@pytest.mark.parametrize("why", ["ended", "other", "stale"])
def test_else_a_new_one_is_begun(why: str, tmp_path: Path) -> None:
    first = Journal.open(tmp_path, ABOUT, now=NOW)
    if why == "ended":
        first.end({"ending": "kept"})
    about = {**ABOUT, "scenario": "village"} if why == "other" else ABOUT
    now = NOW + STALE if why == "stale" else NOW
    assert Journal.open(tmp_path, about, now=now) != first


def test_two_runs_of_one_moment_have_folders_of_their_own(tmp_path: Path) -> None:
    for _ in range(3):
        Journal.open(tmp_path, ABOUT, now=NOW).end({"ending": "kept"})
    assert len(list(tmp_path.glob("*/end.json"))) == 3


def test_a_step_that_was_cut_off_while_it_was_written_is_not_done(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, ABOUT, now=NOW)
    (journal.folder / "fit.json.part").write_text('{"run": "2025', encoding="utf-8")
    assert journal.result("fit") is None


def test_a_damaged_step_is_named_with_the_way_out(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, ABOUT, now=NOW)
    (journal.folder / "fit.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"fit\.json is no JSON.*retrain again"):
        journal.result("fit")
