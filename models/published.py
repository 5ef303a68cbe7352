"""Under which names a fitted model is published, for whoever puts it there or fetches it.

What is peculiar to a family of models stands beside it: :mod:`models.risk.published`,
:mod:`models.text.published`.
"""

from __future__ import annotations

from typing import Final

CHAMPION: Final = "champion"
"""The alias of the version that decides."""
CHALLENGER: Final = "challenger"
"""The alias of the version fitted last that has not replaced the champion."""
PREVIOUS: Final = "previous"
"""The alias of the champion before, to go back to."""
ALIASES: Final = (CHAMPION, CHALLENGER, PREVIOUS)

BUNDLE_PATH: Final = "model/artifacts/bundle"
"""Where a run's artifacts hold the bundle's folder."""

TAG: Final = "xinjian."
DIGEST: Final = f"{TAG}bundle_digest"
VERDICT: Final = f"{TAG}verdict"
"""``promote`` or ``keep``."""
VERDICT_TEXT: Final = f"{TAG}verdict_text"
"""The reasons in words; :data:`VERDICT_JSON` has each figure."""
VERDICT_JSON: Final = f"{TAG}verdict_json"
