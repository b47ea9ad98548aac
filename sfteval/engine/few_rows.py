"""Linear layers for a handful of rows on a CPU: the last rows of a batch, a suite of ten samples.

A product x·Wᵀ of 2 to 4 rows runs at half of the memory's speed in torch 2.13's float32 kernels; asked for as W·xᵀ,
with the rows padded to a power of two, it comes near it (`benchmarks/few_rows.py`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import linear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_ROWS = 16


class FewRows:
    """The plain linear layers of a model.

    Args:
        model: Its layers that are exactly `torch.nn.Linear`, in float32 on a CPU, are concerned; no other is touched.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        plain = [layer for layer in model.modules() if type(layer) is torch.nn.Linear]
        self._layers = [
            layer for layer in plain if layer.weight.device.type == "cpu" and layer.weight.dtype is torch.float32
        ]

    @contextmanager
    def quick(self, rows: int) -> Iterator[None]:
        """Let the layers multiply the other way round inside, where `rows` rows go through them.

        A layer with a `forward` of its own (a hook of accelerate's) keeps it.
        """
        layers = [layer for layer in self._layers if "forward" not in vars(layer)] if 1 < rows <= MOST_ROWS else []
        for layer in layers:
            vars(layer)["forward"] = _forward(layer)
        try:
            yield
        finally:
            for layer in layers:
                del vars(layer)["forward"]


def _forward(layer: torch.nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(given: torch.Tensor) -> torch.Tensor:
        return swapped(given, layer.weight, layer.bias)

    return forward


def swapped(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return given·weightᵀ + bias, computed as weight·givenᵀ where that is quicker.

    Args:
        given: [..., inputs], float32.
        weight: [outputs, inputs].
        bias: [outputs] or None.
    """
    rows = given.numel() // given.shape[-1]
    if not 1 < rows <= MOST_ROWS or given.dtype is not weight.dtype:
        return linear(given, weight, bias)
    padded = given.new_zeros(1 << (rows - 1).bit_length(), given.shape[-1])
    padded[:rows] = given.reshape(rows, -1)
    product = torch.mm(weight, padded.t())[:, :rows].t().contiguous()
    return (product if bias is None else product + bias).view(*given.shape[:-1], -1)
