"""One packed forward pass over a prefix tree: its masks, and the keys and values that it carries to the next.

Comes in: a `Pass` and the carried keys and values. Goes out: attention for the model's layers, and a new `Carried`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from sfteval.engine.attention import Call, UnsupportedModelError, attend

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfteval.engine.packing import Group, Pass, Ranges

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(slots=True)
class Carried:
    """Keys and values of one path, per layer, each [key heads, tokens, d], in order of depth."""

    tokens: int = 0
    layers: dict[int, Pair] = field(default_factory=dict)


@dataclass(slots=True)
class TreePass:
    """The attention plan of one packed pass.

    Attributes:
        step: What is computed.
        carried: Keys and values from before.
        export: Called per layer with the key coordinates, keys and values of every sequence that ends here.
        kept: Keys and values for the next pass, filled layer by layer.
        windows: Sliding window of every layer that called.
        capped: Whether a layer caps its scores.
    """

    step: Pass
    carried: Carried
    export: Callable[[int, int, Ranges, Pair], None] | None = None
    kept: Carried = field(default_factory=Carried)
    windows: dict[int, int | None] = field(default_factory=dict)
    capped: bool = False
    _biases: dict[tuple[int, int | None], torch.Tensor] = field(default_factory=dict)

    def attend(self, call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """See `Plan.attend`; the batch is 1."""
        if call.layer in self.windows or key.shape[0] != 1 or key.shape[2] != query.shape[2]:
            msg = "a layer shares or reshapes its keys"
            raise UnsupportedModelError(msg)
        self.windows[call.layer] = call.window
        self.capped |= call.softcap is not None
        keys, values = self._with_carried(call.layer, key[0], value[0])
        out = query.new_empty(1, query.shape[2], query.shape[1], value.shape[-1])
        for index, group in enumerate(self.step.groups):
            rows = slice(group.first, group.first + group.count)
            bias = self._bias(index, group, call.window, query)
            seen = attend(call, query[:, :, rows], take(keys, group.keys)[None], take(values, group.keys)[None], bias)
            out[:, rows] = seen.transpose(1, 2)
        self._hand_over(call.layer, keys, values)
        return out

    def _with_carried(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> Pair:
        if not self.carried.tokens:
            return key, value
        old_keys, old_values = self.carried.layers[layer]
        return torch.cat([old_keys, key], 1), torch.cat([old_values, value], 1)

    def _bias(self, index: int, group: Group, window: int | None, query: torch.Tensor) -> torch.Tensor | None:
        if (index, window) not in self._biases:
            visible = group.visible
            if window is not None:
                visible = visible & (group.query_depths[:, None] - group.key_depths[None, :] < window)
            bias = torch.zeros(visible.shape, dtype=query.dtype).masked_fill_(~torch.from_numpy(visible), float("-inf"))
            self._biases[index, window] = bias.to(query.device)
        return self._biases[index, window]

    def _hand_over(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        if self.step.keep:
            self.kept.layers[layer] = take(keys, self.step.keep).clone(), take(values, self.step.keep).clone()
            self.kept.tokens = sum(stop - start for start, stop in self.step.keep)
        if self.export is not None:
            for sequence, ranges in self.step.exports.items():
                self.export(sequence, layer, ranges, (keys, values))


def take(tensor: torch.Tensor, ranges: Ranges) -> torch.Tensor:
    """Return the given ranges of dimension 1, joined; a view where there is at most one."""
    if not ranges:
        return tensor[:, :0]
    if len(ranges) == 1:
        return tensor[:, ranges[0][0] : ranges[0][1]]
    return torch.cat([tensor[:, start:stop] for start, stop in ranges], 1)
