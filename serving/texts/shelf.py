"""Text bundles on this machine's disk, by their digest, and which of them was live last.

<home>/serving/texts/<digest>/     every text bundle that ever was live
<home>/serving/texts/champion/     one that an operator put there, without a registry
<home>/serving/texts/live.json     what was live last, to start from
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import cast

from models.published import CHAMPION
from models.text.bundle import MANIFEST, TextBundle
from serving import kept
from serving.texts.registry import NamedText


@dataclass(frozen=True, slots=True)
class TextShelf:
    """The text bundles under one folder, which is made when the first is put there."""

    folder: Path

    def of(self, digest: str) -> Path:
        """Return where a bundle is, or would be."""
        return self.folder / digest

    def load(self, digest: str) -> TextBundle:
        """Read a bundle, every byte held against its hash; :class:`BundleError` where it lacks."""
        return TextBundle.load(self.of(digest), digest=digest)

    def put(self, source: Path, digest: str) -> TextBundle:
        """Copy a bundle's folder to its place, and return the bundle.

        Raises:
            BundleError: What is there is not the bundle of the digest; nothing is kept of it.
        """
        return kept.keep(source, self.folder, digest, load=TextBundle.load)

    def placed(self) -> NamedText | None:
        """Return the bundle that an operator put there; null where there is none."""
        try:
            content = (self.folder / CHAMPION / MANIFEST).read_bytes()
        except OSError:
            return None
        return NamedText(CHAMPION, sha256(content).hexdigest())

    @property
    def place(self) -> Path:
        """Return the folder that an operator puts a bundle into."""
        return self.folder / CHAMPION

    def last(self) -> NamedText | None:
        """Return what was live last; null where that is not known."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            told = cast("dict[str, object]", json.loads(self._note.read_text("utf-8")))
            version = cast("int | None", told["version"])
            return NamedText(str(told["model"]), str(told["digest"]), version)
        return None

    def remember(self, live: NamedText) -> None:
        """Note what is live, whole or not at all."""
        kept.note(asdict(live), self._note)

    @property
    def _note(self) -> Path:
        return self.folder / "live.json"
