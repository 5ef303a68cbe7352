"""One way to write what is declared, so that the same declaration has the same digest."""

from __future__ import annotations

import hashlib
import json


def canonical_json(data: object) -> str:
    """Return plain data as JSON in its one form: keys sorted, nothing between, UTF-8 unescaped."""
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest_of(data: object) -> str:
    """Return the SHA-256 of plain data's canonical JSON, in 64 hex digits."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()
