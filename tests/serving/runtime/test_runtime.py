from __future__ import annotations

import threading
from pathlib import Path

import pytest

from models.errors import RegistryError
from models.published import CHALLENGER, CHAMPION
from models.risk.bundle import Bundle
from serving.ledger import promotions
from serving.runtime.live import Live
from serving.runtime.registry import Registry
from serving.runtime.runtime import Runtime
from serving.runtime.scoring import score
from serving.runtime.shelf import Named, Shelf
from serving.service import Service
from tests.models.features.firms import AS_OF, FIRMS
from tests.models.risk import small, town
from tests.serving import village


class Shop:
    """A registry that says what a test says."""

    def __init__(self, **bundles: Bundle) -> None:
        self.bundles = bundles
        self.numbers = {"champion": 1, "challenger": 2}
        self.down = False
        self.fetched = 0

    def named(self) -> list[Named]:
        if self.down:
            raise RegistryError("the registry cannot be used")
        return [
            Named("town", role, self.bundles[role].digest, self.numbers[role])
            for role in (CHAMPION, CHALLENGER)
            if role in self.bundles
        ]

    def fetch(self, named: Named, folder: Path) -> Path:
        self.fetched += 1
        self.bundles[named.role].save(folder / "bundle")
        return folder / "bundle"


@pytest.fixture
def shop(running: Service) -> Shop:
    """Return the registry of a service without a model of an operator's own."""
    found = Shop(champion=village.bundle())
    running.runtime.registry = found  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    folder = running.settings.home / "serving" / "bundles" / "town" / "champion"
    folder.rename(running.settings.home / "away")
    running.runtime.refresh()
    return found


def digest(service: Service) -> str | None:
    live = service.runtime.champion("town")
    return None if live is None else live.bundle.digest


def events(service: Service) -> list[tuple[str, str, str]]:
    with service.ledger.begin() as connection:
        found = promotions.history(connection)
    return [(one.role, one.event, one.bundle_digest[:8]) for one in reversed(found)]


def test_a_promoted_model_goes_live_and_the_ledger_says_when(running: Service, shop: Shop) -> None:
    shop.bundles["champion"], shop.numbers["champion"] = village.other_bundle(), 3
    running.runtime.refresh()
    running.runtime.refresh()
    assert digest(running) == village.other_bundle().digest
    old, new = village.bundle().digest[:8], village.other_bundle().digest[:8]
    assert events(running) == [("champion", "live", old), ("champion", "live", new)]
    shop.bundles.clear()
    running.runtime.refresh()
    assert digest(running) is None
    assert events(running)[-1] == ("champion", "retired", new)


def test_a_bad_bundle_never_goes_live(running: Service, shop: Shop) -> None:
    good = digest(running)
    bad = town.fitted(town.features(), 1.0 - town.risk())

    def fetch(named: Named, folder: Path) -> Path:
        path = Shop.fetch(shop, named, folder)
        booster = path / "booster.txt"
        booster.write_text(booster.read_text().replace("leaf_value=", "leaf_value=9", 1))
        return path

    shop.fetch = fetch  # type: ignore[method-assign]
    shop.bundles["champion"], shop.numbers["champion"] = bad, 9
    running.runtime.refresh()
    assert digest(running) == good
    (refusal,) = running.runtime.refused.values()
    assert "altered" in refusal.reason
    tried = shop.fetched
    running.runtime.refresh()
    assert shop.fetched == tried, "what was refused is not fetched again and again"
    assert [event for _, event, _ in events(running)] == ["live", "refused"]
    shop.bundles["champion"], shop.numbers["champion"] = village.bundle(), 10
    running.runtime.refresh()
    assert running.runtime.refused == {}
    assert digest(running) == good


def test_a_bundle_of_another_scenario_is_refused(running: Service, shop: Shop) -> None:
    shop.bundles["champion"], shop.numbers["champion"] = small.bundle(), 4
    running.runtime.refresh()
    (refusal,) = running.runtime.refused.values()
    assert "of its own scenario" in refusal.reason or "for its own scenario" in refusal.reason
    assert digest(running) == village.bundle().digest


def test_a_registry_that_is_down_changes_nothing(running: Service, shop: Shop) -> None:
    shop.down = True
    running.runtime.refresh()
    assert digest(running) == village.bundle().digest
    assert running.runtime.registry_says is not None
    shop.down = False
    running.runtime.refresh()
    assert running.runtime.registry_says is None


def test_a_process_that_starts_anew_has_its_models_without_the_registry(
    running: Service, shop: Shop
) -> None:
    shop.down = True
    anew = Runtime(running.settings, running.ledger, running.clock)
    assert not anew.loaded
    anew.restore()
    assert anew.loaded
    live = anew.champion("town")
    assert live is not None
    assert (live.bundle.digest, live.version) == (village.bundle().digest, 1)
    assert events(running) == [("champion", "live", village.bundle().digest[:8])]


def test_an_operators_declaration_is_in_force_and_a_wrong_one_is_not(
    running: Service, champion: Live
) -> None:
    folder = running.settings.home / "scenarios"
    folder.mkdir()
    path = folder / "town.yaml"
    path.write_text(town.TEXT.replace("A: {below: 0.2,", "A: {below: 0.1,"), encoding="utf-8")
    running.runtime.refresh()
    live = running.runtime.champion("town")
    assert live is not None
    assert live.scenario.grades["A"].below == 0.1
    path.write_text(town.TEXT.replace("90d, 365d", "91d, 365d"), encoding="utf-8")
    running.runtime.refresh()
    assert running.runtime.champion("town") is live
    (refusal,) = running.runtime.refused.values()
    assert "differ in features" in refusal.reason
    path.unlink()
    running.runtime.refresh()
    again = running.runtime.champion("town")
    assert again is not None
    assert again.scenario.digest == champion.scenario.digest


def test_no_request_is_dropped_while_models_are_swapped(running: Service) -> None:
    runtime, stop = running.runtime, threading.Event()
    answers: list[str] = []
    failures: list[BaseException] = []

    def ask() -> None:
        while not stop.is_set():
            live = runtime.champion("town")
            try:
                assert live is not None
                scored = score(running, live, FIRMS[:2], AS_OF)
                answers.extend(one.bundle_digest for one in scored.decisions)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for one in threads:
        one.start()
    for bundle in (village.other_bundle(), village.bundle(), village.other_bundle()):
        village.place(bundle, running.settings.home)
        runtime.refresh()
    stop.set()
    for one in threads:
        one.join()
    assert failures == []
    assert set(answers) <= {village.bundle().digest, village.other_bundle().digest}
    assert answers


def test_a_shelf_keeps_no_altered_bundle(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "serving")
    town.bundle().save(tmp_path / "source")
    (tmp_path / "source" / "booster.txt").write_text("tree")
    with pytest.raises(Exception, match="altered"):
        shelf.put(tmp_path / "source", town.bundle().digest)
    assert list(shelf.bundles.iterdir()) == []


def test_a_note_that_cannot_be_read_is_no_note(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert shelf.last() == []
    named = [Named("town", "champion", "a" * 64, 3)]
    shelf.remember(named)
    assert shelf.last() == named
    (tmp_path / "live.json").write_text('[{"scenario": 1}]')
    assert shelf.last() == []


def test_a_tracker_that_nobody_made_is_not_made_by_looking(running: Service) -> None:
    registry = Registry.of(running.settings)
    assert not registry.exists
    assert registry.named() == []
    assert not running.settings.tracker_folder.exists()
