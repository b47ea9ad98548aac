"""Syllables of English words by `syllapy`: its list of words, then its rule. Comes in: a word. Goes out: how many."""

from __future__ import annotations

import functools

REMEMBERED = 50_000


@functools.lru_cache(maxsize=REMEMBERED)
def syllables(word: str) -> int:
    """Return the number of syllables, 0 for what is no word; remembered, since texts share most of their words."""
    import syllapy

    return int(syllapy.count(word))
