from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import ConfigError
from models.records.contracts import CONTRACTS
from models.risk.explain import Explainer
from models.supervision.difference import reason_changes
from models.supervision.dimensions import dimensions, load_dimensions, stands
from tests.models.features.firms import AS_OF, FIRMS
from tests.models.risk import town


def explanation(firm: int) -> dict[str, object]:
    import msgspec

    row = town.features().filter(town.features()["subject_id"] == FIRMS[firm])
    (made,) = Explainer.of(town.bundle()).explain(row)
    assert made.as_of == AS_OF
    return msgspec.to_builtins(made)


def test_every_table_and_feature_has_a_group_of_its_own() -> None:
    book = dimensions()
    assert {table for table in CONTRACTS if book.of_table(table) == book.other.id} == set()
    groups = {
        spec.name: book.of_feature(spec.name, family=spec.family, table=spec.table)
        for spec in town.pipeline().features
    }
    assert book.other.id not in groups.values()
    assert groups["penalty_count_365d"] == groups["peers_penalty_count_365d"] == "penalties"
    assert groups["relation_person_flagged_count"] == "shared_persons"
    assert groups["relation_count"] == "all_ties"
    assert groups["subject_registered_capital"] == "registration"


@pytest.mark.parametrize("firm", [0, 4, 17])
def test_the_dimensions_add_up_to_the_reasons(firm: int) -> None:
    told = explanation(firm)
    made = stands({"penalty": 2, "relation": 1}, told, town.pipeline().features)
    listed = [*told["reasons"], *told["mitigating"]]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
    expected = sum(float(one["contribution"]) for one in listed)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    assert sum(one.contribution or 0 for one in made) == pytest.approx(expected)
    texts = [text for one in made for group in one.groups for text in group.reasons]
    assert sorted(texts) == sorted(str(one["text"]) for one in listed)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    by_id = {group.id: group for one in made for group in one.groups}
    assert (by_id["penalties"].records, by_id["all_ties"].records) == (2, 1)


def test_without_an_explanation_nothing_is_said_of_the_risk() -> None:
    made = stands({"penalty": 2, "machine": 3}, None, ())
    assert {one.pull for one in made} == {"unknown"}
    assert (made[-1].id, made[-1].records) == ("other", 3)


def test_a_group_pulls_where_its_reasons_do() -> None:
    part = {"feature": "penalty_count_365d", "contribution": -0.4}
    told = {"reasons": [], "mitigating": [{"text": "无处罚", "family": "window", "parts": [part]}]}
    groups = {g.id: g for one in stands({}, told, town.pipeline().features) for g in one.groups}
    assert (groups["penalties"].pull, groups["penalties"].reasons) == ("lowers", ("无处罚",))
    assert groups["listings"].pull == "none"


def test_a_table_in_two_groups_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_text(
        "certainty: proposal\nother: {id: other, title: 其他}\ndimensions:\n"
        "  - {id: a, title: 甲, weight: 1, groups: [{id: b, title: 乙, tables: [penalty]},"
        " {id: c, title: 丙, tables: [penalty]}]}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="penalty"):
        load_dimensions(path)


def reason(text: str, weight: float, *features: str) -> dict[str, object]:
    parts = [{"feature": one, "contribution": weight} for one in features]
    return {"text": text, "contribution": weight, "parts": parts}


def test_reasons_are_gone_new_or_changed_and_the_largest_comes_first() -> None:
    before = {
        "reasons": [
            reason("近365天行政处罚3次", 1.0, "penalty_count_365d"),
            reason("有失信", 0.5, "listing_count_365d"),
            reason("不变", 0.2, "complaint_count_365d"),
        ],
        "mitigating": [],
    }
    after = {
        "reasons": [reason("近90天行政处罚1次", 0.4, "penalty_count_90d")],
        "mitigating": [
            reason("无失信", -2.0, "inspection_count_90d"),
            reason("不变", 0.2, "complaint_count_365d"),
        ],
    }
    found = [
        (c.before_text, c.after_text, c.before, c.after) for c in reason_changes(before, after)
    ]
    assert found == [
        (None, "无失信", None, -2.0),
        ("近365天行政处罚3次", "近90天行政处罚1次", 1.0, 0.4),
        ("有失信", None, 0.5, None),
    ]
    assert reason_changes(before, before) == reason_changes(None, None) == ()
