"""Under which names a text model is published, beside those of :mod:`models.published`."""

from __future__ import annotations

import re
from typing import Final

from models.errors import ConfigError
from models.published import TAG

KIND: Final = f"{TAG}text_kind"
"""``linear``, ``encoder`` or ``ensemble``."""
TAXONOMY_DIGEST: Final = f"{TAG}taxonomy_digest"
DATA_DIGEST: Final = f"{TAG}data_digest"

_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


def model_name(model: str) -> str:
    """Return the name that the versions of a text model are registered under.

    Raises:
        ConfigError: The id is not a plain lower-case identifier.
    """
    if not is_id(model):
        raise ConfigError(
            f"text model '{model}': use lower-case letters, digits and _, beginning with a "
            "letter, at most 63 characters"
        )
    return f"{TAG}text.{model}"


def is_id(model: str) -> bool:
    """Tell whether a text model may be called so."""
    return _ID.fullmatch(model) is not None
