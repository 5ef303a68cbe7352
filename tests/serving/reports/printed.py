"""What can be told of a PDF without a reader."""

from __future__ import annotations

import re
import zlib


def pages(document: bytes) -> int:
    """Count pages: in the file itself, or inside its compressed object streams."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", document, flags=re.DOTALL)
    text = document + b"".join(_inflated(stream) for stream in streams)
    return len(re.findall(rb"/Type\s*/Page(?!s)", text))


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""
