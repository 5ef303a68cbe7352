"""A bundle comes back to the bit, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.decide import decide
from models.errors import BundleError
from models.features import catalogue
from models.risk.bundle import Bundle
from models.risk.encode import Encoder
from models.risk.keep import drift_of, features_of, scenario_of, scenario_text
from models.risk.manifest import FILES, MANIFEST, BundleManifest, sha256
from models.scenarios.catalogue import catalogue as scenarios
from tests.models.risk.small import (
    NAMES,
    NUMBERS,
    TRADE,
    bundle,
    frame,
    manifest,
    scenario,
    specs,
    text,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bundle().save(tmp_path / "some" / "bundle")
    return tmp_path / "some" / "bundle"


def reseal(folder: Path, **change: object) -> None:
    """Write the manifest anew with a change, as somebody would who knows how."""
    data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    data |= {
        "files": {n: sha256((folder / n).read_bytes()) for n in FILES},
        **change,
        "checksum": "",
    }

    def canonical() -> str:
        return json.dumps(data, ensure_ascii=False, sort_keys=True, indent=1) + "\n"

    data["checksum"] = sha256(canonical().encode())
    (folder / MANIFEST).write_text(canonical(), encoding="utf-8")


def test_it_comes_back_to_the_bit(folder: Path) -> None:
    made, again = bundle(), Bundle.load(folder)
    rows = frame(3_000)
    assert again.probability(rows).equals(made.probability(rows))
    assert again.manifest == Bundle.load(folder, digest=again.digest).manifest
    assert again.scenario == made.scenario
    assert again.features == made.features
    assert again.drift == made.drift
    assert again.encoder == made.encoder
    assert decide(rows, again.scenario, again).equals(
        decide(rows, scenario(), replace(made, manifest=again.manifest))
    )


def test_its_digest_is_that_of_the_manifest_and_covers_every_file(folder: Path) -> None:
    again = Bundle.load(folder)
    assert again.digest == sha256((folder / MANIFEST).read_bytes())
    assert again.manifest.files == {n: sha256((folder / n).read_bytes()) for n in FILES}
    assert {path.name for path in folder.iterdir()} == {*FILES, MANIFEST}
    again.save(folder.with_name("again"))
    assert Bundle.load(folder.with_name("again")).digest == again.digest


def test_the_manifest_says_how_to_do_it_again(folder: Path) -> None:
    said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert said["format"] == 1
    assert said["data_versions"] == {"inspection": 3}
    assert (said["trained_from"], said["trained_to"]) == ("2024-01-01", "2025-01-01")
    assert said["params"] == manifest().params
    assert said["params"]["gpu"] is False
    assert said["metrics"]["auc"] == 0.1 + 0.2
    assert said["libraries"].keys() == {"lightgbm", "numpy", "polars"}
    assert said["scenario_digest"] == scenario().digest
    assert said["features_digest"] == catalogue.digest(specs())
    with pytest.raises(ValidationError):
        BundleManifest(
            data_versions={}, trained_from=date(2024, 1, 1), trained_to=date(2025, 1, 1),
            rows=1, positives=1, base_rate=0.5, metrics={"auc": float("nan")},
        )  # fmt: skip


def test_no_file_is_a_pickle(folder: Path) -> None:
    for path in folder.iterdir():
        path.read_text(encoding="utf-8")
    assert json.loads((folder / "encoder.json").read_text(encoding="utf-8"))["features"] == [*NAMES]
    assert (folder / "booster.txt").read_text(encoding="utf-8") == text()


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.999])
def test_one_changed_byte_is_found_and_the_file_named(
    folder: Path, name: str, place: float
) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name}: .*(restore|update)"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=rf"{name}: is missing; restore"):
        Bundle.load(folder)


def test_what_does_not_belong_there_is_named(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"model\.pkl is not of the bundle; remove"):
        Bundle.load(folder)


def test_a_file_instead_of_a_folder_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "bundle").touch()
    with pytest.raises(BundleError, match=r"manifest\.json: cannot be read"):
        Bundle.load(tmp_path / "bundle")


def test_a_newer_format_says_update(folder: Path) -> None:
    reseal(folder, format=2, what_is_new="more")
    with pytest.raises(BundleError, match=r"manifest\.json: format 2, .*update xinjian"):
        Bundle.load(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"format": 1}', b"null"])
def test_other_manifests_are_refused(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json: .*; restore"):
        Bundle.load(folder)


def test_a_manifest_of_other_bytes_is_refused(folder: Path) -> None:
    path = folder / MANIFEST
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(BundleError, match=r"manifest\.json: was altered"):
        Bundle.load(folder)


def test_only_the_digest_tells_a_bundle_that_was_sealed_anew(folder: Path) -> None:
    meant = Bundle.load(folder).digest
    reseal(folder, metrics={"auc": 0.99})
    assert Bundle.load(folder).manifest.metrics == {"auc": 0.99}
    with pytest.raises(BundleError, match=f"has the digest {meant}; restore"):
        Bundle.load(folder, digest=meant)


def test_parts_of_another_bundle_are_refused_though_sealed(folder: Path) -> None:
    reseal(folder, files=dict.fromkeys(FILES[:-1], "0"))
    with pytest.raises(BundleError, match=r"wrong files scenario\.yaml"):
        Bundle.load(folder)
    reseal(folder, scenario_digest="0" * 64)
    with pytest.raises(BundleError, match="scenario_digest is 0000"):
        Bundle.load(folder)
    (folder / "features.json").write_text("[]", encoding="utf-8")
    reseal(folder)
    with pytest.raises(BundleError, match="features that there are not"):
        Bundle.load(folder)


def test_parts_that_contradict_each_other_are_refused() -> None:
    made = bundle()
    with pytest.raises(BundleError, match="features that there are not: inspection_count_30d"):
        replace(made, features=specs()[1:])
    with pytest.raises(BundleError, match=f"category to the encoder: {TRADE}"):
        replace(made, encoder=Encoder(NAMES))
    with pytest.raises(BundleError, match=f"category to the encoder: {NUMBERS[0]}"):
        replace(made, encoder=Encoder(NAMES, {TRADE: (), NUMBERS[0]: ("1",)}))
    turned = Encoder(NAMES[::-1], {TRADE: ("a",)})
    with pytest.raises(BundleError, match="not the encoder's, in its order"):
        replace(made, encoder=turned)
    with pytest.raises(BundleError, match=r"features_digest is .* restore"):
        replace(made, features=(*specs(), replace(specs()[0], name="one_more")))


def test_features_that_the_model_leaves_out_may_stay_in_the_catalogue() -> None:
    more = (*specs(), replace(specs()[0], name="one_more"))
    made = replace(bundle(), features=more, manifest=manifest())
    assert made.probability(frame(10)).equals(bundle().probability(frame(10)))


def test_saving_twice_changes_nothing_and_over_another_is_refused(folder: Path) -> None:
    made = Bundle.load(folder)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    made.save(folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    other = replace(made, manifest=manifest().model_copy(update={"rows": 9}))
    with pytest.raises(BundleError, match="holds something else already"):
        other.save(folder)
    with pytest.raises(BundleError, match="holds something else already"):
        made.save(folder / MANIFEST)
    assert Bundle.load(folder).digest == made.digest
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BundleError, match="cannot be written: No space left"):
        bundle().save(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_loaded_bundle_whose_parts_would_be_written_differently_is_not_saved(
    tmp_path: Path,
) -> None:
    odd = bundle().manifest.model_copy(update={"files": dict.fromkeys(FILES, "0" * 64)})
    with pytest.raises(BundleError, match="copy the bundle's folder"):
        replace(bundle(), manifest=odd).save(tmp_path / "bundle")


def test_no_rows_have_no_probabilities() -> None:
    assert bundle().probability(frame(0)).to_list() == []


def test_grades_may_change_but_not_what_is_foretold() -> None:
    made = bundle()
    data = scenario().model_dump(mode="json")
    looser = type(scenario()).model_validate({**data, "validity": {"days": 9}, "title": "另一"})
    made.check(looser)
    data["label"]["horizon"] = "180d"
    other = type(scenario()).model_validate(data)
    with pytest.raises(BundleError, match=r"not what the bundle of 'small' .*differ in label: fit"):
        made.check(other)
    with pytest.raises(BundleError, match="differ in label"):
        decide(frame(3), other, made)


def test_another_catalogue_is_named() -> None:
    made = bundle()
    made.check(scenario(), specs())
    changed = replace(specs()[0], title="另一")
    with pytest.raises(BundleError, match=f"differ from the bundle's in {NUMBERS[0]}; use the"):
        made.check(scenario(), (changed, *specs()[1:]))
    with pytest.raises(BundleError, match="their order"):
        made.check(scenario(), specs()[::-1])


@pytest.mark.parametrize("name", sorted(scenarios()))
def test_every_declaration_comes_back(name: str) -> None:
    one = scenarios()[name]
    again = scenario_of(scenario_text(one), "scenario.yaml")
    assert again == one
    assert again.digest == one.digest


def test_texts_that_look_like_something_else_stay_texts() -> None:
    data = scenario().model_dump(mode="json")
    for odd in (
        "1e5",
        "2025-01-31",
        "no",
        "null",
        "~",
        "1.0",
        "a: b",
        "- a",
        "#",
        "'",
        '"',
        "x\ny",
    ):
        one = type(scenario()).model_validate({**data, "title": odd, "legal_basis": [odd]})
        assert scenario_of(scenario_text(one), "scenario.yaml").title == odd


def test_broken_parts_are_refused() -> None:
    with pytest.raises(BundleError, match=r"features\.json"):
        features_of('[{"name": 1}]')
    with pytest.raises(BundleError, match=r"drift\.json"):
        drift_of("[]")
    with pytest.raises(BundleError, match=r"scenario cannot be read: x\.yaml:1"):
        scenario_of("id: x", "x.yaml")
