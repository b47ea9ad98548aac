"""Near duplicates by MinHash (Broder 1997), found through banded signatures and verified on the texts.

Comes in: rows of words, in chunks. Goes out: groups of rows of which each resembles another one: Jaccard similarity of
their 5-word shingles at least `THRESHOLD`. With 16 bands of 4 a pair at 0.8 is a candidate with probability 0.9998;
what is reported has been compared exactly.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sfteval.train.audit.words import Vocabulary, WordRows, word_rows, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Signatures = np.ndarray[tuple[int, int], np.dtype[np.uint32]]

SHINGLE = 5
THRESHOLD = 0.8
BANDS, ROWS = 16, 4
# A pair below this in the signatures is not worth a look: 0.8 within 64 hashes has a standard error of 0.05.
_ESTIMATE = 0.6
# Comparisons inside one bucket: rows against the first ones that resemble no other.
_LEADERS = 8


class NearDuplicates:
    """Collects signatures; `groups` compares."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        count = BANDS * ROWS
        self._factors = random.integers(0, 2**64, count, np.uint64) | np.uint64(1)
        self._offsets = random.integers(0, 2**64, count, np.uint64)
        self._chunks: list[Signatures] = []

    def add(self, chunk: WordRows) -> None:
        """Take the next rows; each has at least one word."""
        values, rows = chunk.shingles(SHINGLE)
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        made = np.empty((len(chunk.lengths), len(self._factors)), np.uint32)
        for place, (factor, offset) in enumerate(zip(self._factors, self._offsets, strict=True)):
            mixed = ((values * factor + offset) >> np.uint64(32)).astype(np.uint32)
            made[:, place] = np.minimum.reduceat(mixed, starts)
        self._chunks.append(made)

    def groups(self, text_of: Callable[[int], str]) -> list[list[int]]:
        """Return groups of row numbers (in the order of `add`), each and all in order; `text_of` gives a row's text."""
        if not self._chunks:
            return []
        signatures = np.concatenate(self._chunks)
        same = _Same(signatures, text_of)
        for bucket in _buckets(signatures):
            leaders: list[int] = []
            for number in bucket:
                if not any(same.join(leader, number) for leader in leaders) and len(leaders) < _LEADERS:
                    leaders.append(number)
        return same.groups()


def _buckets(signatures: Signatures) -> Iterator[list[int]]:
    """Yield row numbers that agree in a band."""
    for band in range(BANDS):
        part = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS]).view(np.uint64)
        key = part[:, 0] * np.uint64(0x9E3779B97F4A7C15) + part[:, 1]
        order = np.argsort(key, kind="stable")
        edges = np.flatnonzero(np.diff(key[order])) + 1
        for bucket in np.split(order, edges):
            if len(bucket) > 1:
                yield bucket.tolist()


class _Same:
    """Union-find over rows that are near duplicates."""

    def __init__(self, signatures: Signatures, text_of: Callable[[int], str]) -> None:
        self.signatures = signatures
        self.parents = list(range(len(signatures)))
        vocabulary = Vocabulary()

        @lru_cache(maxsize=4096)
        def shingles(number: int) -> frozenset[int]:
            values, _ = word_rows([words_of(text_of(number))], vocabulary).shingles(SHINGLE)
            return frozenset(values.tolist())

        self.shingles = shingles

    def root(self, number: int) -> int:
        while self.parents[number] != number:
            self.parents[number] = self.parents[self.parents[number]]
            number = self.parents[number]
        return number

    def join(self, one: int, other: int) -> bool:
        """Join two rows if they are near duplicates; say whether they are in one group."""
        first, second = self.root(one), self.root(other)
        if first == second:
            return True
        if (self.signatures[one] == self.signatures[other]).mean() < _ESTIMATE:
            return False
        left, right = self.shingles(one), self.shingles(other)
        if len(left & right) < THRESHOLD * len(left | right):
            return False
        self.parents[max(first, second)] = min(first, second)
        return True

    def groups(self) -> list[list[int]]:
        found: dict[int, list[int]] = {}
        for number in range(len(self.parents)):
            root = self.root(number)
            if root != number:
                found.setdefault(root, [root]).append(number)
        return [found[root] for root in sorted(found)]
