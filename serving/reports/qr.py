"""QR codes of addresses, as pictures for a document."""

from __future__ import annotations

import io
from urllib.parse import quote, urlencode

from serving.settings import ServeSettings


def page_of(settings: ServeSettings, *path: str, **asked: str) -> str | None:
    """Return where people reach a page of the service; null where no address is known.

    Args:
        settings: Name the public address.
        path: The parts of the page's path, in clear.
        asked: Its query.
    """
    if settings.public_address is None:
        return None
    page = "/".join([settings.public_address, *(quote(part, safe="") for part in path)])
    return f"{page}?{urlencode(asked)}" if asked else page


def qr(address: str | None) -> str | None:
    """Return the QR code of an address as SVG text; null where there is no address."""
    if address is None:
        return None
    import segno

    picture = io.BytesIO()
    segno.make(address, error="m").save(picture, kind="svg", border=1)
    return picture.getvalue().decode()
