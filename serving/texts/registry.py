"""Which text models the registry says are champions; asked in the background, as of risk models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.published import BUNDLE_PATH, CHAMPION, DIGEST
from models.text.published import model_name
from serving.runtime.registry import Registry


@dataclass(frozen=True, slots=True)
class NamedText:
    """A champion among text models by its digest; ``version`` is null without a registry."""

    model: str
    digest: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class TextRegistry(Registry):
    """The registry at an address, asked for text models."""

    def champions(self) -> list[NamedText]:
        """Return the champions of all text models, by id.

        Raises:
            RegistryError: The registry cannot be reached.
        """
        if not self.exists:
            return []
        prefix = model_name("x").removesuffix("x")
        found: list[NamedText] = []
        with self._client() as client:
            for model in client.search_registered_models(f"name LIKE '{prefix}%'"):
                name = str(vars(model)["_name"])
                aliases = {str(k): str(v) for k, v in dict(vars(model)["_aliases"]).items()}
                if (number := aliases.get(CHAMPION)) is None:
                    continue
                tags = client.get_model_version(name, number).tags
                own = name.removeprefix(prefix)
                found.append(NamedText(own, tags.get(DIGEST, ""), int(number)))
        return sorted(found, key=lambda one: one.model)

    def fetched(self, named: NamedText, folder: Path) -> Path:
        """Download the bundle of a version into ``folder``, and return where it lies there.

        Raises:
            RegistryError: The registry cannot be reached, or has no such version.
        """
        with self._client() as client:
            model = client.get_model_version(model_name(named.model), str(named.version))
            return Path(client.download_artifacts(model.run_id or "", BUNDLE_PATH, str(folder)))
