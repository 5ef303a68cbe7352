"""Which model reads texts, kept up to date behind the requests' backs.

Nothing is loaded before the first text comes: a process that reads none has no model in memory.
From then on a thread keeps to what the registry, or an operator's folder, says. One reference is
swapped, so that a request that has taken its model keeps it to its end. What cannot be fetched, is
altered, or fails its trial never goes live: what read before goes on reading.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from models.errors import BundleError, ConfigError, ModelError, RegistryError
from models.logs import logger
from models.text.bundle import TextBundle
from models.text.classifier import Answer, Classifier
from models.text.laws import Laws
from models.text.taxonomy import taxonomy
from serving import metrics
from serving.kept import look_now_and_then
from serving.settings import ServeSettings
from serving.texts.registry import NamedText, TextRegistry
from serving.texts.shelf import TextShelf

LEAF: Final = "leaf"
SCENARIO: Final = "text"
"""What the model of texts is called among the scenarios of the metrics."""
AT_ONCE: Final = 2
"""Requests whose texts are read at one time; more would only take each other's processor."""
_TRIAL: Final = ("销售超过保质期的食品", "")
_log = logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class LiveText:
    """The model that reads; ``version`` is the registry's, null for one from a folder."""

    named: NamedText
    classifier: Classifier
    since: datetime

    @property
    def engine(self) -> str:
        """Return what runs the model: an engine's name, or ``linear`` where there is none."""
        engine = self.classifier.engine
        return "linear" if engine is None else engine.name

    def read(self, texts: Sequence[str]) -> list[dict[str, Answer]]:
        """Return the answers for each text, by head."""
        return self.classifier.read(texts)


