from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.errors import BundleError
from models.text.bundle import ENCODER_FILES, HEADS, LINEAR_FILES, MANIFEST, TextBundle
from models.text.classifier import Classifier
from tests.models.text import parts

WHOLE = {HEADS, MANIFEST, *ENCODER_FILES, *LINEAR_FILES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    parts.ensemble().save(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_loaded_bundle_reads_as_the_saved_one(folder: Path) -> None:
    before = Classifier(parts.ensemble(), engine="onnx").scores(parts.TEXTS)
    after = Classifier(TextBundle.load(folder), engine="onnx").scores(parts.TEXTS)
    np.testing.assert_array_equal(before, after)


def test_a_bundle_is_these_files_and_no_pickle(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == WHOLE
    assert not any(path.read_bytes()[:1] == b"\x80" for path in folder.iterdir())


def test_only_the_files_of_its_parts_are_written(tmp_path: Path) -> None:
    linear = TextBundle(parts.ANSWERING, linear=parts.linear_part())
    encoder = TextBundle(parts.ANSWERING, encoder=parts.encoder_part())
    linear.save(tmp_path / "linear")
    encoder.save(tmp_path / "encoder")
    assert {path.name for path in (tmp_path / "linear").iterdir()} == {
        HEADS,
        MANIFEST,
        *LINEAR_FILES,
    }
    assert TextBundle.load(tmp_path / "linear").kind == "linear"
    assert TextBundle.load(tmp_path / "encoder").kind == "encoder"


def test_the_lead_is_kept(tmp_path: Path) -> None:
    led = replace(parts.linear_part(), lead=(20, 8))
    TextBundle(parts.ANSWERING, linear=led).save(tmp_path / "led")
    loaded = TextBundle.load(tmp_path / "led").linear
    assert loaded is not None
    assert loaded.lead == (20, 8)
    np.testing.assert_array_equal(loaded.scores(parts.TEXTS), led.scores(parts.TEXTS))


def test_the_digest_is_of_the_manifest_and_names_the_kind(folder: Path) -> None:
    loaded = TextBundle.load(folder)
    assert loaded.manifest.kind == loaded.kind == "ensemble"
    assert TextBundle.load(folder, digest=loaded.digest).digest == loaded.digest
    with pytest.raises(BundleError, match="not of the bundle with digest"):
        TextBundle.load(folder, digest="0" * 64)


def test_saving_twice_is_refused_and_leaves_nothing_half(folder: Path) -> None:
    with pytest.raises(BundleError, match="is there already"):
        parts.ensemble().save(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("name", sorted(WHOLE - {MANIFEST}))
def test_one_changed_byte_is_found(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match="was altered"):
        TextBundle.load(folder)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        TextBundle.load(folder)


def test_a_file_put_there_is_named(folder: Path) -> None:
    (folder / "run.py").write_text("")
    with pytest.raises(BundleError, match=r"run\.py"):
        TextBundle.load(folder)


def test_a_newer_format_asks_for_an_update(folder: Path) -> None:
    said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(said | {"format": 2}))
    with pytest.raises(BundleError, match="update xinjian"):
        TextBundle.load(folder)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 1, "files": 3}', '"x"'])
def test_something_else_is_no_manifest(folder: Path, content: str) -> None:
    (folder / MANIFEST).write_text(content)
    with pytest.raises(BundleError, match="not a text bundle's manifest"):
        TextBundle.load(folder)


def test_a_manifest_that_names_foreign_files_is_refused(folder: Path) -> None:
    said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    said["files"]["../secret"] = "0" * 64
    (folder / MANIFEST).write_text(json.dumps(said))
    with pytest.raises(BundleError, match="secret"):
        TextBundle.load(folder)


def test_no_folder_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        TextBundle.load(tmp_path / "nowhere")


def test_parts_that_do_not_fit_the_heads_are_refused() -> None:
    with pytest.raises(BundleError, match="the heads ask for 3 scores"):
        TextBundle(parts.ANSWERING[:1], linear=parts.linear_part())
    with pytest.raises(BundleError, match="the parts give none"):
        TextBundle(parts.ANSWERING)
