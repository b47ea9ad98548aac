"""Texts to numbers: words, their hashes, n-grams of many rows at once.

Comes in: texts. Goes out: arrays of 64-bit hashes with the row that each belongs to. Case, punctuation and spacing
make no difference; scripts without spaces are taken character by character.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]
    Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(31)
MAX_VOCABULARY = 1_000_000


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; the text itself if it has none."""
    return WORD.findall(text.lower()) or [text.strip()]


def text_key(text: str) -> str:
    """Return a key that texts of the same words share."""
    return hashlib.blake2b(" ".join(words_of(text)).encode(), digest_size=16).hexdigest()


class Vocabulary(dict[str, int]):
    """A word's 64-bit hash, computed once; the same in every process."""

    def __missing__(self, word: str) -> int:
        """Hash a new word."""
        if len(self) >= MAX_VOCABULARY:
            self.clear()
        value = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
        self[word] = value
        return value


@dataclass(frozen=True, slots=True)
class WordRows:
    """The words of several rows: hashes in one array, and the row of each."""

    hashes: Hashes
    rows: Numbers
    lengths: Numbers

    def ngrams(self, size: int) -> tuple[Hashes, Numbers]:
        """Return the hashes of all n-grams of `size` words inside a row, and their rows; both in order."""
        if len(self.hashes) < size:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        count = len(self.hashes) - size + 1
        value = np.zeros(count, np.uint64)
        for place in range(size):
            value = value * _FACTOR + self.hashes[place : place + count]
        value = (value ^ (value >> _SHIFT)) * _MIX
        inside = self.rows[:count] == self.rows[size - 1 :]
        return value[inside], self.rows[:count][inside]

    def shingles(self, size: int) -> tuple[Hashes, Numbers]:
        """Return `ngrams(size)`; a row with fewer words has one n-gram of all of them."""
        parts = [self.ngrams(size)]
        for shorter in range(1, size):
            values, rows = self.ngrams(shorter)
            keep = self.lengths[rows] == shorter
            parts.append((values[keep], rows[keep]))
        values, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(rows, kind="stable")
        return values[order], rows[order]


def word_rows(rows: Sequence[Sequence[str]], vocabulary: Vocabulary) -> WordRows:
    """Return the hashes of rows of words."""
    lengths = np.array([len(row) for row in rows], np.int64)
    flat = [vocabulary[word] for row in rows for word in row]
    return WordRows(np.array(flat, np.uint64), np.repeat(np.arange(len(rows)), lengths), lengths)