class Texts:
    """The text model of a running process; :meth:`close` it in the end."""

    def __init__(self, settings: ServeSettings, clock: Callable[[], datetime]) -> None:
        """Keep what it works with; nothing is read yet."""
        self.settings = settings
        self.shelf = TextShelf(settings.home / "serving" / "texts")
        self.registry = TextRegistry.of(settings)
        self.reading = threading.BoundedSemaphore(AT_ONCE)
        self.refused: tuple[NamedText, str] | None = None
        """The bundle that was not let live last, and why."""
        self.says: str | None = None
        """Why nothing new goes live, where that is so."""
        self.live: LiveText | None = None
        self._laws: tuple[float, Laws] | None = None
        self._named_none = False
        self._clock = clock
        self._working = threading.Lock()
        self._starting = threading.Lock()
        self._loaded = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def laws(self) -> Laws | None:
        """Return the articles of laws that the installation has; null where it has none."""
        return None if self._laws is None else self._laws[1]

    def ready(self, seconds: float) -> bool:
        """Begin to keep a model ready, and wait for the first look; return whether it was taken."""
        with self._starting:
            if self._thread is None and not self._loaded.is_set():
                self._thread = threading.Thread(target=self._run, name="xinjian-texts", daemon=True)
                self._thread.start()
        return self._loaded.wait(seconds)

    def close(self) -> None:
        """Stop looking for models."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def refresh(self) -> None:
        """Let live what the operator's folder or the registry names.

        A registry that does not answer changes nothing; :attr:`says` has why.
        """
        with self._working:
            try:
                self._read_laws()
                wanted = self._wanted()
                if wanted is not None:
                    self._take(wanted)
                elif self._named_none and self.live is not None:
                    gone, self.live = self.live.named, None
                    self._tell(gone, "retired", "no alias and no folder names it any more")
            finally:
                self._loaded.set()

    def _run(self) -> None:
        look_now_and_then(
            (self._restore, self.refresh), every=self.settings.model_poll, stop=self._stop
        )

    def _restore(self) -> None:
        """Let what was live last be live again, from this machine's disk alone."""
        with self._working:
            named = self.shelf.last()
            if named is not None and self.shelf.of(named.digest).exists():
                self._take(named)

    def _wanted(self) -> NamedText | None:
        """Return what is to be live; null where nobody says, and then nothing changes."""
        self._named_none = False
        placed = self.shelf.placed()
        if placed is not None:
            self.says = None
            return placed
        try:
            found = self.registry.champions()
        except RegistryError as error:
            if self.says is None:
                _log.warning("registry down", reason=str(error))
            self.says = str(error)
            return None
        asked = self.settings.text_model
        if asked is not None:
            found = [one for one in found if one.model == asked]
        self.says, self._named_none = _choice(found, asked), not found
        return found[0] if len(found) == 1 else None

    def _take(self, named: NamedText) -> None:
        """Let a bundle live unless it is already, or was refused."""
        live = self.live
        if (live is not None and live.named == named) or (self.refused or (None,))[0] == named:
            return
        try:
            made = self._made(named)
        except RegistryError as error:  # it may be there the next time
            self.says = str(error)
            _log.warning("text bundle not fetched", model=named.model, reason=str(error))
        except (BundleError, ConfigError, ModelError) as error:
            self.refused = (named, str(error))
            self._tell(named, "refused", str(error))
        else:
            self.live, self.refused = made, None
            self._tell(named, "live", None)
            with suppress(OSError):  # a disk that is full costs a faster start, not the model
                self.shelf.remember(named)

    def _made(self, named: NamedText) -> LiveText:
        """Return a model that was tried out, from the shelf, the folder or the registry."""
        classifier = Classifier(self._bundle(named), threads=self._threads)
        check(classifier)
        return LiveText(named, classifier, self._clock())

    @property
    def _threads(self) -> int | None:
        return None if self.settings.workers == 1 else 1

    def _bundle(self, named: NamedText) -> TextBundle:
        if self.shelf.of(named.digest).exists():
            return self.shelf.load(named.digest)
        if named.version is None:
            return self.shelf.put(self.shelf.place, named.digest)
        with tempfile.TemporaryDirectory(prefix="xinjian-") as folder:
            return self.shelf.put(self.registry.fetched(named, Path(folder)), named.digest)

    def _read_laws(self) -> None:
        """Read the laws where they were brought in, or brought in anew."""
        path = self.settings.home / "text" / "laws.parquet"
        try:
            changed = path.stat().st_mtime
        except OSError:
            self._laws = None
            return
        if self._laws is not None and self._laws[0] == changed:
            return
        try:
            self._laws = (changed, Laws.read(path))
        except ConfigError as error:  # what was read before stays
            _log.warning("laws not read", reason=str(error))

    def _tell(self, named: NamedText, became: str, reason: str | None) -> None:
        metrics.MODEL_EVENTS.labels(SCENARIO, "champion", became).inc()
        write = _log.error if became == "refused" else _log.info
        write(
            "text model",
            became=became,
            model=named.model,
            bundle=named.digest[:12],
            version=named.version,
            reason=reason,
        )


def check(classifier: Classifier) -> None:
    """Let a model read twice; raise :class:`BundleError` or :class:`ConfigError` for a surprise."""
    digest = classifier.bundle.digest[:12]
    heads = {head.name: head for head in classifier.bundle.heads}
    if LEAF not in heads:
        raise BundleError(
            f"text bundle {digest} does not answer with a leaf of the violation taxonomy; fit one "
            "on a table with a column 'leaf'"
        )
    taxonomy().check(heads[LEAF].labels)
    first = classifier.read(_TRIAL)
    if first != classifier.read(_TRIAL) or not first[0][LEAF].top:
        raise BundleError(f"text bundle {digest} reads the same text in two ways; fit it again")


def _choice(found: Sequence[NamedText], asked: str | None) -> str | None:
    """Return why nothing is chosen; null where one is."""
    if len(found) == 1:
        return None
    if found:
        names = ", ".join(one.model for one in found)
        return f"{len(found)} text models have a champion ({names}); set XINJIAN_TEXT_MODEL to one"
    return (
        f"{'no text model' if asked is None else f'text model {asked}'} has a champion; fit one "
        "and promote it (xinjian text fit, register, promote), or put a bundle's folder under "
        "<home>/serving/texts/champion"
    )
