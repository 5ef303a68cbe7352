"""``xinjian draw estimate``, ``frontier`` and ``trial``."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from models.inspection.assignment_record import AssignmentRecord
from tests.models.inspection.catering import people
from tests.models.inspection.people import people as inspectors
from tests.models.inspection.people import visits
from xinjian.cli import main

pytestmark = pytest.mark.usefixtures("restored_logging")

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def command(*words: str) -> int:
    return main(["draw", *words])


def drawn(folder: str, plan: str) -> pl.DataFrame:
    """Carry a draw of 20 of 200 out in a folder; a third of the drawn fail."""
    pl.DataFrame(
        {
            "subject_id": [f"S{n:03}" for n in range(200)],
            "stratum": ["甲"] * 100 + ["乙"] * 100,
            "pi": [0.1] * 200,
        }
    ).write_csv("pool.csv")
    assert command("freeze", "pool.csv", "--plan", plan, "--out", folder) == 0
    at = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    Path("values.yaml").write_text(
        f"- {{source: 双色球 {plan}, value: '{plan}', published_at: '{at}'}}\n", encoding="utf-8"
    )
    seed = f"{folder}/seed.json"
    made = ("--entropy", "values.yaml", "--out", seed)
    assert command("seed", f"{folder}/commitment.json", *made) == 0
    assert command("draw", seed, "--out", f"{folder}/record.json") == 0
    record = json.loads(Path(folder, "record.json").read_text(encoding="utf-8"))
    ids = [one["subject_id"] for one in record["drawn"]]
    found = pl.DataFrame({"subject_id": ids, "positive": [n % 3 == 0 for n in range(len(ids))]})
    found.write_csv(f"{folder}/results.csv")
    return found


def test_a_rate_is_estimated_from_a_draw(capsys: Captured) -> None:
    found = drawn("a", "1")
    assert command("estimate", "a", "--out", "rates.csv") == 0
    made = pl.read_csv("rates.csv").row(0, named=True)
    assert made["rate"] == pytest.approx(found["positive"].cast(pl.Float64).to_numpy().mean())
    assert made["low"] < made["rate"] < made["high"]
    assert f"{made['rate']:.4f}" in capsys.readouterr().out
    assert command("estimate", "a", "--out", "rates.csv") == 2


def test_a_rate_is_estimated_within_groups() -> None:
    drawn("a", "1")
    pl.DataFrame(
        {"subject_id": [f"S{n:03}" for n in range(200)], "district": ["东", "西"] * 100}
    ).write_csv("people.csv")
    words = ("--by", "district", "--population", "people.csv", "--out", "rates.csv")
    assert command("estimate", "a", *words) == 0
    assert pl.read_csv("rates.csv")["district"].to_list() == ["东", "西"]


def test_draws_are_put_together(capsys: Captured) -> None:
    drawn("a", "1")
    drawn("b", "2")
    words = ("--period", "2027Q1", "--period", "2027Q2", "--out", "rates.csv")
    assert command("estimate", "a", "b", *words) == 0
    assert pl.read_csv("rates.csv")["population"].to_list() == [200, 200, 400]
    shown = capsys.readouterr().out
    assert "2027Q2" in shown
    assert "合计" in shown
    assert command("estimate", "a", "a") == 2
    assert "is given twice" in capsys.readouterr().err
    assert command("estimate", "a", "b", "--period", "one") == 2
    assert "1 periods for 2 draws" in capsys.readouterr().err


def test_results_that_do_not_fit_are_refused(capsys: Captured) -> None:
    found = drawn("a", "1")
    for text, said in (
        ("subject_id,positive\nnobody,1\n", "subject nobody was not drawn"),
        ("subject_id\nS001\n", "lacks the columns ['positive']"),
        (f"subject_id,positive\n{found['subject_id'][0]},maybe\n", "'maybe' is neither 1 nor 0"),
        (f"subject_id,positive\n{found['subject_id'][0]},1\n", "19 of 20 drawn have no result"),
    ):
        Path("a/results.csv").write_text(text, encoding="utf-8")
        assert command("estimate", "a") == 2
        assert said in capsys.readouterr().err


def test_a_falsified_draw_is_not_estimated_from(capsys: Captured) -> None:
    drawn("a", "1")
    path = Path("a/record.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    record["drawn"][0]["inclusion_probability"] = 0.9
    path.write_text(json.dumps(record), encoding="utf-8")
    assert command("estimate", "a") == 2
    assert "a/record.json does not hold" in capsys.readouterr().err


def test_the_frontier_is_drawn_with_the_chosen_point(capsys: Captured) -> None:
    people(300).write_csv("people.csv")
    words = ("--size", "40", "--share", "0.8", "--out", "line.svg")
    assert command("frontier", "people.csv", *words) == 0
    assert "选定" in Path("line.svg").read_text(encoding="utf-8")
    assert "allocation.precision" in capsys.readouterr().out
    assert command("frontier", "people.csv", *words) == 2


def test_a_trial_from_its_size_to_its_comparison(capsys: Captured) -> None:
    assert command("trial", "size", "0.08", "0.12", "--per-unit", "60") == 0
    assert "每组" in capsys.readouterr().out
    Path("offices.txt").write_text("一所\n二所\n三所\n四所\n", encoding="utf-8")
    words = ("--period", "2027Q1", "--period", "2027Q2", "--seed", "双色球 1", "--out", "arms.csv")
    assert command("trial", "assign", "offices.txt", *words) == 0
    assert "8 个单元：4 个按模型名单" in capsys.readouterr().out
    arms = pl.read_csv("arms.csv")
    found = pl.when(pl.col("arm") == "model").then(9).otherwise(4) + pl.int_range(pl.len()) % 3
    arms.with_columns(inspections=pl.lit(60), findings=found).write_csv("results.csv")
    assert command("trial", "compare", "results.csv") == 0
    shown = capsys.readouterr().out
    assert "问题发现率" in shown
    assert "+0.08" in shown


def test_an_assignment_keeps_its_record() -> None:
    drawn("a", "1")
    joined = [pl.col("matters").list.join(";")]
    inspectors(6).with_columns(joined).write_csv("inspectors.csv")
    visits(4).with_columns(joined).write_csv("tasks.csv")
    with_ = ("--inspectors", "inspectors.csv", "--seed", "a/seed.json")
    assert command("assign", "tasks.csv", *with_, "--out", "teams.csv") == 0
    task, person = pl.read_csv("teams.csv").row(0)
    Path("recusals.csv").write_text(
        f"task_id,inspector_id,reason\n{task},{person},近亲属\n", encoding="utf-8"
    )
    words = (*with_, "--recusals", "recusals.csv", "--out", "after.csv")
    assert command("assign", "tasks.csv", *words) == 0
    record = AssignmentRecord.parse(Path("after.json").read_bytes(), "after.json")
    assert [(one.task_id, one.inspector_id) for one in record.recusals] == [(task, person)]
    assert record.changes[0].left == person
