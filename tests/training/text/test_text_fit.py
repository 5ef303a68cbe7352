from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from structlog.testing import capture_logs

from models.errors import BundleError, ConfigError, FitError
from models.text.bundle import TextBundle
from models.text.classifier import Classifier
from models.text.linear import EVEN
from models.text.taxonomy import taxonomy
from tests.training.text.conftest import CPU, world
from training.text import network
from training.text.distil import distil
from training.text.evaluate import Evaluation, evaluate, load_bundles, race
from training.text.fit import LEADS, FittedText, fit
from training.text.learn import Course, Place
from training.text.network import FitPlan, fit_network
from training.text.targets import learn_heads, targets_of, texts_of

LEAVES = taxonomy()


@pytest.fixture(scope="session")
def fitted(base: Path, quick: FitPlan) -> FittedText:
    frame = world(120).with_columns(severity=pl.when(pl.int_range(120) % 3 > 0).then("severity"))
    return fit(frame, base=str(base), plan=quick, taxonomy=LEAVES, course=CPU)


@pytest.fixture(scope="session")
def saved(fitted: FittedText, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    for kind, bundle in fitted.bundles.items():
        bundle.save(folder / kind)
    return folder


def test_a_fit_gives_every_kind_and_one_winner(fitted: FittedText) -> None:
    assert list(fitted.bundles) == ["baseline", "linear", "encoder", "ensemble"]
    kinds = [bundle.kind for bundle in fitted.bundles.values()]
    assert kinds == ["linear", "linear", "encoder", "ensemble"]
    assert fitted.verdict.winner in fitted.bundles
    assert len(fitted.verdict.reasons) == 4


def test_the_baseline_counts_evenly_and_the_other_its_beginning_more(fitted: FittedText) -> None:
    plain, led, mixed = (fitted.bundles[kind].linear for kind in ("baseline", "linear", "ensemble"))
    assert plain is not None
    assert led is not None
    assert mixed is not None
    assert (plain.lead, led.lead) == (EVEN, LEADS[0])
    assert mixed in (plain, led)
    assert fitted.bundles["linear"].manifest.params["lead"] == "20×8"
    assert "strength" not in fitted.bundles["encoder"].manifest.params


def test_what_a_text_begins_with_decides_where_both_occur() -> None:
    """The same clauses, in either order: only the lead tells the labels apart."""
    one, other, between = "占道施工安全隐患影响出行", "食堂卫生状况堪忧请求整改", "望有关部门处理"
    pairs = {"住建": (one, other), "卫健": (other, one)}
    rows = [
        (between + between.join(pair) + between + str(number), label)
        for number in range(40)
        for label, pair in pairs.items()
    ]
    frame = pl.DataFrame(rows, schema=["text", "department"], orient="row")
    found = fit(frame, base=None, plan=FitPlan(validation=0.25)).verdict
    assert found.winner == "linear"
    assert found.measured["linear"]["department"].macro_f1 == 1
    assert found.measured["baseline"]["department"].macro_f1 < 0.9


def test_each_kind_reads_what_it_was_taught(saved: Path) -> None:
    for kind, bundle in load_bundles(saved).items():
        found = evaluate({kind: bundle}, world(120), engine="torch")
        assert found.measured[kind]["leaf"].macro_f1 > 0.9
        assert found.measured[kind]["severity"].macro_f1 > 0.9


def test_the_manifest_says_where_the_bundle_comes_from(fitted: FittedText) -> None:
    manifest = fitted.bundles["ensemble"].manifest
    assert manifest.taxonomy_digest == LEAVES.digest
    assert manifest.rows == 105
    assert manifest.params["seed"] == 7
    assert "leaf.macro_f1" in manifest.metrics


def test_a_garbled_text_is_not_answered_with_certainty(saved: Path) -> None:
    reader = Classifier(TextBundle.load(saved / "ensemble"), engine="onnx")
    (said,) = reader.read(["xyz qq ww"])
    assert (said["leaf"].confidence or 0) < 0.995


def test_the_test_part_is_never_learnt_from(base: Path, quick: FitPlan) -> None:
    frame = world(60)
    poisoned = frame.with_columns(
        leaf=pl.when(pl.col("split") == "test").then(pl.lit("F09")).otherwise("leaf")
    )
    plan = quick.model_copy(update={"epochs": 1})
    one, two = (fit(each, base=str(base), plan=plan, course=CPU) for each in (frame, poisoned))
    scores = [each.bundles["ensemble"].linear for each in (one, two)]
    assert scores[0] is not None
    assert scores[1] is not None
    np.testing.assert_array_equal(scores[0].weights, scores[1].weights)
    parts = [each.bundles["encoder"].encoder for each in (one, two)]
    assert parts[0] is not None
    assert parts[1] is not None
    assert parts[0].weights == parts[1].weights


def test_without_a_base_only_the_linear_models_are_fitted(quick: FitPlan) -> None:
    found = fit(world(60), base=None, plan=quick)
    assert list(found.bundles) == ["baseline", "linear"]
    assert found.verdict.winner == "baseline"


def test_a_leaf_unknown_to_the_taxonomy_is_refused(quick: FitPlan) -> None:
    frame = world(60).with_columns(pl.col("leaf").replace("F09", "Z99"))
    with pytest.raises(FitError, match="Z99 is no label of the taxonomy"):
        fit(frame, base=None, plan=quick, taxonomy=LEAVES)
    assert fit(frame, base=None, plan=quick).bundles["linear"].heads[0].parents == ()


def test_a_base_that_is_none_is_refused(quick: FitPlan, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read from this folder"):
        fit(world(60), base=str(tmp_path), plan=quick, course=CPU)


def _weights(made: network.Network) -> dict[str, torch.Tensor]:
    return dict(made.model.state_dict())


def test_a_resumed_fit_ends_as_if_it_had_not_been_cut_off(
    base: Path, quick: FitPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = world(60)
    targets, texts = targets_of(frame, learn_heads(frame)), texts_of(frame)
    plan = quick.model_copy(update={"epochs": 2, "keep_every": 2, "dropout": 0.1})
    whole = fit_network(texts, targets, str(base), plan=plan, course=CPU)
    real, calls = network._step, list[int]()

    def cut(*args: object, **options: object) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        real(*args, **options)  # pyright: ignore[reportArgumentType]

    kept = Course(CPU.place, tmp_path)
    monkeypatch.setattr(network, "_step", cut)
    with pytest.raises(KeyboardInterrupt):
        fit_network(texts, targets, str(base), plan=plan, course=kept)
    monkeypatch.setattr(network, "_step", real)
    again = fit_network(texts, targets, str(base), plan=plan, course=kept)
    one, two = _weights(whole), _weights(again)
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = plan.model_copy(update={"rate": 1e-3})
    with pytest.raises(FitError, match="other settings"):
        fit_network(texts, targets, str(base), plan=other, course=kept)


def test_a_head_that_is_unknown_teaches_nothing(base: Path, quick: FitPlan) -> None:
    frame = world(40)
    plan = quick.model_copy(update={"epochs": 1})
    heads = learn_heads(frame)
    blind = frame.with_columns(severity=pl.lit(None, pl.String))
    made = fit_network(texts_of(blind), targets_of(blind, heads), str(base), plan=plan, course=CPU)
    start = fit_network(
        texts_of(blind),
        targets_of(blind, heads),
        str(base),
        plan=plan.model_copy(update={"rate": 1e-12}),
        course=CPU,
    )
    columns = slice(3, 6)
    one, two = (_weights(each)["heads.bias"] for each in (made, start))
    assert torch.allclose(one[columns], two[columns], atol=1e-6)
    assert not torch.allclose(one[:3], two[:3], atol=1e-6)


def test_bfloat16_on_the_cpu_learns_as_well(base: Path, quick: FitPlan) -> None:
    frame = world(80)
    targets = targets_of(frame, learn_heads(frame.select("text", "leaf")))
    course = Course(Place("cpu", "bf16"))
    made = fit_network(texts_of(frame), targets, str(base), plan=quick, course=course)
    right = made.scores(texts_of(frame)).argmax(1) == targets.values.argmax(1)
    assert right.mean() > 0.9


def test_out_of_memory_while_fine_tuning_means_smaller_batches(
    base: Path, quick: FitPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = network._loss

    def small(*args: object, **options: object) -> torch.Tensor:
        scores = args[1]
        assert isinstance(scores, torch.Tensor)
        if len(scores) > 4:
            raise torch.OutOfMemoryError("injected")
        return real(*args, **options)  # pyright: ignore[reportArgumentType]

    frame = world(40)
    targets, texts = targets_of(frame, learn_heads(frame)), texts_of(frame)
    plan = quick.model_copy(update={"epochs": 2})
    whole = fit_network(texts, targets, str(base), plan=plan, course=CPU)
    monkeypatch.setattr(network, "_loss", small)
    with capture_logs() as logged:
        parts = fit_network(texts, targets, str(base), plan=plan, course=CPU)
    assert any("smaller batches" in entry["event"] for entry in logged)
    np.testing.assert_allclose(parts.scores(texts), whole.scores(texts), atol=0.05)


def test_nothing_labelled_cannot_be_fitted(base: Path, quick: FitPlan) -> None:
    frame = world(10)
    heads = learn_heads(frame)
    blind = frame.select("text")
    with pytest.raises(FitError, match="no labelled text"):
        fit_network(texts_of(blind), targets_of(blind, heads), str(base), plan=quick, course=CPU)


def test_an_evaluation_is_kept_and_read_again(saved: Path, tmp_path: Path) -> None:
    found = evaluate(load_bundles(saved), world(120), near=0.8)
    assert found.rows == 15
    assert found.near is not None
    assert found.measured.keys() == {"baseline", "linear", "encoder", "ensemble"}
    found.save(tmp_path / "evaluation.json")
    assert Evaluation.load(tmp_path / "evaluation.json") == found
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(BundleError, match="is not an evaluation"):
        Evaluation.load(tmp_path / "evaluation.json")


def test_there_must_be_something_to_evaluate(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds none of baseline, linear"):
        load_bundles(tmp_path)
    with pytest.raises(ConfigError, match="no text in part 'test'"):
        evaluate(load_bundles(saved), world(4))


def test_engines_race_over_the_same_texts(saved: Path) -> None:
    bundles = load_bundles(saved)
    raced = race(bundles["encoder"], world(40)["text"].to_list(), batches=(8,), threads=1)
    assert raced[0].engine == "torch"
    assert raced[0].times_eager == 1
    assert all(one.agreement >= 0.99 for one in raced)
    with pytest.raises(ConfigError, match="no transformer"):
        race(bundles["linear"], ["食品"])


def test_a_student_answers_as_its_teacher(saved: Path, base: Path, quick: FitPlan) -> None:
    teacher = TextBundle.load(saved / "ensemble")
    more = world(120, seed=9)["text"].to_list()
    student = distil(
        teacher, world(60), str(base), unlabelled=more, plan=quick, engine="torch", course=CPU
    )
    asked = world(60, seed=21)["text"].to_list()
    one = Classifier(student, engine="torch").probabilities(asked)["leaf"].argmax(1)
    two = Classifier(teacher, engine="torch").probabilities(asked)["leaf"].argmax(1)
    assert (one == two).mean() > 0.9
    assert student.manifest.params["teacher"] == teacher.digest
    assert student.kind == "encoder"


def test_a_student_needs_labels_for_its_confidence(saved: Path, base: Path, quick: FitPlan) -> None:
    with pytest.raises(FitError, match="no labelled text"):
        distil(TextBundle.load(saved / "linear"), world(0), str(base), plan=quick, course=CPU)
