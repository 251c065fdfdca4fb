"""When two free answers are the same."""

from __future__ import annotations

import re
import unicodedata

_OUTER = ".,;:!?\"'`()[]{}“”‘’«»。、！？「」 "


def normalised(text: str) -> str:
    """What counts when free answers are compared: NFKC, case-folded, spaces collapsed, without outer
    punctuation and a leading article."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = " ".join(text.split()).strip(_OUTER)
    return re.sub(r"^(the|an|a) ", "", text).strip(_OUTER)
