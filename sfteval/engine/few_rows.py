"""Linear layers for few rows on a CPU: the rows of a decoding step.

A product x·Wᵀ of 2 to 4 rows runs at half of the memory's speed in torch 2.13's float32 kernels, and one of 17 to 64
rows at two thirds of what the cores can do; asked for as W·xᵀ it comes nearer (`benchmarks/few_rows.py`), if the rows
are as many as those kernels like. So a step is filled up to that number once, before its first layer.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import linear, pad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sfteval.engine.attention import Call, Plan

MOST_ROWS = 64
# Powers of two up to 16 rows, multiples of 8 beyond.
POWERS_UP_TO, MULTIPLE = 16, 8


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

    def spare(self, rows: int) -> int:
        """Return how many rows to add to `rows` so that they multiply quickly; 0 where no layer would."""
        return liked(rows) - rows if self._layers else 0

    @contextmanager
    def quick(self, rows: int) -> Iterator[None]:
        """Let the layers multiply the other way round inside, where `rows` rows go through them.

        A layer with a `forward` of its own (a hook of accelerate's) keeps it.
        """
        layers = [layer for layer in self._layers if "forward" not in vars(layer)] if gains(rows) else []
        for layer in layers:
            vars(layer)["forward"] = _forward(layer)
        try:
            yield
        finally:
            for layer in layers:
                del vars(layer)["forward"]


@dataclass(frozen=True, slots=True)
class Filled:
    """A plan for the first `rows` rows of a batch; the spare ones after them see nothing and are read by nobody."""

    plan: Plan
    rows: int

    def attend(self, call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """See `Plan.attend`."""
        seen = self.plan.attend(call, query[: self.rows], key[: self.rows], value[: self.rows])
        return pad(seen, (0, 0, 0, 0, 0, 0, 0, len(query) - self.rows))


def gains(rows: int) -> bool:
    """Say whether W·xᵀ is quicker than x·Wᵀ for this number of rows."""
    return 1 < rows <= MOST_ROWS and rows == liked(rows)


def liked(rows: int) -> int:
    """Return the next number of rows that W·xᵀ is quick at; `rows` itself where the usual way is as good."""
    if not 1 < rows <= MOST_ROWS:
        return rows
    return 1 << (rows - 1).bit_length() if rows <= POWERS_UP_TO else -(-rows // MULTIPLE) * MULTIPLE


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
    if not gains(rows) or given.dtype is not weight.dtype:
        return linear(given, weight, bias)
    product = torch.mm(weight, given.reshape(rows, -1).t()).t()
    # What grows goes through an activation into a product that takes it as it lies; turning it would cost the gain.
    if weight.shape[0] <= weight.shape[1]:
        product = product.contiguous()
    return (product if bias is None else product + bias).view(*given.shape[:-1], -1)
