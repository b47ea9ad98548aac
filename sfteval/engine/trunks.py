"""Prompts in, trunks out: what a family of prompts shares, such as few-shot examples, is held once for all its rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sfteval.engine import trie

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from sfteval.engine.rows import Row

# Shorter shared prefixes are not worth an attention call of their own at each step.
TRUNK_TOKENS = 64


@dataclass(eq=False, slots=True)
class Trunk:
    """The first `length` tokens that a family of prompts shares, and their keys and values, [key heads, length, d]."""

    length: int
    layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)


def find_trunks(rows: Sequence[Row]) -> None:
    """Give rows whose prompts share at least TRUNK_TOKENS tokens a common trunk, which ends before the shortest."""
    ordered = sorted(rows, key=lambda row: trie.sort_key(row.job.prompt))
    family: list[Row] = []
    length = 0
    for row in ordered:
        common = trie.shared(family[-1].job.prompt, row.job.prompt) if family else 0
        if family and min(common, len(row.job.prompt) - 1) >= TRUNK_TOKENS:
            length = min(length, common, len(row.job.prompt) - 1)
            family.append(row)
            continue
        _share(family, length)
        family, length = [row], len(row.job.prompt) - 1
    _share(family, length)


def _share(family: Sequence[Row], length: int) -> None:
    trunk = Trunk(length) if len(family) > 1 else None
    for row in family:
        row.trunk = trunk


def held_tokens(trunks: set[Trunk | None]) -> int:
    """Return the tokens whose keys and values the trunks hold."""
    return sum(trunk.length for trunk in trunks if trunk)
