"""Texts brought to one form, so that answers compare by what they say.

Comes in: text. Goes out: text without differences of Unicode form, case, spacing, quotes around it or a final stop.
"""

from __future__ import annotations

import unicodedata

EDGES = " \t\r\n\"'`“”‘’*"


def normalise(text: str, *, ignore_case: bool = True) -> str:
    """Return the text in NFKC, one space between words, without quotes around it and a final full stop."""
    plain = " ".join(unicodedata.normalize("NFKC", text).split()).strip(EDGES)
    plain = plain.rstrip(".!。").strip(EDGES)
    return plain.casefold() if ignore_case else plain
