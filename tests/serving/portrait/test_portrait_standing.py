from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from sqlalchemy import text

from models.codes import industries
from models.features import relation
from models.features.digest import keyed
from models.features.network import Network
from models.records.lake import Lake
from models.records.reading import MemoryRecords
from serving.auth.roles import Role
from serving.ledger import audit
from serving.portrait import standing
from serving.portrait.whole import OF_RECORDS, Section
from tests.models.features.firms import AS_OF, FIRMS, penalty
from tests.models.risk import town
from tests.serving import village
from tests.serving.portrait.easel import Easel, rich


def region(firm: int) -> str:
    return str(village.stored(firm, "subject")["region"][0])


def group(firm: int) -> tuple[str | None, str]:
    """Return a firm's industry division and district."""
    return industries.division_of(village.stored(firm, "subject")["industry"][0]), region(firm)


def known() -> MemoryRecords:
    """Return the records of everybody whom the lake has."""
    mine = pl.col("subject_id").is_in(village.KNOWN)
    frames = town.everyone().frames
    return MemoryRecords({table: frame.filter(mine) for table, frame in frames.items()})


def test_a_portrait_is_of_the_sections_that_are_asked_for(easel: Easel) -> None:
    firm = rich()
    easel.score(firm)
    always = {"subject_id", "as_of", "notes"}
    assert easel.draw(firm).keys() == always | set(Section)
    assert easel.draw(firm, sections="peers, grades").keys() == always | {"peers", "grades"}


def test_who_may_not_read_records_sees_no_section_of_them(easel: Easel) -> None:
    viewer = easel.as_caller(roles=[Role.VIEWER])
    drawn = easel.draw(0, viewer)
    assert set(Section) - OF_RECORDS == drawn.keys() & set(Section)
    refused = easel.ask(0, viewer, sections="grades,timeline")
    assert (refused.status_code, refused.json()["permission"]) == (403, "records_read")


def test_a_subject_elsewhere_is_as_one_that_is_not_there(easel: Easel) -> None:
    other = "2102" if region(0).startswith("2101") else "2101"
    there = easel.as_caller(roles=[Role.INSPECTOR], regions=(other,))
    for answer in (easel.ask(0, there), easel.ask("nobody"), easel.suppose(0, there, void=["x"])):
        assert answer.status_code == 404


def test_grades_and_reasons_are_those_that_were_stored(easel: Easel) -> None:
    firm = rich()
    (old,) = easel.score(firm)
    day = AS_OF + timedelta(days=3)
    easel.clock.on(day)
    village.post(easel.service, "penalty", penalty(firm, AS_OF, document_number="新"))
    (new,) = easel.score(firm)
    drawn = easel.draw(firm, sections="grades,reasons,dimensions")
    (scenario,) = drawn["grades"]["scenarios"]
    assert [one["id"] for one in scenario["points"]] == [new["id"], old["id"]]
    assert [one["valid"] for one in scenario["points"]] == [True, True]
    (told,) = drawn["reasons"]["scenarios"]
    assert told["decision"] == new["id"]
    said = new["explanation"]["reasons"]
    assert [one["text"] for one in told["explanation"]["reasons"]] == [one["text"] for one in said]
    for one, stored in zip(told["explanation"]["reasons"], said, strict=True):
        assert one["evidence_count"] == len(stored["evidence"])
        assert one["evidence"] == stored["evidence"][: standing.EVIDENCE]
    (dimensions,) = drawn["dimensions"]["scenarios"]
    assert dimensions["explained"] is True
    total = sum(one["contribution"] for one in dimensions["dimensions"])
    listed = [*said, *new["explanation"]["mitigating"]]
    assert total == pytest.approx(sum(one["contribution"] for one in listed))


def test_a_decision_that_was_made_later_is_only_counted(easel: Easel) -> None:
    firm, past = rich(), AS_OF - timedelta(days=5)
    easel.score(firm, as_of=str(past))
    then = easel.draw(firm, sections="grades,peers,reasons", as_of=str(past))
    assert then["grades"] == {"scenarios": [], "made_later": 1}
    assert then["reasons"]["scenarios"] == then["peers"]["scenarios"] == []
    now = easel.draw(firm, sections="grades")["grades"]
    assert [one["as_of"] for one in now["scenarios"][0]["points"]] == [str(past)]


