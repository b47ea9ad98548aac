"""Which rows are trained on, how often, and which are held out.

Comes in: rows per source. Goes out: `Split`. The held-out share is chosen by the hash of a row's content, so that
adding rows moves none from one side to the other, and duplicates stay together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sfteval.keys import share_key


class Keyed(Protocol):
    """What a split needs to know of a row."""

    @property
    def key(self) -> str:
        """Hash of its content."""
        ...


R = TypeVar("R", bound=Keyed)


@dataclass(frozen=True, slots=True)
class Split(Generic[R]):
    """`train` with rows repeated by weight; `held_out` once each; exact duplicates beyond the first are counted.

    `counts` has one entry per source: rows read, rows trained on (before weights), rows held out, draws per epoch.
    """

    train: Sequence[R]
    held_out: Sequence[R]
    duplicates: int
    counts: tuple[dict[str, int], ...]


def split_rows(sources: Sequence[Sequence[R]], weights: Sequence[float], holdout: float, seed: int) -> Split[R]:
    """Split every source by content hash, then draw its training rows by weight."""
    train: list[R] = []
    held: dict[str, R] = {}
    counts = []
    for index, (rows, weight) in enumerate(zip(sources, weights, strict=True)):
        out = [row for row in rows if share_key(row.key) < holdout]
        kept = [row for row in rows if not share_key(row.key) < holdout]
        drawn = _draw(kept, weight, seed=f"{seed}/{index}")
        train += drawn
        held |= {row.key: row for row in out}
        counts.append({"rows": len(rows), "trained": len(kept), "held_out": len(out), "draws": len(drawn)})
    keys = [row.key for rows in sources for row in rows]
    return Split(tuple(train), tuple(held.values()), len(keys) - len(set(keys)), tuple(counts))


def _draw(rows: Sequence[R], weight: float, seed: str) -> list[R]:
    whole = int(weight)
    part = round((weight - whole) * len(rows))
    ranked = sorted(range(len(rows)), key=lambda index: (share_key(f"{seed}/{index}/{rows[index].key}"), index))
    return [row for row in rows for _ in range(whole)] + [rows[index] for index in sorted(ranked[:part])]
