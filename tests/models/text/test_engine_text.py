from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from structlog.testing import capture_logs

from models.errors import BundleError, ConfigError, MissingExtraError, ModelError
from models.text import engine as engines
from models.text.bundle import Probe
from models.text.classifier import EncoderReader
from models.text.engine import (
    ENGINES,
    Engine,
    EngineName,
    Ids,
    Run,
    Wanted,
    cpu_has_bf16,
    open_engine,
    preferred,
    restored,
    torch_runner,
)
from models.text.heads import Floats
from tests.models.text import parts

PACKAGES = {"onnx": "onnxruntime", "openvino-bf16": "openvino"}


def _opened(name: Wanted) -> Engine:
    if find_spec(PACKAGES.get(name, "torch")) is None:
        pytest.skip(f"{name} is not installed")
    return open_engine(parts.encoder_part(), want=name, threads=1)


def _reader(engine: Engine) -> EncoderReader:
    return EncoderReader.of(parts.encoder_part(), engine)


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_says_what_the_reference_says(name: EngineName) -> None:
    texts = [*parts.TEXTS, "", "食" * 500, "違規😀 abc"]
    told = _reader(_opened(name)).scores(texts)
    truth = _reader(_opened("torch")).scores(texts)
    np.testing.assert_allclose(told, truth, atol=0.02 if name.endswith("bf16") else 1e-4)


@pytest.mark.parametrize("name", ENGINES)
def test_padding_changes_nothing(name: EngineName) -> None:
    run = _opened(name).run
    ids = np.array([[2, 7, 8, 3]], dtype=np.int64)
    wide = np.pad(ids, ((0, 0), (0, 12)))
    bare = run(ids, np.ones_like(ids))
    padded = run(wide, (wide > 0).astype(np.int64))
    np.testing.assert_allclose(bare, padded, atol=0.02 if name.endswith("bf16") else 1e-4)


def test_the_restored_network_comes_to_the_probe() -> None:
    part = parts.encoder_part()
    told = torch_runner(restored(part), device="cpu")(part.probe.ids, part.probe.mask)
    np.testing.assert_allclose(told, part.probe.scores, atol=1e-5)


def test_an_engine_that_differs_is_refused() -> None:
    part = parts.encoder_part()
    probe = part.probe
    wrong = replace(part, probe=Probe(probe.ids, probe.mask, probe.scores + 1))
    with pytest.raises(BundleError, match="engine onnx: its scores differ"):
        open_engine(wrong, want="onnx")
    with pytest.raises(BundleError, match="no engine can run this bundle"):
        open_engine(wrong)


def test_a_score_that_is_no_number_is_a_difference() -> None:
    probe = parts.encoder_part().probe
    with pytest.raises(BundleError, match="differ"):
        engines.check_parity("torch", lambda ids, mask: probe.scores * np.nan, probe)  # noqa: ARG005


def test_the_choice_is_logged_with_its_reason() -> None:
    with capture_logs() as logged:
        chosen = open_engine(parts.encoder_part(), threads=1)
    assert chosen.name in preferred()[0]
    assert preferred()[1] in chosen.reason
    assert logged[-1]["engine"] == chosen.name
    assert logged[-1]["because"] == chosen.reason


def test_what_is_not_installed_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    there = engines._installed

    def only_onnx(name: EngineName) -> bool:
        return name == "onnx" and there(name)

    monkeypatch.setattr(engines, "_installed", only_onnx)
    chosen = open_engine(parts.encoder_part())
    assert chosen.name == "onnx"
    if preferred()[0][0] != "onnx":
        assert "is not installed" in chosen.reason


def test_an_engine_whose_memory_is_full_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Run:
        raise MemoryError

    order = (("torch", "onnx"), "in a test")
    monkeypatch.setattr(engines, "preferred", lambda: order)
    monkeypatch.setitem(engines._OPENERS, "torch", full)
    opened = open_engine(parts.encoder_part(), threads=1)
    assert (opened.name, opened.reason) == ("onnx", "in a test; torch lacks memory")
    with pytest.raises(ModelError, match=r"engine torch: .* memory.*such as onnx"):
        open_engine(parts.encoder_part(), want="torch")


def test_a_model_too_large_for_the_device_is_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError

    part = parts.encoder_part()  # made before: making it moves a module too
    monkeypatch.setattr(torch.nn.Module, "to", refuse)
    with pytest.raises(ModelError, match="does not fit into its device's memory"):
        open_engine(part, want="torch")


def test_an_asked_engine_that_is_not_installed_names_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(name: EngineName) -> bool:
        del name
        return False

    monkeypatch.setattr(engines, "_installed", nothing)
    with pytest.raises(MissingExtraError, match=r"xinjian\[openvino\]"):
        open_engine(parts.encoder_part(), want="openvino-bf16")


def test_an_engine_that_there_is_not_is_named() -> None:
    with pytest.raises(ConfigError, match="engine tpu: there is none"):
        open_engine(parts.encoder_part(), want=cast("Wanted", "tpu"))


@pytest.mark.parametrize(
    ("flags", "told"), [("flags: avx2 avx512_bf16", True), ("amx_bf16", True), ("avx2", False)]
)
def test_the_cpu_says_whether_it_computes_in_bfloat16(
    tmp_path: Path, flags: str, told: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(flags)
    assert cpu_has_bf16(tmp_path / "cpuinfo") is told
    assert cpu_has_bf16(tmp_path / "missing") is False


def _small(most: int, seen: list[int]) -> Engine:
    """Return an engine whose memory holds at most ``most`` texts at once."""

    def run(ids: Ids, mask: Ids) -> Floats:
        del mask
        if len(ids) > most:
            raise MemoryError
        seen.append(len(ids))
        return np.repeat(ids[:, 1:2], 5, axis=1).astype(np.float32)

    return Engine("torch", run)


def test_a_batch_that_does_not_fit_is_read_in_parts() -> None:
    seen: list[int] = []
    texts: Sequence[str] = list(parts.TEXTS) * 4
    with capture_logs() as logged:
        told = _reader(_small(3, seen)).scores(texts)
    whole = _reader(_small(99, [])).scores(texts)
    np.testing.assert_array_equal(told, whole)
    assert max(seen) <= 3
    assert {entry["event"] for entry in logged} == {"out of memory: smaller batches"}


def test_a_single_text_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ModelError, match="a single text does not fit"):
        _reader(_small(0, [])).scores(parts.TEXTS)
