from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs

from models.errors import BundleError, FitError
from models.text.encoder import load_base, masked_model
from tests.training.text.conftest import CPU, TINY, world
from training.text import learn, pretrain
from training.text.learn import CHECKPOINT, Parts, Place, rate, seed_step
from training.text.pretrain import Pretrained, PretrainPlan

PLAN = PretrainPlan(
    steps=6, tokens=512, length=30, long=60, keep_every=3, warm=0, rate=5e-3, decay=0.5
)
TEXTS = world(80)["text"].to_list()


def _run(out: Path, plan: PretrainPlan = PLAN, texts: list[str] = TEXTS) -> Pretrained:
    return pretrain.pretrain(texts, out, shape=TINY, plan=plan, place=CPU.place)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(masked_model(str(folder))[0].state_dict())


def test_pre_training_learns_the_language(tmp_path: Path) -> None:
    short = _run(tmp_path / "short")
    longer = _run(tmp_path / "long", PLAN.model_copy(update={"steps": 120}))
    assert longer.loss < short.loss - 0.5
    assert longer.correct > 0.2


def test_what_comes_out_is_a_base(tmp_path: Path) -> None:
    _run(tmp_path / "base")
    model, tokenizer = load_base(str(tmp_path / "base"))
    assert int(model.config.num_hidden_layers) == TINY.layers
    assert tokenizer.token_to_id("食") is not None


def test_a_resumed_run_ends_as_if_it_had_not_been_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _run(tmp_path / "whole")
    real, calls = pretrain._step, list[int]()

    def cut(*args: object, **options: object) -> tuple[float, float]:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*args, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(pretrain, "_step", cut)
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "cut")
    monkeypatch.setattr(pretrain, "_step", real)
    again = _run(tmp_path / "cut")
    assert again.tokens == whole.tokens
    one, two = _weights(tmp_path / "whole"), _weights(tmp_path / "cut")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        _run(tmp_path / name, PLAN.model_copy(update={"seed": seed, "steps": 2}))
    one, two, other = (_weights(tmp_path / name) for name in "abc")
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(one[name], two[name])
    assert not torch.equal(one[name], other[name])


def test_a_checkpoint_of_other_texts_is_refused(tmp_path: Path) -> None:
    _run(tmp_path / "base")
    with pytest.raises(FitError, match="made on other texts"):
        _run(tmp_path / "base", texts=TEXTS[::-1])


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    _run(tmp_path / "base")
    wider = TINY.model_copy(update={"hidden": 64})
    with pytest.raises(BundleError, match="not a checkpoint of this model"):
        pretrain.pretrain(TEXTS, tmp_path / "base", shape=wider, plan=PLAN, place=CPU.place)


def test_a_base_can_be_pre_trained_further(tmp_path: Path) -> None:
    _run(tmp_path / "base")
    pretrain.pretrain(
        TEXTS, tmp_path / "more", plan=PLAN, base=str(tmp_path / "base"), place=CPU.place
    )
    assert (tmp_path / "more" / CHECKPOINT).is_dir()


@pytest.mark.parametrize("texts", [[], ["", " "]])
def test_nothing_to_read_is_an_error(tmp_path: Path, texts: list[str]) -> None:
    with pytest.raises(FitError, match="no text to pre-train on"):
        _run(tmp_path / "base", texts=texts)


def _masking(share: float = 0.2) -> pretrain._Masking:
    plain = np.array([False] * 5 + [True] * 20)
    return pretrain._Masking(pad=0, mask=4, plain=plain, share=share)


def test_about_the_asked_share_is_hidden_and_never_a_special_token() -> None:
    ids = np.random.default_rng(0).integers(0, 25, (50, 400))
    shown, wanted = _masking().apply(ids, np.random.default_rng(1))
    asked = wanted >= 0
    assert (ids[asked] >= 5).all()
    assert (wanted[asked] == ids[asked]).all()
    assert asked[ids >= 5].mean() == pytest.approx(0.18, abs=0.02)
    assert (shown[~asked] == ids[~asked]).all()
    assert (shown[asked] == 4).mean() == pytest.approx(0.8, abs=0.03)


