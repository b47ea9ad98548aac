"""Numbers about rows: lengths, turns, labels, stop tokens.

Comes in: rows and encodings, one by one. Goes out: plain data with counts, quantiles and a histogram.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sfteval.train.masks import Encoded
    from sfteval.train.rows import Row

QUANTILES = (("min", 0), ("median", 50), ("p90", 90), ("p99", 99), ("max", 100))
BINS = 16


@dataclass(slots=True)
class Cut:
    """Rows longer than the limit: what cutting them would lose, or has lost."""

    limit: int
    rows: int = 0
    dropped: int = 0
    labels_lost: int = 0
    places: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Measures:
    """Counts over the rows that were encoded, each as often as it stands in the data."""

    stop_ids: frozenset[int]
    lengths: array[int] = field(default_factory=lambda: array("q"))
    labels: array[int] = field(default_factory=lambda: array("q"))
    turns: array[int] = field(default_factory=lambda: array("q"))
    times: array[int] = field(default_factory=lambda: array("q"))
    roles: Counter[str] = field(default_factory=Counter)
    learned_turns: int = 0
    stops: int = 0
    tools: int = 0
    untaught_end: int = 0
    lowest: tuple[float, str] = (2.0, "")

    def see(self, row: Row, item: Encoded) -> None:
        """Count a row that was not seen before."""
        self.lengths.append(len(item.ids))
        self.labels.append(item.trained)
        self.turns.append(len(row.turns))
        self.times.append(1)
        self.roles.update(turn.role for turn in row.turns)
        ends = [end for start, end in item.spans if any(a <= start and end <= b for a, b in item.learned)]
        self.learned_turns += len(ends)
        self.stops += sum(item.labels[end - 1] in self.stop_ids for end in ends)
        self.tools += bool(row.tools)
        self.untaught_end += row.turns[-1].role != "assistant"
        self.lowest = min(self.lowest, (item.trained / max(len(item.ids) - 1, 1), row.where))

    def again(self, number: int, row: Row) -> None:
        """Count an exact repetition of row `number`."""
        self.times[number] += 1
        self.roles.update(turn.role for turn in row.turns)

    def summary(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        times = np.array(self.times, np.int64)
        lengths, labels, turns = (
            np.repeat(np.array(c, np.int64), times) for c in (self.lengths, self.labels, self.turns)
        )
        tokens, learned = int(lengths.sum()), int(labels.sum())
        return {
            "encoded": len(lengths),
            "tokens": tokens,
            "labels": learned,
            "label_share": learned / max(tokens, 1),
            "lowest_label_share": {"share": self.lowest[0], "where": self.lowest[1]} if self.times else None,
            "rows_without_labels": int((labels == 0).sum()),
            "lengths": _spread(lengths) | {"histogram": _histogram(lengths)},
            "turns": _spread(turns) | {"by_role": dict(sorted(self.roles.items()))},
            "stop_token": {"turns_learned": self.learned_turns, "stop_trained": self.stops},
            "rows_with_tools": self.tools,
            "rows_that_end_unanswered": self.untaught_end,
        }


def _spread(values: np.ndarray) -> dict[str, Any]:
    if not len(values):
        return {name: 0 for name, _ in QUANTILES} | {"mean": 0.0}
    return {name: int(np.percentile(values, q, method="higher")) for name, q in QUANTILES} | {
        "mean": float(values.mean())
    }


def _histogram(values: np.ndarray) -> list[dict[str, int]]:
    """Return bins of equal width, the bounds inclusive."""
    if not len(values):
        return []
    width = max(1, -(-int(values.max()) // BINS))
    counts = np.bincount((values - 1) // width, minlength=1)
    return [{"from": i * width + 1, "to": (i + 1) * width, "rows": int(n)} for i, n in enumerate(counts.tolist())]
