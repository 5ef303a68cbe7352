from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import RegistryError
from models.text.bundle import Answering, TextBundle, TextManifest
from models.text.heads import Head
from serving.service import Service
from serving.settings import ServeSettings
from serving.texts.registry import NamedText, TextRegistry
from serving.texts.texts import Texts
from tests.serving import text_reader
from training.text.registry import TextRegistry as Trained


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    return opened(tmp_path / "home")


def opened(home: Path, **more: object) -> Texts:
    from datetime import UTC, datetime

    settings = ServeSettings.model_validate({"home": home, "model_poll": 3600, **more})
    return Texts(settings, lambda: datetime(2026, 11, 20, tzinfo=UTC))


def put(texts: Texts, bundle: TextBundle) -> None:
    shutil.rmtree(texts.shelf.place, ignore_errors=True)
    bundle.save(texts.shelf.place)
    texts.refresh()


def digest(texts: Texts) -> str | None:
    return None if texts.live is None else texts.live.named.digest


def test_nothing_is_loaded_before_it_is_asked_for(service: Service) -> None:
    assert service.texts.live is None
    text_reader.bundle().save(service.texts.shelf.place)
    assert service.texts.ready(30)
    assert service.texts.live is not None
    service.texts.close()


def test_an_altered_bundle_never_goes_live_and_the_old_one_reads_on(texts: Texts) -> None:
    put(texts, text_reader.bundle())
    old = digest(texts)
    shutil.rmtree(texts.shelf.place)
    text_reader.bundle(3.0).save(texts.shelf.place)
    with (texts.shelf.place / "grams.json").open("a") as file:
        file.write(" ")
    texts.refresh()
    assert digest(texts) == old is not None
    assert texts.refused is not None
    assert "altered" in texts.refused[1]
    put(texts, text_reader.bundle(3.0))
    # The same digest was refused; it stays so until the operator puts another there.
    put(texts, text_reader.bundle(4.0))
    assert texts.refused is None
    assert digest(texts) != old


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (Head(name="department", labels=("a", "b")), "column 'leaf'"),
        (Head(name="leaf", labels=("F04", "Z99")), "Z99"),
    ],
)
def test_a_model_of_other_questions_is_refused(texts: Texts, head: Head, told: str) -> None:
    import numpy as np

    from models.text.linear import Linear

    one, two = np.ones(1, dtype=np.float32), np.ones(2, dtype=np.float32)
    linear = Linear(("过期",), (2, 2), one, np.ones((1, 2), dtype=np.float32), two)
    put(texts, TextBundle((Answering(head=head, share=0.0),), linear=linear))
    assert texts.live is None
    assert texts.refused is not None
    assert told in texts.refused[1]


def test_what_was_live_last_is_live_after_a_start_without_the_registry(texts: Texts) -> None:
    put(texts, text_reader.bundle())
    shutil.rmtree(texts.shelf.place)
    home = texts.settings.home
    again = opened(home, XINJIAN_TRACKING_URI="postgresql://127.0.0.1:1/mlflow")
    assert again.ready(30)
    again.close()
    assert digest(again) == digest(texts) is not None
    assert "cannot be used" in str(again.says)


def test_a_model_that_nobody_names_any_more_is_retired(texts: Texts) -> None:
    put(texts, text_reader.bundle())
    shutil.rmtree(texts.shelf.place)
    texts.refresh()
    assert texts.live is None
    assert "promote" in str(texts.says)


def test_of_several_champions_the_setting_chooses(
    texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = text_reader.bundle().save(texts.settings.home / "made")
    named = [NamedText(name, made.digest, 1) for name in ("kinds", "other")]

    def champions(_: TextRegistry) -> list[NamedText]:
        return named

    def fetched(*_: object) -> Path:
        return texts.settings.home / "made"

    monkeypatch.setattr(TextRegistry, "champions", champions)
    monkeypatch.setattr(TextRegistry, "fetched", fetched)
    texts.refresh()
    assert texts.live is None
    assert "XINJIAN_TEXT_MODEL" in str(texts.says)
    chosen = opened(texts.settings.home, text_model="kinds")
    chosen.refresh()
    assert chosen.live is not None
    assert chosen.live.named.model == "kinds"


def test_a_registry_that_cannot_be_reached_is_said_without_its_password() -> None:
    registry = TextRegistry("postgresql://me:hidden@127.0.0.1:1/mlflow")
    with pytest.raises(RegistryError) as told:
        registry.champions()
    assert "hidden" not in str(told.value)
    with pytest.raises(RegistryError):
        registry.fetched(NamedText("kinds", "a" * 64, 1), Path("/nowhere"))


@pytest.mark.slow
def test_what_training_promotes_reads_here(texts: Texts, tmp_path: Path) -> None:
    settings = texts.settings
    shop = Trained.of(settings)
    settings.tracker_folder.mkdir(parents=True)
    made = text_reader.bundle().save(tmp_path / "fitted")
    version = shop.register(tmp_path / "fitted", "kinds").version
    texts.refresh()
    assert texts.live is None
    shop.promote("kinds", version)
    texts.refresh()
    assert texts.live is not None
    assert texts.live.named == NamedText("kinds", made.digest, version)


@pytest.mark.slow
def test_a_transformer_is_read_without_torch(tmp_path: Path) -> None:
    from tests.models.text.parts import ensemble

    bundle = ensemble()
    TextBundle(bundle.answering, bundle.encoder, bundle.linear, TextManifest(kind="ensemble")).save(
        tmp_path / "serving" / "texts" / "champion"
    )
    code = """
import sys
for name in ("torch", "transformers", "mlflow", "sklearn"):
    sys.modules[name] = None
from tests.serving.texts.test_texts_live import opened
"""
    code = f"""
import sys, pathlib, datetime
for name in ("torch", "transformers", "mlflow", "sklearn"):
    sys.modules[name] = None
from serving.settings import ServeSettings
from serving.texts.texts import Texts
settings = ServeSettings(home=pathlib.Path({str(tmp_path)!r}))
texts = Texts(settings, lambda: datetime.datetime.now(datetime.UTC))
texts.refresh()
assert texts.live is not None, (texts.refused, texts.says)
print(texts.live.engine, len(texts.live.read(["销售超过保质期的食品"])))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1].split()[0] in {"onnx", "openvino-bf16"}
