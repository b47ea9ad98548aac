"""The attention of one decoding step: every row has one new token, and sees its trunk and its own slot.

The queries of all rows on one trunk meet its keys in one product, so that a shared prefix is read once per step and
not once per row; the two parts are joined by their masses (log of summed exponentials), which is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sfteval.engine.attention import Call, attend_few, attend_with_mass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from sfteval.engine.trunks import Trunk


Part = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]

SPAN_ROWS = 16
# One more attention call per span must be worth it: this share of the padded keys has to be saved.
SPAN_GAIN = 0.15


class DecodeStep:
    """The attention plan of one decoding step.

    Args:
        layers: The rows' own keys and values per layer, written in place.
        lengths: Tokens held per row before this step, without the trunk.
        trunks: Each row's trunk, or None.
    """

    def __init__(
        self, layers: dict[int, tuple[torch.Tensor, torch.Tensor]], lengths: np.ndarray, trunks: Sequence[Trunk | None]
    ) -> None:
        self._layers = layers
        self._lengths = torch.from_numpy(lengths.copy())
        self._spans = _spans(lengths)
        self._biases: dict[int | None, torch.Tensor] = {}
        self._before = torch.tensor([trunk.length if trunk else 0 for trunk in trunks])
        distinct = {id(trunk): trunk for trunk in trunks if trunk}
        self._trunks = [
            (trunk, torch.tensor([row for row, own in enumerate(trunks) if own is trunk]))
            for trunk in distinct.values()
        ]

    @property
    def positions(self) -> torch.Tensor:
        """Position ids of the new tokens, [rows, 1]."""
        return (self._before + self._lengths)[:, None]

    def attend(self, call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """See `Plan.attend`; every row has one new token."""
        rows, heads, _, width = query.shape
        keys, values = self._layers[call.layer]
        every, place = torch.arange(rows, device=key.device), self._lengths.to(key.device)
        keys[every, :, place] = key[:, :, 0]
        values[every, :, place] = value[:, :, 0]
        # Query heads that share a key head become its queries, so that keys are read once.
        grouped = query.reshape(rows, key.shape[1], heads // key.shape[1], width)
        joined = bool(self._trunks)
        own = [attend_few(call, *part, mass=joined) for part in self._parts(call, grouped, keys, values)]
        seen = torch.cat([out for out, _ in own])
        if joined:
            seen = self._joined(call, grouped, seen, torch.cat([mass for _, mass in own if mass is not None]))
        return seen.reshape(rows, 1, heads, value.shape[-1])

    def _parts(self, call: Call, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> Iterator[Part]:
        """Yield query, keys, values and bias of neighbouring rows, up to the longest of them."""
        bias = self._bias(call.window, query)
        for start, stop, reach in self._spans:
            rows = slice(start, stop)
            yield query[rows], keys[rows, :, :reach], values[rows, :, :reach], bias[rows, ..., :reach]

    def _joined(self, call: Call, query: torch.Tensor, seen: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
        """Add what the rows see of their trunks to what they have seen of their own."""
        for trunk, rows in self._trunks:
            rows = rows.to(query.device)
            mine = query[rows].transpose(0, 1)
            heads, count, repeats, width = mine.shape
            keys, values = trunk.layers[call.layer]
            flat = mine.reshape(1, heads, count * repeats, width)
            far, far_mass = attend_with_mass(call, flat, keys[None], values[None], None)
            far = far.reshape(heads, count, repeats, -1).transpose(0, 1)
            share = torch.sigmoid(far_mass.reshape(heads, count, repeats).transpose(0, 1) - mass[rows])
            seen[rows] = torch.lerp(seen[rows], far, share[..., None].to(seen.dtype))
        return seen

    def _bias(self, window: int | None, query: torch.Tensor) -> torch.Tensor:
        if window not in self._biases:
            depth = torch.arange(max(reach for _, _, reach in self._spans))
            hidden = depth > self._lengths[:, None]
            if window is not None:
                hidden |= self._lengths[:, None] - depth >= window
            bias = torch.zeros(hidden.shape, dtype=query.dtype).masked_fill_(hidden, float("-inf"))
            self._biases[window] = bias[:, None, None].to(query.device)
        return self._biases[window]


def _spans(lengths: np.ndarray) -> list[tuple[int, int, int]]:
    """Cut the rows into neighbours, each read up to its own longest, where that saves enough; (start, stop, reach)."""
    reach = int(lengths.max()) + 1
    starts = range(0, len(lengths), SPAN_ROWS)
    spans = [(i, min(i + SPAN_ROWS, len(lengths)), int(lengths[i : i + SPAN_ROWS].max()) + 1) for i in starts]
    read = sum((stop - start) * longest for start, stop, longest in spans)
    return spans if read < (1 - SPAN_GAIN) * len(lengths) * reach else [(0, len(lengths), reach)]
