"""The samples whose scores differ, the largest drop first; each is made when it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, overload

import numpy as np

from sfteval.records import Flip

if TYPE_CHECKING:
    from sfteval.compare.pairs import Pairs
    from sfteval.compare.parts import Rows


class Flips(Sequence[Flip]):
    """The flips of one gate's pairs; `len` is cheap, a flip is read when it is asked for."""

    def __init__(self, pairs: Pairs) -> None:
        """Order the pairs that differ: the largest drop first, then by place in the run."""
        self._pairs = pairs
        change = pairs.candidate - pairs.reference
        differing = np.flatnonzero(pairs.candidate != pairs.reference)
        self._order = differing[np.argsort(change[differing], kind="stable")]
        self.worse = int(np.count_nonzero(change < 0))

    def __len__(self) -> int:
        """Return how many samples flipped."""
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Flip: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Flip, ...]: ...
    def __getitem__(self, index: int | slice) -> Flip | tuple[Flip, ...]:
        """Return one flip, or some."""
        if isinstance(index, slice):
            return self._flips(self._order[index])
        return self._flips(self._order[[index]])[0]

    def _flips(self, places: Rows) -> tuple[Flip, ...]:
        joined, rows = self._pairs.joined, self._pairs.rows[places]
        ours, theirs = joined.candidate.some(joined.ours[rows]), joined.reference.some(joined.theirs[rows])
        old, new = self._pairs.sign * self._pairs.reference[places], self._pairs.sign * self._pairs.candidate[places]
        return tuple(
            Flip(a.sample_id, a.suite, a.task, a.prompt, b.output, a.output, before, after)
            for a, b, before, after in zip(ours, theirs, old.tolist(), new.tolist(), strict=True)
        )


class JoinedFlips(Sequence[Flip]):
    """The flips of a family's members, member by member."""

    def __init__(self, members: Sequence[Flips]) -> None:
        """Keep the members' flips."""
        self._members = members
        self.worse = sum(flips.worse for flips in members)

    def __len__(self) -> int:
        """Return how many samples flipped."""
        return sum(map(len, self._members))

    @overload
    def __getitem__(self, index: int) -> Flip: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Flip, ...]: ...
    def __getitem__(self, index: int | slice) -> Flip | tuple[Flip, ...]:
        """Return one flip, or some."""
        places = list(chain.from_iterable(((m, i) for i in range(len(m))) for m in self._members))
        if isinstance(index, slice):
            return tuple(member[i] for member, i in places[index])
        member, i = places[index]
        return member[i]
