"""Token sequences in, a prefix trie laid out depth first out: each distinct (prefix, token) is one node.

Sorting the sequences makes neighbours share their longest prefix, so the trie is a list of *runs*: the unbranched
tokens that one sequence adds below the path of the one before. Node numbers follow that order, so that a node's
subtree is a range, and the keys and values needed next are always those of a single path.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Tokens = np.ndarray
NO_TOKENS: Tokens = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive nodes on one path: node `node + i` lies at depth `depth + i`, for i < `length`."""

    depth: int
    node: int
    length: int


Path = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Unbranched nodes that one sequence adds; `above` is the path from the root down to them."""

    depth: int
    node: int
    length: int
    above: Path


@dataclass(frozen=True, slots=True)
class Trie:
    """A prefix trie in depth-first order.

    Attributes:
        tokens: Token id of every node, shape [nodes].
        depths: Depth (position id) of every node, shape [nodes].
        runs: In node order.
        order: The sequences' indices in the order in which they lie in the trie.
        paths: Path of every sequence, by its index as given.
    """

    tokens: Tokens
    depths: Tokens
    runs: tuple[Run, ...]
    order: tuple[int, ...]
    paths: tuple[Path, ...]

    def run_at(self, node: int) -> int:
        """Return the index of the run that holds `node`."""
        return bisect_right(self.runs, node, key=lambda run: run.node) - 1

    @property
    def ends(self) -> tuple[int, ...]:
        """Return the last node of every sequence."""
        return tuple(path[-1].node + path[-1].length - 1 for path in self.paths)

    def above(self, node: int) -> Path:
        """Return the path from the root to just above `node`."""
        run = self.runs[self.run_at(node)]
        return extend(run.above, Segment(run.depth, run.node, node - run.node))


def shared(left: Tokens, right: Tokens) -> int:
    """Return the length of the longest common prefix."""
    bound = min(len(left), len(right))
    differ = np.flatnonzero(left[:bound] != right[:bound])
    return int(differ[0]) if len(differ) else bound


def cut(path: Path, depth: int) -> Path:
    """Return the part of `path` above `depth`."""
    kept = [segment for segment in path if segment.depth < depth]
    if kept and kept[-1].depth + kept[-1].length > depth:
        last = kept.pop()
        kept.append(Segment(last.depth, last.node, depth - last.depth))
    return tuple(kept)


def extend(path: Path, segment: Segment) -> Path:
    """Return `path` with `segment` below it; adjoining nodes become one segment."""
    if segment.length == 0:
        return path
    if path and path[-1].node + path[-1].length == segment.node:
        last = path[-1]
        return (*path[:-1], Segment(last.depth, last.node, last.length + segment.length))
    return (*path, segment)


def nodes(path: Path, start: int, stop: int) -> Tokens:
    """Return the node numbers of `path` at depths start … stop − 1."""
    parts = [
        np.arange(max(start, s.depth), min(stop, s.depth + s.length), dtype=np.int64) + (s.node - s.depth) for s in path
    ]
    return np.concatenate(parts) if parts else NO_TOKENS


def sort_key(sequence: Tokens) -> bytes:
    """Return bytes that sort as the ids do (big-endian), compared at memory speed."""
    return sequence.astype(">u4").tobytes()


def build(sequences: Sequence[Tokens], carried: Tokens = NO_TOKENS) -> Trie:
    """Lay sequences out depth first.

    Args:
        sequences: Token ids, each of length ≥ 1, int64.
        carried: A path whose keys and values are already there; the first sequence branches off it. Its nodes count
            as −len(carried) … −1. The last token of every sequence gets a node of its own, since its logits are read.
    """
    order = sorted(range(len(sequences)), key=lambda i: sort_key(sequences[i]))
    runs: list[Run] = []
    tokens: list[Tokens] = []
    paths: list[Path] = [()] * len(sequences)
    path: Path = (Segment(0, -len(carried), len(carried)),) if len(carried) else ()
    count, previous = 0, carried
    for index in order:
        sequence = sequences[index]
        depth = shared(previous, sequence)
        if depth == len(sequence) and not runs:
            depth -= 1
        length = len(sequence) - depth
        path = cut(path, depth)
        if length:
            runs.append(Run(depth, count, length, path))
            tokens.append(sequence[depth:])
            path = extend(path, Segment(depth, count, length))
        paths[index] = path
        count, previous = count + length, sequence
    depths = [np.arange(run.depth, run.depth + run.length, dtype=np.int64) for run in runs]
    return Trie(
        tokens=np.concatenate(tokens) if tokens else NO_TOKENS,
        depths=np.concatenate(depths) if depths else NO_TOKENS,
        runs=tuple(runs),
        order=tuple(order),
        paths=tuple(paths),
    )