def test_a_firm_that_was_never_decided_has_facts_and_no_pull(easel: Easel) -> None:
    drawn = easel.draw(rich(), sections="grades,dimensions,reasons,timeline")
    assert drawn["grades"]["scenarios"] == drawn["reasons"]["scenarios"] == []
    (facts,) = drawn["dimensions"]["scenarios"]
    assert (facts["scenario"], facts["explained"]) == (None, False)
    counted = {g["id"]: g["records"] for d in facts["dimensions"] for g in d["groups"]}
    assert counted["penalties"] == drawn["timeline"]["counts"]["penalty"]
    assert {one["pull"] for one in facts["dimensions"]} == {"unknown"}


def test_the_percentile_is_among_the_trade_and_district(easel: Easel) -> None:
    firm = rich()
    made = {
        one["subject_id"]: one for one in easel.score(*range(len(village.KNOWN)), explain=False)
    }
    drawn = easel.draw(firm, sections="peers")["peers"]
    register = village.stored(firm, "subject").row(0, named=True)
    division = industries.division_of(register["industry"])
    scores = [
        made[FIRMS[n]]["risk_score"]
        for n in range(len(village.KNOWN))
        if region(n) == region(firm)
        and industries.division_of(village.stored(n, "subject")["industry"][0]) == division
    ]
    own = made[FIRMS[firm]]["risk_score"]
    equal = sum(one == own for one in scores)
    expected = (sum(one < own for one in scores) + equal / 2) / len(scores)
    (told,) = drawn["scenarios"]
    assert (drawn["division"], drawn["district"]) == group(firm)
    assert (told["size"], told["percentile"]) == (len(scores), pytest.approx(expected))
    assert sum(told["grades"].values()) == len(scores)


def test_few_peers_give_no_percentile(easel: Easel) -> None:
    easel.score(0)
    (told,) = easel.draw(0, sections="peers")["peers"]["scenarios"]
    assert (told["size"], told["percentile"]) == (1, None)


def test_neighbours_are_those_that_features_count(easel: Easel) -> None:
    network = Network.of([known()], outcomes=False)
    for firm in (rich(), 1, 14):
        counted = relation.neighbours(network, FIRMS[firm], AS_OF)
        told = easel.draw(firm, sections="relations")["relations"]
        assert told["known"] is True
        assert told["count"] == len(counted["relation_count"])
        assert told["flagged"] == len(counted["relation_flagged_count"])
        named = {one["subject_id"]: one for one in told["neighbours"]}
        by_key = dict(
            zip(keyed(pl.Series(list(named), dtype=pl.String)).to_list(), named, strict=True)
        )
        flagged = {by_key[int(key)] for key in counted["relation_flagged_count"]}
        assert {name for name, one in named.items() if one["flags"]} == flagged


def test_neighbours_elsewhere_are_only_counted(easel: Easel) -> None:
    firm = 0
    everywhere = easel.draw(firm, sections="relations")["relations"]
    regions = {one["subject_id"]: one["region"] for one in everywhere["neighbours"]}
    here = easel.as_caller(roles=[Role.INSPECTOR], regions=(region(firm),))
    told = easel.draw(firm, here, sections="relations")["relations"]
    mine = {name for name, code in regions.items() if code == region(firm)}
    assert {one["subject_id"] for one in told["neighbours"]} == mine
    assert told["elsewhere"]["count"] == len(regions) - len(mine)
    assert told["count"] == everywhere["count"]


def test_a_neighbour_whose_record_was_repaired_is_flagged_no_more(easel: Easel) -> None:
    network = Network.of([known()], outcomes=False)
    for firm in range(len(village.KNOWN)):
        told = easel.draw(firm, sections="relations")["relations"]["neighbours"]
        hit = next((one for one in told if one["flags"] == ["penalty"]), None)
        if hit is not None:
            break
    else:
        pytest.fail("nobody is flagged by a penalty")
    assert len(network.flags) > 0
    other = FIRMS.index(hit["subject_id"])
    for record in village.stored(other, "penalty")["record_id"]:
        easel.void(other, "penalty", record, "repaired")
    again = easel.draw(firm, sections="relations")["relations"]["neighbours"]
    assert next(one for one in again if one["subject_id"] == hit["subject_id"])["flags"] == []


