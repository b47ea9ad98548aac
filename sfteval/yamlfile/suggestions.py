"""Near misses: what somebody probably meant.

Comes in: a wrong name and the right ones. Goes out: a sentence, or nothing.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CUTOFF = 0.6


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" for the nearest known name, "" when none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=CUTOFF)
    return f"Did you mean {near[0]!r}?" if near else ""


def one_of(names: Iterable[str]) -> str:
    """Return "one of a, b, c"."""
    return "one of " + ", ".join(sorted(names))
