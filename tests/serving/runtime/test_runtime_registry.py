from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.errors import RegistryError
from models.risk.bundle import Bundle
from serving.runtime.registry import Registry
from serving.runtime.shelf import Named
from serving.service import Service
from tests.serving import village
from training import registry as trained


@pytest.mark.slow
def test_what_training_promotes_goes_live_here(running: Service, tmp_path: Path) -> None:
    settings = running.settings
    shutil.rmtree(settings.home / "serving" / "bundles" / "town")
    shop = trained.Registry.of(settings)
    settings.tracker_folder.mkdir(parents=True)

    def register(bundle: Bundle) -> int:
        run = tmp_path / "runs" / bundle.digest[:8]
        bundle.save(run / "bundle")
        (run / "card.html").write_text("<html></html>", encoding="utf-8")
        return shop.register(run).version

    first, second = register(village.bundle()), register(village.other_bundle())
    shop.promote("town", first)
    shop.name("town", second, "challenger")
    running.runtime.refresh()
    told = {live.role: (live.version, live.bundle.digest) for live in running.runtime.all()}
    assert told == {
        "champion": (first, village.bundle().digest),
        "challenger": (second, village.other_bundle().digest),
    }
    shop.promote("town", second)
    running.runtime.refresh()
    (live,) = running.runtime.all()
    assert (live.role, live.version, live.source) == ("champion", second, "registry")


def test_a_registry_that_cannot_be_reached_is_said_without_its_password() -> None:
    registry = Registry("postgresql://me:hidden@127.0.0.1:1/mlflow")
    with pytest.raises(RegistryError, match="stay live") as told:
        registry.named()
    assert "hidden" not in str(told.value)
    with pytest.raises(RegistryError):
        registry.fetch(Named("town", "champion", "a" * 64, 1), Path("/nowhere"))