def test_fields_of_persons_need_a_purpose_and_are_audited(easel: Easel) -> None:
    village.post(
        easel.service,
        "subject",
        {
            **village.stored(0, "subject").row(0, named=True),
            "address": "辽宁省沈阳市和平区文化路1号3单元",
            "known_at": village.NOON,
        },
    )
    plain = easel.draw(0, sections="identity")["identity"]
    assert (plain["masked"], plain["address"]) == (True, "辽宁省沈阳市****")
    purpose = easel.as_caller(roles=[Role.INSPECTOR], purpose="supervision")
    whole = easel.draw(0, purpose, sections="identity")["identity"]
    assert (whole["masked"], whole["address"]) == (False, "辽宁省沈阳市和平区文化路1号3单元")
    with easel.service.ledger.begin() as connection:
        seen = audit.page(connection, target=f"subject:{FIRMS[0]}")
    assert [one["action"] for one in seen] == ["personal.read"]


def test_clocks_tell_from_when_a_record_may_be_repaired(easel: Easel) -> None:
    firm = rich()
    fresh = penalty(firm, AS_OF - timedelta(days=20), severity="general", document_number="新",
                    known_at=village.NOON)  # fmt: skip
    village.post(easel.service, "penalty", fresh)
    told = easel.draw(firm, sections="clocks,timeline", limit=200)
    clocks = told["clocks"]["clocks"]
    waiting = next(one for one in clocks if one["what"] == "新")
    assert (waiting["kind"], waiting["state"]) == ("repair", "waiting")
    assert waiting["opens_on"] == waiting["next_on"] == "2025-03-12"
    assert waiting["days_left"] == 70
    assert {one["state"] for one in clocks} <= {"open", "waiting", "fixed"}
    counted = told["timeline"]["counts"]
    kinds = [one["table"] for one in clocks]
    assert kinds.count("penalty") == counted["penalty"]
    assert sum(told["clocks"]["counts"].values()) == len(clocks) + told["clocks"]["more"]


def test_guidance_is_of_today(easel: Easel) -> None:
    firm = rich()
    told = easel.draw(firm, sections="guidance")["guidance"]
    (scenario,) = told["scenarios"]
    assert told["left_out"] is None
    assert scenario["guidance"]["subject_id"] == FIRMS[firm]
    assert scenario["guidance"]["outcome"] in {"grade", "score", "no_effect", "nothing", "best"}
    past = easel.draw(firm, sections="guidance", as_of="2024-06-01")["guidance"]
    assert (past["scenarios"], past["left_out"]) == ([], "past")


def test_freshness_tells_of_each_table(easel: Easel) -> None:
    firm = rich()
    village.post(easel.service, "penalty", penalty(firm, AS_OF, document_number="新",
                                                   known_at=village.NOON))  # fmt: skip
    tables = {t["table"]: t for t in easel.draw(firm, sections="freshness")["freshness"]["tables"]}
    lake = Lake.open(easel.service.settings.lake)
    last = max(lake.scan("inspection").collect()["happened_on"].to_list())
    told = tables["inspection"]
    assert told["last_record_on"] == str(last)
    assert told["last_record_age_days"] == (AS_OF - last).days
    assert tables["penalty"]["live_waiting"] == 1
    assert tables["penalty"]["own_last_on"] == str(AS_OF)


def test_a_portrait_stores_nothing(easel: Easel) -> None:
    easel.score(0)
    count = text("select (select count(*) from decision) + (select count(*) from explanation)")
    with easel.service.ledger.begin() as connection:
        before = connection.execute(count).scalar()
    easel.draw(0)
    with easel.service.ledger.begin() as connection:
        assert connection.execute(count).scalar() == before
