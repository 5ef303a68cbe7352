from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
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
        (("fit", "--base", "x", "--device", "tpu"), "--device tpu: cpu, cuda or cuda:N"),
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


@pytest.mark.parametrize("command", ["fit", "distil", "pretrain"])
def test_where_nothing_can_be_written_is_said_first(
    command: str, data: Path, linear: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("x", encoding="utf-8")
    given: dict[str, tuple[str | Path, ...]] = {
        "fit": (data,),
        "pretrain": ("--text", f"{data}:text"),
        "distil": (linear, data, "--base", "./missing"),
    }
    with pytest.raises(ConfigError, match="out: is there already"):
        _run(command, *given[command], "--out", tmp_path / "out")


def test_half_a_fit_is_said_before_another_begins(data: Path, linear: Path, tmp_path: Path) -> None:
    shutil.copytree(linear / "linear", tmp_path / "out" / "linear")
    with pytest.raises(ConfigError, match="linear: is of a fit that was cut off; remove it"):
        _run("fit", data, "--out", tmp_path / "out")


def test_a_seed_is_not_negative(data: Path, tmp_path: Path) -> None:
    for command in ("fit", "pretrain", "distil"):
        shown = _run(command, data, "--seed", "-1")
        assert shown.exit_code == 2
        assert "greater than or equal to 0" in shown.output
    assert not (tmp_path / "out").exists()


def test_what_won_a_fit_is_what_its_folder_means(linear: Path, data: Path, base: Path) -> None:
    out = linear.parent / "taught"
    words = ("distil", linear, data, "--base", base, "--out", out, "--epochs", "1")
    assert _run(*words, "--length", "32", "--device", "cpu").exit_code == 0
    verdict = json.loads((linear / "verdict.json").read_text(encoding="utf-8"))
    teacher = TextBundle.load(linear / verdict["winner"]).digest
    assert TextBundle.load(out).manifest.params["teacher"] == teacher


def test_an_evaluation_without_labels_is_refused(linear: Path, tmp_path: Path) -> None:
    unlabelled = tmp_path / "texts.parquet"
    world(60).select("text", "split").write_parquet(unlabelled)
    with pytest.raises(ConfigError, match="no text has a label for leaf, severity, department"):
        _run("evaluate", linear, unlabelled, "--out", tmp_path / "found.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xb3\xac\xb9\xfd\xb1\xa3", "save it in UTF-8"), ("少".encode(), "no character is seen")],
)
def test_texts_that_cannot_be_pre_trained_on_are_said(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(XinjianError, match=said):
        _run("pretrain", "--text", tmp_path / "a.txt", "--out", tmp_path / "out")


def test_texts_in_a_column_of_lists_are_refused(tmp_path: Path) -> None:
    pl.DataFrame({"text": [["甲"]]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match=r"a\.parquet:text: holds List"):
        _run("pretrain", "--text", f"{tmp_path / 'a.parquet'}:text", "--out", tmp_path / "out")


def test_a_table_in_another_encoding_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,leaf\n超过,F04\n".encode("gbk"))
    with pytest.raises(XinjianError, match="save it in UTF-8"):
        _run("fit", tmp_path / "a.csv", "--out", tmp_path / "out")
