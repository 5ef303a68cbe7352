"""Which models decide, kept up to date behind the requests' backs.

One reference is swapped, so that a request that has taken its model keeps it to its end and no
request ever waits for a model. What cannot be fetched, is altered, or fails its trial never goes
live: what decided before goes on deciding.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from models.errors import BundleError, ConfigError, LedgerDownError, LedgerError, RegistryError
from models.logs import logger
from models.published import CHALLENGER, CHAMPION
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.declared import kept_contracts
from models.records.lake import Lake
from models.risk.bundle import Bundle
from models.scenarios.cohort import REGISTER
from serving import metrics
from serving.kept import look_now_and_then
from serving.ledger import promotions
from serving.ledger.decisions import Role
from serving.ledger.engine import Ledger
from serving.ledger.promotions import Event, ModelEvent
from serving.runtime.live import Live, digest_of, made_ready
from serving.runtime.references import Chosen, References, needed
from serving.runtime.registry import Registry
from serving.runtime.shelf import Named, Shelf
from serving.runtime.together import Together
from serving.runtime.voided import Voids
from serving.settings import ServeSettings

Key: TypeAlias = tuple[str, Role]

TOGETHER: Final = 16
"""Requests that are decided at once at most."""
_log = logger(__name__)
_RETIRED: Final = "no alias and no folder names it any more"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A bundle that was not let live, and why; ``declared`` tells with which declaration."""

    named: Named
    reason: str
    declared: int


