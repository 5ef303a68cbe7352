from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from models.errors import ConfigError, XinjianError
from models.text.bundle import TextBundle
from tests.training.text.conftest import world
from training.commands.text import app

runner = CliRunner()


def _run(*words: str | Path) -> Result:
    """Run a command and let errors of ours through."""
    result = runner.invoke(app, [str(word) for word in words])
    if isinstance(result.exception, XinjianError):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "labelled.parquet"
    world(60).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def linear(data: Path) -> Path:
    out = data.parent / "linear_only"
    assert _run("fit", data, "--out", out, "--validation", "0.25").exit_code == 0
    return out


def test_an_encoder_is_pre_trained_from_files(data: Path, tmp_path: Path) -> None:
    result = _run(
        *("pretrain", "--text", f"{data}:text", "--out", tmp_path / "base", "--steps", "2"),
        *("--tokens", "256", "--layers", "1", "--hidden", "16", "--heads", "2", "--inner", "16"),
        *("--device", "cpu", "--precision", "fp32", "--threads", "1"),
    )
    assert result.exit_code == 0, result.output
    assert "masked characters guessed right" in result.output
    assert (tmp_path / "base" / "tokenizer.json").exists()


def test_a_fit_writes_bundles_and_a_verdict(data: Path, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "fitted"
    result = _run(
        *("fit", data, "--out", out, "--base", base, "--epochs", "1", "--length", "32"),
        *("--validation", "0.25", "--device", "cpu", "--threads", "1"),
    )
    assert result.exit_code == 0, result.output
    assert "verdict: " in result.output
    for kind in ("linear", "encoder", "ensemble"):
        assert TextBundle.load(out / kind).kind == kind
    assert TextBundle.load(out / "baseline").kind == "linear"
    assert json.loads((out / "verdict.json").read_text(encoding="utf-8"))["reasons"]
    with pytest.raises(ConfigError, match="holds a finished fit"):
        _run("fit", data, "--out", out)
    shown = _run("evaluate", out, data, "--engines", "--near", "0.8", "--threads", "1")
    assert shown.exit_code == 0, shown.output
    for words in ("Transformer", "近似重复", "推理引擎", "onnx"):
        assert words in shown.output


def test_an_evaluation_is_shown_and_kept(linear: Path, data: Path, tmp_path: Path) -> None:
    result = _run("evaluate", linear, data, "--out", tmp_path / "found.json")
    assert "TF-IDF + 线性" in result.output
    assert json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["rows"] == 7


def test_a_student_is_taught_from_a_bundle(
    linear: Path, data: Path, base: Path, tmp_path: Path
) -> None:
    result = _run(
        *("distil", linear / "linear", data, "--base", base, "--out", tmp_path / "student"),
        *("--text", f"{data}:text", "--epochs", "1", "--length", "32", "--device", "cpu"),
    )
    assert result.exit_code == 0, result.output
    assert TextBundle.load(tmp_path / "student").kind == "encoder"


def test_engines_need_a_transformer(linear: Path, data: Path) -> None:
    with pytest.raises(ConfigError, match="no transformer"):
        _run("evaluate", linear, data, "--engines")


def test_a_base_that_is_none_is_refused_before_anything_is_written(
    data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        _run("fit", data, "--out", tmp_path / "out", "--base", "./missing", "--device", "cpu")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fit", "--rate", "-1"), r"--rate -1\.0: .*greater than 0"),
        (("fit", "--validation", "1.5"), r"--validation 1\.5: .*less than 1"),
        (("pretrain", "--rate", "0"), r"--rate 0\.0: .*greater than 0"),
        (("pretrain", "--layers", "0"), r"--layers 0: "),
        (("pretrain", "--hidden", "10", "--heads", "4"), "10 is not a multiple of heads 4"),
        (("distil", "--rate", "-1"), r"--rate -1\.0: "),
    ],
)
def test_an_option_out_of_range_is_named(
    words: tuple[str, ...], said: str, data: Path, tmp_path: Path
) -> None:
    command, *options = words
    given: dict[str, tuple[str | Path, ...]] = {
        "fit": (data,),
        "pretrain": ("--text", f"{data}:text"),
        "distil": (tmp_path, data, "--base", "none"),
    }
    with pytest.raises(ConfigError, match=said):
        _run(command, *given[command], "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_a_base_without_a_tokenizer_is_named(data: Path, base: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((base / name).read_bytes())
    with pytest.raises(ConfigError, match=r"has no tokenizer \(tokenizer\.json or vocab\.txt\)"):
        _run("fit", data, "--out", tmp_path / "out", "--base", tmp_path, "--validation", "0.25")
