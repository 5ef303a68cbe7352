"""Explanations: they add up, equal shap's, name records, and keep silent where they must."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import cast

import numpy as np
import polars as pl
import pytest

from models.errors import BundleError, ConfigError
from models.records.contracts import CONTRACTS
from models.risk.encode import FloatArray
from models.risk.explain import Explainer, Explanation, Reason, as_table, explain
from models.risk.wording import said, titles_of
from tests.models.features.firms import AS_OF
from tests.models.risk import town


@pytest.fixture(scope="module")
def explained() -> list[Explanation]:
    return explain(town.features(), town.bundle(), records=town.everyone())


def _all(rows: list[Explanation]) -> list[Reason]:
    return [reason for row in rows for reason in (*row.reasons, *row.mitigating)]


# shap's own use of matplotlib, and its remark on the shape of what it returns
@pytest.mark.filterwarnings(
    "ignore::PendingDeprecationWarning", "ignore:LightGBM binary classifier"
)
@pytest.mark.parametrize("internal", [False, True])
def test_contributions_equal_those_of_shap(*, internal: bool) -> None:
    """``internal``: by shap's own algorithm, which knows no categories, not through LightGBM's."""
    import shap

    frame = town.features()
    numbers = [spec for spec in town.pipeline().features if spec.dtype == "number"]
    bundle = town.fitted(frame, town.risk(), specs=numbers) if internal else town.bundle()
    matrix = bundle.encoder.matrix(frame)
    explainer = shap.TreeExplainer(bundle.booster._booster)
    if internal:
        explainer.model.model_type = "internal"
    shap_values = cast("Callable[..., list[FloatArray] | FloatArray]", explainer.shap_values)
    values = shap_values(matrix, check_additivity=False)
    own = bundle.booster.contributions(matrix)
    np.testing.assert_allclose(own[:, :-1], values, rtol=0, atol=1e-9)
    assert own[0, -1] == pytest.approx(float(np.ravel(explainer.expected_value)[0]), abs=1e-9)


def test_everything_adds_up_to_the_raw_score(explained: list[Explanation]) -> None:
    bundle = town.bundle()
    raw = bundle.booster.raw(bundle.encoder.matrix(town.features()))
    for row, expected in zip(explained, raw, strict=True):
        listed = sum(reason.contribution for reason in (*row.reasons, *row.mitigating))
        assert row.base + listed + row.rest == pytest.approx(expected, abs=1e-9)
        assert row.base + sum(f.contribution for f in row.families) == pytest.approx(
            expected, abs=1e-9
        )
        assert row.raw == pytest.approx(expected, abs=1e-9)


def test_a_reason_is_the_sum_of_its_parts_and_says_the_first(explained: list[Explanation]) -> None:
    specs = {spec.name: spec for spec in town.bundle().features}
    titles = titles_of(CONTRACTS)
    for reason in _all(explained):
        assert sum(p.contribution for p in reason.parts) == pytest.approx(reason.contribution)
        first = reason.parts[0]
        text = said(specs[first.feature], first.value, as_of=AS_OF, titles=titles)
        assert reason.text == text


def test_nested_windows_of_one_count_are_one_reason(explained: list[Explanation]) -> None:
    counted = [r for r in _all(explained) if r.parts[0].feature.startswith("penalty_count_")]
    assert counted
    for reason in counted:
        windows = {f"penalty_count_{days}d" for days in (90, 365, 1095)}
        assert windows <= {part.feature for part in reason.parts}


def test_no_sentence_is_said_twice(explained: list[Explanation]) -> None:
    together = 0
    for row in explained:
        reasons = (*row.reasons, *row.mitigating)
        assert len({reason.text for reason in reasons}) == len(reasons)
        together += sum("无" in r.text and len(r.parts) > 3 for r in reasons)
    assert together


def test_shares_of_flagged_neighbours_go_with_their_count() -> None:
    groups = [{s.name for s in g.specs} for g in Explainer.of(town.bundle()).groups]
    assert {"relation_flagged_count", "relation_flagged_share"} in groups
    assert {"relation_count"} in groups


def test_what_raises_the_risk_comes_apart_and_by_weight(explained: list[Explanation]) -> None:
    for row in explained:
        rising = [reason.contribution for reason in row.reasons]
        falling = [reason.contribution for reason in row.mitigating]
        assert rising == sorted(rising, reverse=True)
        assert all(value > 0 for value in rising)
        assert falling == sorted(falling)
        assert all(value < 0 for value in falling)


def test_top_bounds_each_direction_and_the_rest_takes_what_is_left(
    explained: list[Explanation],
) -> None:
    short = explain(town.features(), town.bundle(), top=2)
    for row, whole in zip(short, explained, strict=True):
        assert [r.text for r in row.reasons] == [r.text for r in whole.reasons[:2]]
        assert len(row.mitigating) <= 2
        listed = sum(reason.contribution for reason in (*row.reasons, *row.mitigating))
        assert row.base + listed + row.rest == pytest.approx(row.raw, abs=1e-9)


def test_owner_and_audited_place_are_learnt_from_but_never_worded(
    explained: list[Explanation],
) -> None:
    hidden = ("subject_ownership", "subject_enterprise_type", "subject_city")
    bundle = town.bundle()
    found = bundle.booster.contributions(bundle.encoder.matrix(town.features()))
    places = [bundle.encoder.features.index(name) for name in hidden]
    weight = found[:, places].sum(axis=1)
    assert np.abs(weight).max() > 0.1
    for row, expected in zip(explained, weight, strict=True):
        (total,) = (f for f in row.families if f.family == "subject")
        assert total.other == pytest.approx(expected, abs=1e-9)
        assert total.other_title == "其他"
        whole = repr(asdict(row))
        said = (*hidden, *town.OWNERS, "所有制", "企业类型", "所在城市", "沈阳", "大连")
        assert not [word for word in said if word in whole]


def test_evidence_of_a_count_has_so_many_records(explained: list[Explanation]) -> None:
    counted = 0
    for reason in _all(explained):
        first = reason.parts[0]
        if "_count_" in first.feature and not first.feature.startswith(("peers", "relation")):
            assert reason.evidence is not None
            assert len(reason.evidence) == first.value
            counted += len(reason.evidence)
    assert counted > 50


def test_evidence_of_neighbours_names_them(explained: list[Explanation]) -> None:
    flagged = [
        r
        for r in _all(explained)
        if r.parts[0].feature == "relation_penalty_count" and r.parts[0].value
    ]
    assert flagged
    for reason in flagged:
        neighbours = {one.neighbour for one in reason.evidence or ()}
        assert len(neighbours) == reason.parts[0].value


def test_without_records_evidence_is_not_looked_up() -> None:
    (row,) = explain(town.features()[:1], town.bundle())
    assert {reason.evidence for reason in (*row.reasons, *row.mitigating)} == {None}


def test_one_row_is_explained_as_among_many(explained: list[Explanation]) -> None:
    for place in (0, 17, 63):
        (alone,) = explain(town.features()[place : place + 1], town.bundle())
        among = explained[place]
        assert [r.text for r in alone.reasons] == [r.text for r in among.reasons]
        assert alone.raw == pytest.approx(among.raw, abs=1e-12)


def test_no_rows_have_no_explanations() -> None:
    assert explain(town.features()[:0], town.bundle()) == []


def test_the_table_has_a_line_for_every_reason(explained: list[Explanation]) -> None:
    table = as_table(explained)
    assert table.height == len(_all(explained))
    first = table.filter(pl.col("subject_id") == explained[0].subject_id, "rises")
    assert first["place"].to_list() == list(range(1, len(explained[0].reasons) + 1))
    assert table["records"].null_count() == 0
    assert as_table(explain(town.features()[:3], town.bundle()))["records"].null_count() > 0


def test_a_kept_explainer_says_the_same(explained: list[Explanation]) -> None:
    kept = Explainer.of(town.bundle(), dict(CONTRACTS))
    assert kept.explain(town.features()[:5], records=town.everyone()) == explained[:5]


def test_columns_in_any_order_and_besides_do_not_matter(explained: list[Explanation]) -> None:
    frame = town.features()[:4]
    shuffled = frame.select(reversed(frame.columns)).with_columns(observed=True)
    again = explain(shuffled, town.bundle(), records=town.everyone())
    assert [r.reasons for r in again] == [r.reasons for r in explained[:4]]


def test_missing_keys_and_columns_and_reasons_are_refused() -> None:
    frame = town.features()[:1]
    with pytest.raises(ConfigError, match="'as_of'"):
        explain(frame.drop("as_of"), town.bundle())
    with pytest.raises(BundleError, match="penalty_count_365d"):
        explain(frame.drop("penalty_count_365d"), town.bundle())
    with pytest.raises(ConfigError, match="top is 0"):
        explain(frame, town.bundle(), top=0)


def test_infinite_values_are_refused_and_missing_ones_are_not() -> None:
    frame = town.features()[:1]
    with pytest.raises(BundleError, match="infinite"):
        explain(frame.with_columns(penalty_count_365d=float("inf")), town.bundle())
    nothing = frame.with_columns(pl.lit(None, d).alias(n) for n, d in frame.schema.items()
                                 if n not in {"subject_id", "as_of"})  # fmt: skip
    (row,) = explain(nothing, town.bundle())
    assert row.as_of == AS_OF
    assert all("None" not in r.text and "nan" not in r.text for r in _all([row]))
