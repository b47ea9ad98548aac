"""Training rows that hold evaluation samples: n-gram decontamination.

Comes in: the texts of suites and benchmarks (`Protected`), then rows in chunks. Goes out: each row that shares a
13-word sequence with a sample (Brown et al. 2020, arXiv:2005.14165, appendix C), all words of a shorter one of at least
8 words, or that asks exactly its question. Sequences that stand in several different samples are the wording of a task
(an instruction, a form) and say nothing about one sample: they count only where they are a sample's whole text.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sfteval.train.audit.words import Vocabulary, text_key, word_rows, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.train.audit.words import WordRows
    from sfteval.train.rows import Row

NGRAM = 13
SHORTEST = 8
LISTED = 50


@dataclass(frozen=True, slots=True)
class ProtectedSample:
    """One text that no training row may hold. `against` is its suite, task or file; `name` its id there."""

    against: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Protected:
    """What training rows are compared with; `unchecked` says for each thing that cannot be read why."""

    samples: tuple[ProtectedSample, ...] = ()
    unchecked: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Overlap:
    """A row that holds a sample. `ngrams` is how many of the sample's `of` word sequences were found."""

    where: str
    against: str
    sample: str
    ngrams: int
    of: int
    text: str


@dataclass(slots=True)
class OverlapIndex:
    """The samples' n-grams; `scan` compares rows with them. `numbers` are those of the rows that hold one, in order."""

    samples: Sequence[ProtectedSample]
    numbers: list[int] = field(default_factory=list)
    wording: int = 0
    found: list[Overlap] = field(default_factory=list)
    hit: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _sizes: dict[int, tuple[np.ndarray, list[list[int]]]] = field(default_factory=dict)
    _whole: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _counts: list[int] = field(default_factory=list)
    _scanned: int = 0

    def __post_init__(self) -> None:
        """Index the samples."""
        vocabulary = Vocabulary()
        grams: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        keys = [text_key(sample.text) for sample in self.samples]
        for number, sample in enumerate(self.samples):
            words = words_of(sample.text)
            self._whole[keys[number]].append(number)
            size = min(NGRAM, len(words))
            values = word_rows([words], vocabulary).ngrams(size)[0].tolist() if size >= SHORTEST else []
            self._counts.append(len(values))
            for value in values:
                grams[size][value].add(number)
        for size, by_value in grams.items():
            kept = {value: told for value, n in by_value.items() if (told := self._told(n, keys))}
            self.wording += len(by_value) - len(kept)
            values = sorted(kept)
            self._sizes[size] = np.array(values, np.uint64), [kept[value] for value in values]

    def _told(self, numbers: set[int], keys: list[str]) -> list[int]:
        """Return the samples that an n-gram of all these samples gives away."""
        if len({keys[n] for n in numbers}) > 1:
            numbers = {n for n in numbers if self._counts[n] == 1}
        return sorted(numbers)

    def scan(self, rows: Sequence[Row], chunk: WordRows) -> None:
        """Compare rows; `chunk` holds the words of their turns without the system's."""
        hits: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for size, (known, numbers) in self._sizes.items():
            values, owners = chunk.ngrams(size)
            if not len(values) or not len(known):
                continue
            places = np.minimum(np.searchsorted(known, values), len(known) - 1)
            for match in np.flatnonzero(known[places] == values).tolist():
                for number in numbers[int(places[match])]:
                    hits[int(owners[match])][number] += 1
        for owner, row in enumerate(rows):
            for turn in row.turns:
                if turn.role == "user":
                    for number in self._whole.get(text_key(turn.content), ()):
                        hits[owner][number] = max(self._counts[number], 1)
        for owner in sorted(hits):
            self.numbers.append(self._scanned + owner)
            self._record(rows[owner], hits[owner])
        self._scanned += len(rows)

    def _record(self, row: Row, hits: dict[int, int]) -> None:
        for number, count in sorted(hits.items()):
            sample, of = self.samples[number], max(self._counts[number], 1)
            self.hit[sample.against].add(sample.name)
            if len(self.found) < LISTED:
                self.found.append(
                    Overlap(row.where, sample.against, sample.name, min(count, of), of, sample.text[:200])
                )
