"""`langdetect`'s detector, the same to the last bit in less time.

Comes in: a factory with its profiles. Goes out: a `Detector` whose inner loops run over whole arrays: the products of
five n-grams' probabilities in one go, each word cut into n-grams once, runs of blanks cut by a pattern. Its random
draws and its order of products and sums are kept, so that every probability is equal (a test compares them).
"""

from __future__ import annotations

import re
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from langdetect.detector import Detector
from langdetect.lang_detect_exception import ErrorCode, LangDetectException
from langdetect.utils.ngram import NGram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BLANKS = re.compile(" {2,}")
LONGEST_GRAM = 3
LONGEST_KEPT = 40
MOST_WORDS = 200_000
FEW_ROWS = 4096


class _Normal(dict[int, str]):
    """Characters as `langdetect` normalises them, by code point, for `str.translate`."""

    def __missing__(self, code: int) -> str:
        normal = self[code] = str(NGram.normalize(chr(code)))
        return normal


class _Rows:
    """Probabilities by language of the n-grams that were met, a row of one table each; one for all, as the profiles."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.words: dict[str, tuple[int, ...]] = {}
        self.table: np.ndarray[Any, np.dtype[np.float64]] = np.empty((0, 0))
        self.lock = Lock()

    def of_word(self, word: str, known: Mapping[str, list[float]]) -> tuple[int, ...]:
        """Return the rows of a word's n-grams in the order of its letters, and remember those of a short word."""
        rows = tuple(self._place(gram, known[gram]) for gram in grams_of(word) if gram in known)
        if len(word) <= LONGEST_KEPT and len(self.words) < MOST_WORDS:
            self.words[word] = rows
        return rows

    def _place(self, gram: str, probabilities: list[float]) -> int:
        place = self.places.get(gram)
        if place is not None:
            return place
        with self.lock:
            place = len(self.places)
            if place >= len(self.table):
                grown = np.empty((max(FEW_ROWS, 2 * len(self.table)), len(probabilities)))
                grown[:place] = self.table[:place] if place else 0.0
                self.table = grown
            self.table[place] = probabilities
            return self.places.setdefault(gram, place)


_NORMAL, _ROWS = _Normal(), _Rows()


def grams_of(word: str) -> Iterator[str]:
    """Yield the n-grams that end at each letter of a normalised word (its last one may be a blank), short ones first.

    As published: none while the word's last two letters or more are capitals.
    """
    grams, capital = " ", False
    for letter in word:
        last = grams[-1]
        grams = grams[1 - LONGEST_GRAM :] + letter
        capital = letter.isupper() and (capital or last.isupper())
        if not capital:
            yield from (gram for size in range(1, len(grams) + 1) if (gram := grams[-size:]) != " ")


class QuickDetector(Detector):  # type: ignore[misc]
    """A detector that answers as `langdetect.detector.Detector` does."""

    def append(self, text: str) -> None:
        """Take the text (once): without addresses, runs of blanks cut to one, the first 10,000 characters."""
        text = NGram.normalize_vi(self.MAIL_RE.sub(" ", self.URL_RE.sub(" ", text)))
        self.text = BLANKS.sub(" ", text[: self.max_text_length])

    def cleaning_text(self) -> None:
        """Drop Latin letters from a text that is mostly not Latin; there is nothing to drop in ASCII."""
        if not self.text.isascii():
            super().cleaning_text()

    def _rows(self) -> list[int]:
        """Return the rows of the text's n-grams: every word begins anew, and the blank after it is its last letter."""
        *words, last = self.text.translate(_NORMAL).split(" ")
        found: list[int] = []
        for word in (*(f"{word} " for word in words if word), last):
            rows = _ROWS.words.get(word)
            found += _ROWS.of_word(word, self.word_lang_prob_map) if rows is None else rows
        return found

    def _detect_block(self) -> None:
        self.cleaning_text()
        rows = self._rows()
        if not rows:
            raise LangDetectException(ErrorCode.CantDetectError, "No features in text.")
        self.random.seed(self.seed)
        mean = np.zeros(len(self.langlist))
        for _ in range(self.n_trial):
            mean += self._trial(rows, self.alpha + self.random.gauss(0.0, 1.0) * self.ALPHA_WIDTH) / self.n_trial
        self.langprob = mean.tolist()

    def _trial(self, rows: list[int], alpha: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Multiply the probabilities of n-grams drawn at random until one language has all of it."""
        weight, draw, count, table = alpha / self.BASE_FREQ, self.random.getrandbits, len(rows), _ROWS.table
        bits, together = count.bit_length(), 1  # it looks after the first draw, then after each fifth
        shares = np.full(len(self.langlist), 1.0 / len(self.langlist))
        for _ in range(0, self.ITERATION_LIMIT + 1, 5):
            drawn: list[int] = []
            while len(drawn) < together:
                place = draw(bits)
                if place < count:  # as `random.choice` draws
                    drawn.append(rows[place])
            factors = table.take(drawn, axis=0)
            factors += weight
            factors[0] *= shares
            shares = np.multiply.reduce(factors, axis=0)
            values = shares.tolist()
            total = sum(values)  # one after the other, as langdetect adds
            shares /= total
            if max(values) / total > self.CONV_THRESHOLD:
                break
            together = 5
        return shares
