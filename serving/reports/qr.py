"""QR codes of addresses, as pictures for a document."""

from __future__ import annotations

import io


def qr(address: str | None) -> str | None:
    """Return the QR code of an address as SVG text; null where there is no address."""
    if address is None:
        return None
    import segno

    picture = io.BytesIO()
    segno.make(address, error="m").save(picture, kind="svg", border=1)
    return picture.getvalue().decode()
