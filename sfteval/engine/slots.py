"""Where the keys and values of running generations are held.

What many prompts share (a trunk) is held once. What is a row's own fills slots 0 … count − 1 of one tensor per layer,
[slots, key heads, capacity, d], left-aligned; the capacity grows with the longest row, so memory follows what has been
said and not what might be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from sfteval.engine.decode_attention import DecodeStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.engine.trunks import Trunk

GROWTH = 64
ROW_GROWTH = 8


class Slots:
    """The rows' own keys and values.

    Attributes:
        lengths: Tokens held per slot, without the trunk, shape [slots].
        count: Slots in use.
    """

    def __init__(self) -> None:
        self.lengths = np.zeros(0, dtype=np.int64)
        self.count = 0
        self._capacity = 0
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @property
    def longest(self) -> int:
        """Tokens held by the longest row."""
        return int(self.lengths[: self.count].max(initial=0))

    def reserve(self, rows: int, length: int) -> None:
        """Make room for `rows` rows of `length` tokens, and of what is held; what is not needed is given back."""
        if rows <= len(self.lengths) and length <= self._capacity:
            return
        slots = -(-max(rows, self.count) // ROW_GROWTH) * ROW_GROWTH
        capacity = -(-max(length, self.longest) // GROWTH) * GROWTH
        for layer, (keys, values) in self._layers.items():
            self._layers[layer] = self._grown(keys, slots, capacity), self._grown(values, slots, capacity)
        self.lengths = np.pad(self.lengths[: self.count], (0, slots - self.count))
        self._capacity = capacity

    def _grown(self, old: torch.Tensor, slots: int, capacity: int) -> torch.Tensor:
        # Zeros, since what is masked is still multiplied: garbage could be NaN.
        new = old.new_zeros(slots, old.shape[1], capacity, old.shape[3])
        held = self.longest
        new[: self.count, :, :held] = old[: self.count, :, :held]
        return new

    def write(self, slot: int, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Store a row's own keys and values, each [key heads, tokens, d]; room has been reserved."""
        if layer not in self._layers:
            shape = (len(self.lengths), keys.shape[0], self._capacity)
            self._layers[layer] = keys.new_zeros(*shape, keys.shape[2]), values.new_zeros(*shape, values.shape[2])
        for stored, new in zip(self._layers[layer], (keys, values), strict=True):
            stored[slot, :, : new.shape[1]] = new

    def occupy(self, length: int) -> None:
        """Count the next slot as in use; its keys and values have been written."""
        self.lengths[self.count] = length
        self.count += 1

    def release(self, slot: int, wipe: bool = False) -> None:
        """Free a slot; the last row moves into it. `wipe` clears what is not finite."""
        last = self.count - 1
        held = int(self.lengths[last])
        for pair in self._layers.values():
            for stored in pair:
                if wipe:
                    stored[slot] = 0
                if slot != last:
                    stored[slot, :, :held] = stored[last, :, :held]
        self.lengths[slot] = self.lengths[last]
        self.count = last

    def step(self, trunks: Sequence[Trunk | None]) -> DecodeStep:
        """Return the attention plan that adds one token to every row in use; `trunks` are the rows' own."""
        self.reserve(self.count, self.longest + 1)
        return DecodeStep(self._layers, self.lengths[: self.count], trunks)
