"""Bundles on this machine's disk, by their digest, and which of them were live last.

    <home>/serving/bundles/<digest>/              every bundle that ever was live
    <home>/serving/bundles/<scenario>/<role>/     one that an operator put there, without a registry
    <home>/serving/live.json                      what was live last, to start from

What was live stays: a decision of long ago is recomputed with the very bundle that made it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

from models.published import CHALLENGER, CHAMPION
from models.risk.bundle import Bundle
from serving import kept
from serving.ledger.decisions import Role

ROLES: Final[tuple[Role, ...]] = (CHAMPION, CHALLENGER)


@dataclass(frozen=True, slots=True)
class Named:
    """A bundle by its digest, and what it is to be; ``version`` is null without a registry."""

    scenario: str
    role: Role
    digest: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """The bundles under one folder, which is made when the first is put there."""

    folder: Path

    @property
    def bundles(self) -> Path:
        """Return the folder of the bundles."""
        return self.folder / "bundles"

    def of(self, digest: str) -> Path:
        """Return where a bundle is, or would be."""
        return self.bundles / digest

    def load(self, digest: str) -> Bundle:
        """Read a bundle, every byte held against its hash; :class:`BundleError` where it lacks."""
        return Bundle.load(self.of(digest), digest=digest)

    def put(self, source: Path, digest: str) -> Bundle:
        """Copy a bundle's folder to its place, and return the bundle.

        Raises:
            BundleError: What is there is not the bundle of the digest; nothing is kept of it.
        """
        return kept.keep(source, self.bundles, digest, load=Bundle.load)

    def placed(self) -> dict[tuple[str, Role], Path]:
        """Return the bundles that an operator put there, by scenario and role."""
        if not self.bundles.is_dir():
            return {}
        return {
            (one.parent.name, role): one
            for role in ROLES
            for one in sorted(self.bundles.glob(f"[a-z]*/{role}"))
            if (one / "manifest.json").is_file()
        }

    def last(self) -> list[Named]:
        """Return what was live last; nothing where that is not known."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            told = cast("list[dict[str, object]]", json.loads(self._note.read_text("utf-8")))
            return [
                Named(
                    scenario=str(one["scenario"]),
                    role=role,
                    digest=str(one["digest"]),
                    version=cast("int | None", one["version"]),
                )
                for one in told
                for role in ROLES
                if one["role"] == role
            ]
        return []

    def remember(self, live: Iterable[Named]) -> None:
        """Note what is live, whole or not at all."""
        kept.note([asdict(one) for one in live], self._note)

    @property
    def _note(self) -> Path:
        return self.folder / "live.json"
