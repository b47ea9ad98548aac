"""The audit of a data set, in one pass beside its encoding.

Comes in: each row with its encoding, when it is read for the first time. Goes out: one mapping of plain data, which
`--json`, tables, the page and the training's manifest all show.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sfteval.train.audit.contents import Contents
from sfteval.train.audit.duplicates import NearDuplicates
from sfteval.train.audit.measures import Cut, Measures
from sfteval.train.audit.overlap import OverlapIndex
from sfteval.train.audit.words import Vocabulary, word_rows, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfteval.train.audit.overlap import Protected
    from sfteval.train.masks import Encoded
    from sfteval.train.rows import Faults, Row
    from sfteval.train.template import ChatTemplate

CHUNK = 2048
LISTED = 20


def spoken(row: Row) -> str:
    """Return a row's text without its system message and tools: what makes it another row."""
    return "\n".join(turn.content for turn in row.turns if turn.role != "system")


@dataclass(slots=True)
class Auditor:
    """Collects; `report` ends it. Rows are numbered as their store numbers them."""

    template: ChatTemplate
    limit: int
    protected: Protected
    measures: Measures = field(init=False)
    cut: Cut = field(init=False)
    contents: Contents = field(default_factory=Contents)
    near: NearDuplicates = field(default_factory=NearDuplicates)
    overlap: OverlapIndex = field(init=False)
    _repeats: dict[int, list[str]] = field(default_factory=dict)
    _vocabulary: Vocabulary = field(default_factory=Vocabulary)
    _waiting: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Index what rows are compared with."""
        self.measures = Measures(frozenset(self.template.stop_ids))
        self.cut = Cut(self.limit)
        self.overlap = OverlapIndex(self.protected.samples)

    def see(self, row: Row, item: Encoded) -> None:
        """Take the next row of the store."""
        self.measures.see(row, item)
        text = "\n".join(turn.content for turn in row.turns)
        self.contents.see(row.key, row.where, text)
        self._waiting.append(row)
        if len(self._waiting) >= CHUNK:
            self._compare()

    def again(self, number: int, row: Row) -> None:
        """Take an exact repetition of row `number`."""
        self.measures.again(number, row)
        if number in self._repeats or len(self._repeats) < LISTED:
            self._repeats.setdefault(number, []).append(row.where)

    def too_long(self, row: Row, length: int, lost: int, *, dropped: bool) -> None:
        """Take a row of `length` tokens, more than the limit, with the labels that are lost by cutting it."""
        self.cut.rows += 1
        self.cut.dropped += dropped
        self.cut.labels_lost += lost
        if len(self.cut.places) < LISTED:
            self.cut.places.append(f"{row.where}: {length} tokens, {lost} labels lost")

    def report(self, row_of: Callable[[int], Row], read: int, faults: Faults) -> dict[str, Any]:
        """Return the audit.

        Args:
            row_of: Gives row `number` of the store.
            read: Records read, broken ones included.
            faults: What was wrong with them.
        """
        self._compare()
        languages, of = self.contents.languages()
        return {
            "rows": read,
            **self.measures.summary(),
            "cut": asdict(self.cut),
            "faults": {
                "rows": faults.records,
                "by_kind": dict(sorted(faults.kinds.items())),
                "listed": [str(fault) for fault in faults.kept],
            },
            "duplicates": self._duplicates(row_of),
            "overlap": self._overlap(),
            "control_tokens": {name: asdict(tally) for name, tally in sorted(self.contents.control.items())},
            "personal_data": {name: asdict(tally) for name, tally in sorted(self.contents.personal.items())},
            "languages": {"rows": languages, "of": of},
            "template_sha256": self.template.fingerprint,
            "stop_tokens": [self.template.decode([stop]) for stop in self.template.stop_ids],
        }

    def _compare(self) -> None:
        if not self._waiting:
            return
        chunk = word_rows([words_of(spoken(row)) for row in self._waiting], self._vocabulary)
        self.near.add(chunk)
        self.overlap.scan(self._waiting, chunk)
        self._waiting = []

    def _duplicates(self, row_of: Callable[[int], Row]) -> dict[str, Any]:
        exact = [[row_of(number).where, *others] for number, others in sorted(self._repeats.items())]
        groups = self.near.groups(lambda number: spoken(row_of(number)))
        near = [[row_of(number).where for number in group[:LISTED]] for group in groups[:LISTED]]
        return {
            "exact": sum(self.measures.times) - len(self.measures.times),
            "exact_groups": exact,
            "near": sum(len(group) - 1 for group in groups),
            "near_groups": near,
        }

    def _overlap(self) -> dict[str, Any]:
        compared: dict[str, int] = {}
        for sample in self.protected.samples:
            compared[sample.against] = compared.get(sample.against, 0) + 1
        return {
            "compared": [
                {"against": name, "samples": count, "hit": len(self.overlap.hit.get(name, ()))}
                for name, count in sorted(compared.items())
            ],
            "unchecked": [{"against": name, "reason": reason} for name, reason in self.protected.unchecked],
            "rows": sum(self.measures.times[number] for number in self.overlap.numbers),
            "found": [asdict(each) for each in self.overlap.found],
            "common_wording": self.overlap.wording,
        }
