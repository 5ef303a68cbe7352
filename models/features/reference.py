"""The reference: what the features of one subject need to know of all the others.

A batch makes it on its way and can keep it; one subject online, given the reference of the date,
gets the bits that the batch got.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import cast

from models.errors import ConfigError
from models.features.network import Network
from models.features.peers import Peers

_NOTE = "reference.json"


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The network of ties and flags, and the distributions of peers as of ``dates``.

    ``features`` is the digest of the catalogue that it goes with.
    """

    features: str
    dates: tuple[date, ...]
    network: Network
    peers: Peers

    def check(self, features: str) -> None:
        """Raise :class:`ConfigError` where the catalogue is not the one it was made for."""
        if features != self.features:
            raise ConfigError(
                f"the reference was made for the features {self.features[:12]}, not "
                f"{features[:12]}: the scenario or the contracts changed; build it again"
            )

    def save(self, folder: Path) -> None:
        """Write the reference into ``folder``, which is made where it does not exist."""
        folder.mkdir(parents=True, exist_ok=True)
        self.network.save(folder)
        self.peers.save(folder)
        note = {
            "features": self.features,
            "dates": [on.isoformat() for on in self.dates],
            "tables": sorted(self.network.tables),
        }
        (folder / _NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """Read what :meth:`save` wrote; :class:`ConfigError` where there is no reference."""
        path = folder / _NOTE
        if not path.is_file():
            raise ConfigError(
                f"{folder} holds no reference; write one with xinjian features build --reference"
            )
        note = cast("dict[str, object]", json.loads(path.read_text(encoding="utf-8")))
        return cls(
            features=str(note["features"]),
            dates=tuple(date.fromisoformat(on) for on in cast("Sequence[str]", note["dates"])),
            network=Network.load(folder, cast("Sequence[str]", note["tables"])),
            peers=Peers.load(folder),
        )
