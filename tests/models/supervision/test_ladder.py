from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from models.errors import ConfigError
from models.supervision.ladder import Ladder, ladder, load_ladder, proposals

TODAY = date(2026, 11, 20)


def ids(*facts: str) -> list[str]:
    return [found.stage.id for found in proposals(facts, [], TODAY)]


@pytest.mark.parametrize(
    ("facts", "stages"),
    [
        ((), []),
        (("model_alert",), ["L0"]),
        (("model_alert", "repeated_alert"), ["L1", "L0"]),
        (("violation_found", "minor_and_corrected"), ["L3", "L2"]),
        (("minor_and_corrected", "repeat_offence"), ["L7"]),
        (("suspected_crime", "heavy_penalty"), ["LX", "L6"]),
    ],
)
def test_facts_propose_the_stages_they_allow_the_gravest_first(
    facts: tuple[str, ...], stages: list[str]
) -> None:
    assert ids(*facts) == stages


def test_a_proposal_tells_why_and_what_is_missing() -> None:
    (found,) = proposals(["violation_found"], ["site_record"], TODAY)
    assert found.because == ("violation_found",)
    assert found.missing == ("deadline", "recheck_date")
    assert not found.complete
    (whole,) = proposals(["violation_found"], ["site_record", "deadline", "recheck_date"], TODAY)
    assert whole.complete


@pytest.mark.parametrize(
    ("facts", "evidence", "told"),
    [(["violation_fund"], [], "violation_found"), ([], ["site_recod"], "site_record")],
)
def test_what_the_ladder_does_not_know_is_refused_with_the_nearest_name(
    facts: list[str], evidence: list[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        proposals(facts, evidence, TODAY)


def test_a_stage_is_proposed_only_while_it_is_in_force() -> None:
    rungs = ladder()
    ended = rungs.stage("L0").model_copy(update={"effective_to": date(2026, 11, 19)})
    changed = Ladder(stages=(ended,), facts=rungs.facts, evidence=rungs.evidence)
    assert proposals(["model_alert"], [], TODAY, rungs=changed) == ()
    assert len(proposals(["model_alert"], [], date(2026, 11, 19), rungs=changed)) == 1


def test_every_fact_leads_somewhere_and_every_stage_has_a_ground() -> None:
    rungs = ladder()
    assert {name for stage in rungs.stages for name in stage.any} == set(rungs.facts)
    assert {name for stage in rungs.stages for name in stage.evidence} == set(rungs.evidence)
    with pytest.raises(ConfigError, match="no stage 'L5x'"):
        rungs.stage("L5x")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("id: L1", "id: L0", "two stages"),
        ("any: [simple_case]", "any: [simple_cas]", "simple_case"),
        ("evidence: [threshold_check, evidence_chain]", "evidence: [x]", "no evidence 'x'"),
        ("basis: [行政指导（国办发〔2019〕35号）]", "basis: []", "at least 1"),
    ],
)
def test_a_ladder_that_cannot_be_meant_is_refused(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    source = Path(load_ladder.__code__.co_filename).with_name("ladder.yaml").read_text("utf-8")
    assert old in source
    (tmp_path / "l.yaml").write_text(source.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        load_ladder(tmp_path / "l.yaml")
