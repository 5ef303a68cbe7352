"""A booster says the same from its text, row by row, thread by thread, fast or not."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, cast

import lightgbm
import numpy as np
import pytest
from structlog.testing import capture_logs

from models.errors import BundleError
from models.risk import booster as module
from models.risk.booster import Booster
from models.risk.encode import Encoder, FloatArray
from models.risk.fast import SingleRow
from tests.models.risk.small import NAMES, booster, frame, specs, text


def matrix(rows: int = 300, seed: int = 5) -> FloatArray:
    some = frame(rows, seed)
    return Encoder.of(frame(2_000, seed=1), specs()).matrix(some)


def test_it_says_what_the_fitted_booster_said() -> None:
    rows = matrix()
    fitted = lightgbm.Booster(model_str=text())
    assert np.array_equal(
        booster().raw(rows), cast("FloatArray", fitted.predict(rows, raw_score=True))
    )
    assert booster().trees == 30
    assert booster().features == NAMES
    assert "cat_threshold=" in text(), "the booster has no split on a category"


def test_its_text_comes_back_and_says_the_same() -> None:
    again = Booster.from_text(booster().text, features=NAMES)
    assert again.text == booster().text
    assert again.raw(matrix()).tobytes() == booster().raw(matrix()).tobytes()


def test_one_row_is_to_the_bit_one_of_many() -> None:
    rows = matrix()
    assert booster().fast
    one = np.array([booster().raw_one(row) for row in rows])
    assert one.tobytes() == booster().raw(rows).tobytes()


def test_the_order_of_memory_and_the_threads_do_not_matter() -> None:
    rows = matrix()
    plain = booster().raw(rows)
    for other in (np.asfortranarray(rows), rows.repeat(2, axis=0)[::2], rows.astype(object)):
        assert booster().raw(cast("FloatArray", other), threads=2).tobytes() == plain.tobytes()


def test_contributions_sum_to_the_log_odds() -> None:
    rows = matrix()
    parts = booster().contributions(rows)
    assert parts.shape == (len(rows), len(NAMES) + 1)
    assert np.abs(parts.sum(axis=1) - booster().raw(rows)).max() < 1e-9


def test_contributions_of_one_row_are_its_own_copy() -> None:
    rows = matrix()
    one = [booster().contributions(row[None, :]) for row in rows[:20]]
    assert np.concatenate(one).tobytes() == booster().contributions(rows[:20]).tobytes()


def test_contributions_are_those_of_shap() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shap's plots use what matplotlib is about to give up
        import shap
    rows = matrix(100)
    explainer = shap.TreeExplainer(lightgbm.Booster(model_str=text()))
    explained = cast("_Explained", explainer(rows))
    values = explained.values
    assert np.abs(values - booster().contributions(rows)[:, :-1]).max() < 1e-9
    assert np.allclose(explained.base_values, booster().contributions(rows)[:, -1], atol=1e-9)


def test_threads_do_not_disturb_each_other() -> None:
    rows = matrix(2_000)
    expected = booster().raw(rows)
    expected_parts = booster().contributions(rows[:100])

    def all_of_them(start: int) -> bool:
        order = np.roll(np.arange(len(rows)), start)
        got = np.array([booster().raw_one(rows[i]) for i in order])
        parts = [booster().contributions(rows[i : i + 1])[0] for i in range(100)]
        return np.array_equal(got, expected[order]) and np.array_equal(parts, expected_parts)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(all_of_them, range(0, 2_000, 250)))


def test_a_threads_settings_go_with_it() -> None:
    mine = Booster.from_text(text(), features=NAMES)
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(mine.raw_one, matrix()[0]).result()
    gc.collect()
    assert mine.raw_one(matrix()[0]) == said


def test_no_rows_are_no_rows() -> None:
    none = np.zeros((0, len(NAMES)))
    assert booster().raw(none).shape == (0,)
    assert booster().contributions(none).shape == (0, len(NAMES) + 1)


def test_an_array_that_does_not_fit_is_refused() -> None:
    for wrong in (np.zeros((3, 2)), np.zeros(len(NAMES))):
        with pytest.raises(BundleError, match=r"reads 6 features, got an array of"):
            booster().raw(wrong)
    for wrong in (np.zeros(1), np.zeros((1, len(NAMES)))):
        with pytest.raises(BundleError, match=r"reads 6 features, got an array of"):
            booster().raw_one(wrong)


class _Explained(Protocol):
    values: FloatArray
    base_values: FloatArray


class _Differs(SingleRow):
    def __call__(self, row: FloatArray) -> FloatArray:
        return super().__call__(row) + 1e-15


def _gone(*_: object) -> SingleRow:
    raise AttributeError("no such function")


@pytest.mark.parametrize(
    ("broken", "reason"), [(_Differs, "it differs from"), (_gone, "no such function")]
)
def test_without_the_fast_path_it_says_the_same_and_says_so_once(
    broken: Callable[..., SingleRow],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = matrix(30)
    plain, parts = booster().raw(rows), booster().contributions(rows[:1])
    monkeypatch.setattr(module, "SingleRow", broken)
    with capture_logs() as logs:
        slow = Booster.from_text(text(), features=NAMES)
        assert not slow.fast
        said = np.array([slow.raw_one(row) for row in rows])
        assert np.array_equal(slow.contributions(rows[:1]), parts)
    assert said.tobytes() == plain.tobytes()
    assert [log["log_level"] for log in logs] == ["warning"]
    assert reason in logs[0]["reason"]


def test_a_text_without_names_is_taken() -> None:
    line = f"feature_names={' '.join(NAMES)}"
    bare = text().replace(line, "feature_names=" + " ".join(f"Column_{i}" for i in range(6)))
    assert np.array_equal(
        Booster.from_text(bare, features=NAMES).raw(matrix()), booster().raw(matrix())
    )
