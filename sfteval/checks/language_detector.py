"""`langdetect`'s detector, the same to the last bit in less time.

Comes in: a factory with its profiles. Goes out: a `Detector` whose inner loops run over whole arrays: the products of
one n-gram's probabilities in one go, each character normalised once, runs of blanks cut by a pattern. Its random draws
and its order of sums are kept, so that every probability is equal (a test compares them).
"""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
from langdetect.detector import Detector
from langdetect.lang_detect_exception import ErrorCode, LangDetectException
from langdetect.utils.ngram import NGram

BLANKS = re.compile(" {2,}")
LONGEST_GRAM = 3
MOST_ENDINGS = 200_000
normalise = functools.cache(NGram.normalize)


class QuickDetector(Detector):  # type: ignore[misc]
    """A detector that answers as `langdetect.detector.Detector` does."""

    arrays: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}  # noqa: RUF012 - one for all: the profiles are one
    """An n-gram's probabilities by language, as far as they were asked for."""
    endings: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - as above
    """The n-grams that the last three letters end with."""

    def append(self, text: str) -> None:
        """Take the text (once): without addresses, runs of blanks cut to one, the first 10,000 characters."""
        text = NGram.normalize_vi(self.MAIL_RE.sub(" ", self.URL_RE.sub(" ", text)))
        self.text = BLANKS.sub(" ", text[: self.max_text_length])

    def cleaning_text(self) -> None:
        """Drop Latin letters from a text that is mostly not Latin; there is nothing to drop in ASCII."""
        if not self.text.isascii():
            super().cleaning_text()

    def _extract_ngrams(self) -> list[str]:
        found: list[str] = []
        grams, capital = " ", False
        for written in self.text:
            letter, last = normalise(written), grams[-1]
            if last == " ":
                grams, capital = " ", False
            elif len(grams) >= LONGEST_GRAM:
                grams = grams[1:]
            if letter != " " or last != " ":
                grams += letter
                capital = letter.isupper() and (capital or last.isupper())
            if not capital:
                found += self.endings.get(grams) or self._endings(grams)
        return found

    def _endings(self, grams: str) -> tuple[str, ...]:
        """Return the endings of up to three letters that the profiles know, and remember them."""
        ends = (grams[-size:] for size in range(1, len(grams) + 1))
        known = tuple(gram for gram in ends if gram != " " and gram in self.word_lang_prob_map)
        if len(self.endings) < MOST_ENDINGS:
            self.endings[grams] = known
        return known

    def _detect_block(self) -> None:
        self.cleaning_text()
        grams = self._extract_ngrams()
        if not grams:
            raise LangDetectException(ErrorCode.CantDetectError, "No features in text.")
        self.random.seed(self.seed)
        mean = np.zeros(len(self.langlist))
        for _ in range(self.n_trial):
            mean += self._trial(grams, self.alpha + self.random.gauss(0.0, 1.0) * self.ALPHA_WIDTH) / self.n_trial
        self.langprob = mean.tolist()

    def _trial(self, grams: list[str], alpha: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Multiply the probabilities of n-grams drawn at random until one language has all of it."""
        weight, draw, count = alpha / self.BASE_FREQ, self.random.getrandbits, len(grams)
        bits = count.bit_length()
        shares = np.full(len(self.langlist), 1.0 / len(self.langlist))
        for step in range(self.ITERATION_LIMIT + 1):
            place = draw(bits)
            while place >= count:  # as `random.choice` draws
                place = draw(bits)
            shares *= weight + self._array(grams[place])
            if step % 5 == 0:
                shares /= sum(shares.tolist())  # one after the other, as langdetect adds
                if shares.max() > self.CONV_THRESHOLD:
                    break
        return shares

    def _array(self, gram: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        array = self.arrays.get(gram)
        if array is None:
            array = self.arrays[gram] = np.array(self.word_lang_prob_map[gram])
        return array
