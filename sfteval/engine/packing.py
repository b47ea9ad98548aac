"""A trie and a token budget in, forward passes out: which tokens, what each may attend to, whose keys to keep.

A pass takes the next nodes in depth-first order. Its keys are those of one path (carried over from earlier passes, in
order of depth) followed by its own tokens' keys. Queries are cut into groups, contiguous in that order, so that the
attention of unrelated documents is never computed: a group's keys are its first token's path and its own tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sfteval.engine.trie import Path, Segment, Tokens, Trie, cut, extend

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GROUP_TOKENS = 256
# In units of one query-key pair (77 ns seen at 9 heads of 64): one attention call, and one key copied from the path.
CALL_COST = 1500
COPY_COST = 4

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Queries `first` … `first + count − 1` of a pass and the keys that they see.

    Attributes:
        keys: Ranges of key coordinates: carried keys, then the pass's own.
        visible: Bool, shape [count, keys].
        query_depths: Position ids of the queries, shape [count].
        key_depths: Position ids of the keys, shape [keys].
    """

    first: int
    count: int
    keys: Ranges
    visible: np.ndarray
    query_depths: Tokens
    key_depths: Tokens


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass over nodes `start` … `stop − 1`.

    Attributes:
        carried: Keys that stand before the pass's own in key coordinates.
        keep: Key coordinates of the path above `stop`: what the next pass carries.
        exports: Key coordinates of whole sequences that end here, by sequence index.
    """

    start: int
    stop: int
    carried: int
    groups: tuple[Group, ...]
    keep: Ranges
    exports: dict[int, Ranges] = field(default_factory=dict)


def plan(trie: Trie, start: int, budget: int, carried: int, export: bool = False) -> Pass:
    """Plan the pass that begins at node `start`.

    Args:
        trie: The whole trie.
        start: First node that has not been computed.
        budget: Tokens that the pass may hold, ≥ 1.
        carried: Keys carried over; they are the path above `start` (or more of it), in order of depth.
        export: Name the keys of the sequences that end here, and keep the last sequence's path after the last node.
    """
    stop = min(start + budget, len(trie.tokens))
    place = _Place(start, carried)
    pieces = list(_pieces(trie, start, stop))
    groups = tuple(_group(trie, members, place) for members in _grouped(pieces))
    if stop < len(trie.tokens):
        keep = place.ranges(trie.above(stop))
    else:
        keep = place.ranges(trie.paths[trie.order[-1]]) if export else ()
    ending = [i for i, end in enumerate(trie.ends) if start <= end < stop] if export else []
    return Pass(start, stop, carried, groups, keep, {i: place.ranges(trie.paths[i]) for i in ending})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node's key lies: in the carried path at its depth, or among the pass's own."""

    start: int
    carried: int

    def ranges(self, path: Path) -> Ranges:
        found: list[tuple[int, int]] = []
        for segment in path:
            old = max(0, min(segment.length, self.start - segment.node))
            for first, length in (
                (segment.depth, old),
                (self.carried + segment.node + old - self.start, segment.length - old),
            ):
                if not length:
                    continue
                if found and found[-1][1] == first:
                    found[-1] = (found[-1][0], first + length)
                else:
                    found.append((first, first + length))
        return tuple(found)


def split(ranges: Ranges, first: int) -> tuple[Ranges, Ranges]:
    """Return the first `first` coordinates of the ranges, and the others."""
    head, tail = [], []
    for start, stop in ranges:
        middle = min(stop, start + first)
        head += [(start, middle)] if middle > start else []
        tail += [(middle, stop)] if stop > middle else []
        first -= middle - start
    return tuple(head), tuple(tail)


def _pieces(trie: Trie, start: int, stop: int) -> Iterator[Segment]:
    """Cut the runs between two nodes into segments of at most GROUP_TOKENS."""
    index = trie.run_at(start)
    node = start
    while node < stop:
        run = trie.runs[index]
        length = min(run.node + run.length - node, stop - node, GROUP_TOKENS)
        yield Segment(run.depth + node - run.node, node, length)
        node += length
        if node == run.node + run.length:
            index += 1


def _grouped(pieces: Sequence[Segment]) -> list[Sequence[Segment]]:
    """Choose group boundaries of least total cost (interval dynamic programme over the pieces)."""
    best: list[float] = [0.0]
    cut_at: list[int] = [0]
    for end in range(1, len(pieces) + 1):
        least, where, size = float("inf"), end - 1, 0
        for begin in range(end - 1, -1, -1):
            size += pieces[begin].length
            if size > GROUP_TOKENS and begin < end - 1:
                break
            context = pieces[begin].depth
            cost = best[begin] + CALL_COST + COPY_COST * context + (context + size) * size
            if cost < least:
                least, where = cost, begin
        best.append(least)
        cut_at.append(where)
    groups: list[Sequence[Segment]] = []
    end = len(pieces)
    while end:
        groups.append(pieces[cut_at[end] : end])
        end = cut_at[end]
    return groups[::-1]


def _group(trie: Trie, members: Sequence[Segment], place: _Place) -> Group:
    first, context = members[0].node, members[0].depth
    count = sum(piece.length for piece in members)
    visible = np.zeros((count, context + count), dtype=bool)
    reach, local = context, cut((), 0)
    for piece in members:
        reach = min(reach, piece.depth)
        local = cut(local, piece.depth)
        row = piece.node - first
        rows = slice(row, row + piece.length)
        visible[rows, :reach] = True
        for above in local:
            column = context + above.node - first
            visible[rows, column : column + above.length] = True
        visible[rows, context + row : context + row + piece.length] = np.tri(piece.length, dtype=bool)
        local = extend(local, piece)
    own = place.carried + first - place.start
    keys = _joined(place.ranges(trie.above(first)), (own, own + count))
    depths = trie.depths[first : first + count]
    return Group(first - place.start, count, keys, visible, depths, np.concatenate([np.arange(context), depths]))


def _joined(ranges: Ranges, last: tuple[int, int]) -> Ranges:
    if ranges and ranges[-1][1] == last[0]:
        return (*ranges[:-1], (ranges[-1][0], last[1]))
    return (*ranges, last)