class Runtime:
    """The models of a running process; :meth:`start` it, and :meth:`close` it in the end."""

    def __init__(
        self, settings: ServeSettings, ledger: Ledger, clock: Callable[[], datetime]
    ) -> None:
        """Keep what it works with; nothing is read yet."""
        self.settings = settings
        self.shelf = Shelf(settings.home / "serving")
        self.references = References(
            settings.home / "serving" / "reference", days=settings.reference_days
        )
        self.registry = Registry.of(settings)
        self.registry_says: str | None = None
        self.refused: Mapping[Key, Refusal] = MappingProxyType({})
        self._ledger = ledger
        self._clock = clock
        self._live: Mapping[Key, Live] = MappingProxyType({})
        self._declared: dict[Key, int] = {}
        self._untold: list[ModelEvent] = []
        self.noted: set[object] = set()
        """What the ledger is known to hold: keys of bases and declarations."""
        self.voids = Voids(ledger)
        """Who is to be forgotten: see :mod:`serving.runtime.voided`."""
        self.together = Together(most=TOGETHER, final=LedgerDownError)
        """Decides what is asked for at one time at once."""
        self.many = threading.BoundedSemaphore(2)
        """Held by whoever decides many subjects, or records, that nobody else asks for."""
        self._building = threading.Lock()
        self._working = threading.Lock()
        self._loaded = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @cached_property
    def lake(self) -> Lake:
        """Return the installation's lake."""
        return Lake.open(self.settings.lake, storage_options=self.settings.storage or None)

    @cached_property
    def contracts(self) -> Mapping[str, Contract]:
        """Return the tables there are, a user's own among them."""
        return MappingProxyType({**CONTRACTS, **kept_contracts(self.settings.contracts)})

    @property
    def loaded(self) -> bool:
        """Tell whether what was live last has been looked for."""
        return self._loaded.is_set()

    @property
    def loading(self) -> bool:
        """Tell whether what was live last is being loaded just now."""
        return self._thread is not None and not self.loaded

    def all(self) -> list[Live]:
        """Return every model that is live, by scenario and role."""
        return [live for _, live in sorted(self._live.items(), key=lambda item: item[0])]

    def champion(self, scenario: str) -> Live | None:
        """Return the model that decides a scenario; ``None`` where none does."""
        return self._live.get((scenario, CHAMPION))

    def challenger(self, scenario: str) -> Live | None:
        """Return the model that runs in the champion's shadow; ``None`` where none does."""
        return self._live.get((scenario, CHALLENGER))

    def reference(self, live: Live, on: date) -> Chosen:
        """Return what a model's rows need to know of others as of a day.

        In a lake of few subjects it is made where it lacks; one caller makes it, others wait.

        Raises:
            ModelError: There is none that is new enough; the job ``score_all`` makes one.
        """
        pipeline = live.pipeline
        if not needed(pipeline) or self.references.newest(pipeline, on) is not None:
            return self.references.on(pipeline, on)
        with self._building:
            lacks = self.references.newest(pipeline, on) is None
            if lacks and self._few_subjects():
                self.references.build(self.lake, pipeline, on)
        return self.references.on(pipeline, on)

    def _few_subjects(self) -> bool:
        register = REGISTER in self.lake.tables()
        return register and self.lake.rows(REGISTER) <= self.settings.reference_inline

    def start(self) -> None:
        """Load what was live last, then keep to what the registry says, in the background."""
        self._thread = threading.Thread(target=self._run, name="xinjian-models", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking for models."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def wait(self, seconds: float) -> bool:
        """Wait until what was live last is loaded; return whether it is."""
        return self._loaded.wait(seconds)

    def restore(self) -> None:
        """Let what was live last be live again, from this machine's disk alone."""
        with self._looking():
            for named in self.shelf.last():
                self._take(named, None)
            self._tell()

    def refresh(self) -> None:
        """Let live what folders and the registry name, and nothing else.

        A registry that does not answer changes nothing; :attr:`registry_says` has why.
        """
        with self._looking():
            placed = self.shelf.placed()
            for (scenario, role), folder in placed.items():
                self._take_placed(scenario, role, folder)
            wanted = self._asked()
            for named in wanted or ():
                if (named.scenario, named.role) not in placed:
                    self._take(named, None)
            if wanted is not None:
                self._retire({*placed, *((one.scenario, one.role) for one in wanted)})
            self._tell()

    def _run(self) -> None:
        look_now_and_then(
            (self.restore, self.refresh), every=self.settings.model_poll, stop=self._stop
        )

    @contextmanager
    def _looking(self) -> Generator[None]:
        """Be the only one who looks; what was live last has been looked for, however it ends."""
        with self._working:
            try:
                yield
            finally:
                self._loaded.set()

    def _asked(self) -> list[Named] | None:
        """Return what the registry names; null where it does not answer."""
        try:
            named = self.registry.named()
        except RegistryError as error:
            if self.registry_says is None:
                _log.warning("registry down", reason=str(error))
            self.registry_says = str(error)
            metrics.REGISTRY_UP.set(0)
            return None
        self.registry_says = None
        metrics.REGISTRY_UP.set(1)
        return named

    def _take_placed(self, scenario: str, role: Role, folder: Path) -> None:
        try:
            named = Named(scenario, role, digest_of(folder))
        except BundleError as error:
            self._refuse(Named(scenario, role, ""), str(error))
        else:
            self._take(named, folder)

    def _take(self, named: Named, folder: Path | None) -> None:
        """Let a bundle live unless it is already, or was refused."""
        if self._decided(named):
            return
        try:
            live = self._made(named, folder)
        except RegistryError as error:  # it may be there the next time
            _log.warning("bundle not fetched", scenario=named.scenario, reason=str(error))
        except (BundleError, ConfigError) as error:
            self._refuse(named, str(error))
        else:
            self._swap(live, named)

    def _decided(self, named: Named) -> bool:
        """Tell whether the bundle is live, or refused, under the declaration that is there."""
        key = (named.scenario, named.role)
        declared = _stamp(self._declaration(named.scenario))
        refusal = self.refused.get(key)
        if refusal is not None and (refusal.named, refusal.declared) == (named, declared):
            return True
        live = self._live.get(key)
        return (
            live is not None
            and (live.bundle.digest, live.version) == (named.digest, named.version)
            and self._declared.get(key) == declared
        )

    def _made(self, named: Named, folder: Path | None) -> Live:
        """Return a bundle ready to decide, from the shelf, an operator's folder or the registry."""
        shelf = self.shelf
        if folder is not None:
            bundle = shelf.put(folder, named.digest)
        elif shelf.of(named.digest).exists():
            bundle = shelf.load(named.digest)
        else:
            bundle = self._fetched(named)
        if bundle.scenario.id != named.scenario:
            raise BundleError(
                f"the bundle of '{bundle.scenario.id}' was named {named.role} of "
                f"'{named.scenario}'; name it for its own scenario"
            )
        return made_ready(
            bundle,
            named.role,
            declared=self._declaration(named.scenario),
            contracts=self.contracts,
            version=named.version,
            since=self._clock(),
        )

    def _fetched(self, named: Named) -> Bundle:
        if named.version is None:
            raise BundleError(f"bundle {named.digest[:12]} is gone from {self.shelf.bundles}")
        with tempfile.TemporaryDirectory(prefix="xinjian-") as folder:
            return self.shelf.put(self.registry.fetch(named, Path(folder)), named.digest)

    def _declaration(self, scenario: str) -> Path:
        return self.settings.home / "scenarios" / f"{scenario}.yaml"

    def _swap(self, live: Live, named: Named) -> None:
        key = (named.scenario, named.role)
        self._declared[key] = _stamp(self._declaration(named.scenario))
        self._live = MappingProxyType({**self._live, key: live})
        self.refused = MappingProxyType({k: v for k, v in self.refused.items() if k != key})
        self._changed(named, Event.LIVE, None)

    def _refuse(self, named: Named, reason: str) -> None:
        key = (named.scenario, named.role)
        refusal = Refusal(named, reason, _stamp(self._declaration(named.scenario)))
        if self.refused.get(key) != refusal:
            self.refused = MappingProxyType({**self.refused, key: refusal})
            self._changed(named, Event.REFUSED, reason)

    def _retire(self, wanted: Collection[Key]) -> None:
        for key in [key for key in self._live if key not in wanted]:
            live = self._live[key]
            self._live = MappingProxyType({k: v for k, v in self._live.items() if k != key})
            gone = Named(*key, live.bundle.digest, live.version)
            self._changed(gone, Event.RETIRED, _RETIRED)
        self.refused = MappingProxyType({k: v for k, v in self.refused.items() if k in wanted})

    def _changed(self, named: Named, event: Event, reason: str | None) -> None:
        """Count, log and note what became of a bundle; the ledger is told by :meth:`_tell`."""
        metrics.MODEL_EVENTS.labels(named.scenario, named.role, event.value).inc()
        write = _log.error if event is Event.REFUSED else _log.info
        write(
            "model",
            became=event.value,
            scenario=named.scenario,
            role=named.role,
            bundle=named.digest[:12],
            version=named.version,
            reason=reason,
        )
        self._untold.append(
            ModelEvent(
                scenario=named.scenario,
                role=named.role,
                event=event.value,
                bundle_digest=named.digest,
                version=named.version,
                reason=reason,
                at=self._clock(),
            )
        )

    def _tell(self) -> None:
        """Write down what became of models; what the ledger does not take is told later."""
        if not self._untold:
            return
        live = [
            Named(scenario, role, one.bundle.digest, one.version)
            for (scenario, role), one in sorted(self._live.items(), key=lambda item: item[0])
        ]
        with suppress(OSError):  # a disk that is full costs a faster start, not the models
            self.shelf.remember(live)
        try:
            with self._ledger.begin() as connection:
                for event in self._untold:
                    promotions.append(connection, event)
        except LedgerError as error:
            _log.warning("model events wait for the ledger", reason=str(error))
        else:
            self._untold.clear()


def _stamp(path: Path) -> int:
    """Return when a file was changed, in nanoseconds; 0 where there is none."""
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0
