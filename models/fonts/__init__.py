"""The Chinese font that pictures and reports are set in; see README.md beside it for its making."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FAMILY: Final = "Xinjian Sans SC"
"""The family's name inside the file."""

FONT: Final = Path(__file__).with_name("XinjianSansSC-Regular.otf")
"""An OpenType font of GB 2312, Latin-1 and punctuation; SIL Open Font License 1.1."""

LICENCE: Final = FONT.with_name("OFL.txt")
"""The text that goes wherever the font goes."""