def test_a_short_text_is_asked_at_least_one_character() -> None:
    ids = np.array([[2, 9, 3]])
    wanted = _masking(share=1e-9).apply(ids, np.random.default_rng(1))[1]
    assert (wanted >= 0).sum() == 1


def test_the_rate_rises_stays_and_falls() -> None:
    told = [rate(step, 100, peak=1, warm=10, decay=0.2) for step in range(100)]
    assert told[0] == pytest.approx(0.1)
    assert set(told[9:80]) == {1.0}
    assert told[-1] == pytest.approx(0.05)
    assert sorted(told[80:], reverse=True) == told[80:]


def test_each_step_has_random_numbers_of_its_own() -> None:
    first = seed_step(1, 5).random(), torch.rand(1).item()
    assert seed_step(1, 6).random() != first[0]
    assert (seed_step(1, 5).random(), torch.rand(1).item()) == first


def test_out_of_memory_means_smaller_batches() -> None:
    weight, seen = torch.ones(1, requires_grad=True), list[int]()

    def loss(rows: slice) -> torch.Tensor:
        size = rows.stop - rows.start
        if size > 3:
            raise torch.OutOfMemoryError("injected")
        seen.append(size)
        return weight.sum() * size

    def clear() -> None:
        weight.grad = None

    parts = Parts()
    with capture_logs() as logged:
        total = parts.backward(10, loss, clear=clear)
    assert parts.count == 4
    assert total == 10
    assert weight.grad is not None
    assert weight.grad.item() == 10
    assert seen == [3, 3, 3, 1]
    assert [entry["parts"] for entry in logged] == [2, 4]


def test_not_even_one_text_fits() -> None:
    def loss(rows: slice) -> torch.Tensor:
        raise torch.OutOfMemoryError(f"injected {rows}")

    with pytest.raises(FitError, match="a single text does not fit"):
        Parts().backward(3, loss, clear=lambda: None)


def test_cuda_that_there_is_not_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Place.chosen().device == "cpu"
    with pytest.raises(FitError, match="no CUDA device here"):
        Place.chosen("cuda")


@pytest.mark.parametrize("able", [True, False])
def test_cuda_is_taken_where_it_is(monkeypatch: pytest.MonkeyPatch, *, able: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: able)
    assert Place.chosen() == Place("cuda", "bf16" if able else "fp32")
    assert learn.HERE.place is None


@pytest.mark.parametrize("able", [True, False])
def test_bfloat16_is_not_imitated(monkeypatch: pytest.MonkeyPatch, *, able: bool) -> None:
    monkeypatch.setattr(learn, "cpu_has_bf16", lambda: able)
    assert Place.chosen("cpu").precision == ("bf16" if able else "fp32")
    assert Place.chosen("cpu", "bf16").precision == "bf16"


def test_a_checkpoint_that_was_being_replaced_is_found_again(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"steps": 3})
    _run(tmp_path / "base", plan)
    kept = tmp_path / "base" / CHECKPOINT
    kept.rename(kept.with_name(kept.name + ".old"))
    (kept.with_name(kept.name + ".new")).mkdir()
    with capture_logs() as logged:
        _run(tmp_path / "base")
    assert {name: entry for name, entry in logged[0].items() if name in {"event", "step"}} == {
        "event": "resumed",
        "step": 3,
    }


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    _run(tmp_path / "base")
    (tmp_path / "base" / CHECKPOINT / "state.json").write_text("{")
    with pytest.raises(BundleError, match="not a checkpoint of this model"):
        _run(tmp_path / "base")


def test_a_run_that_was_ended_can_be_prolonged(tmp_path: Path) -> None:
    _run(tmp_path / "base")
    longer = _run(tmp_path / "base", PLAN.model_copy(update={"steps": 8}))
    assert longer.steps == 8
    again = _run(tmp_path / "base", PLAN.model_copy(update={"steps": 8}))
    assert np.isnan(again.loss)
