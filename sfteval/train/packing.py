"""Rows back to back in one sequence, none of which sees another: no token of padding is computed.

Comes in: rows of a micro-batch, and a model whose attention can be handed to a plan (`sfteval.engine.attention`).
Goes out: one sequence with positions that begin anew in every row, and attention row by row; all other layers see one
long matrix. Whether a model's packed loss is the sum of its rows' losses is measured before step 1, not assumed.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.functional import scaled_dot_product_attention

from sfteval.engine.attention import UnsupportedModelError, attending, attention_configs
from sfteval.train.masks import IGNORED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sfteval.engine.attention import Call
    from sfteval.train.masks import Encoded

    Micro = dict[str, torch.Tensor]

LENGTHS = "lengths"
_configs: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()


def pack(rows: Sequence[Encoded]) -> Micro:
    """Return `input_ids`, `labels`, `position_ids`, each of shape (1, tokens), and `lengths` of the rows.

    A row's first token has no label: what stands before it is another row.
    """
    ids = [token for row in rows for token in row.ids]
    labels = [label for row in rows for label in (IGNORED, *row.labels[1:])]
    places = [place for row in rows for place in range(len(row.ids))]
    batch = {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "position_ids": torch.tensor([places]),
        LENGTHS: torch.tensor([len(row.ids) for row in rows]),
    }
    if any(row.prompt_weight for row in rows):
        batch["weights"] = torch.tensor([[weight for row in rows for weight in (0.0, *row.weights[1:])]])
    return batch


@dataclass(frozen=True, slots=True)
class RowByRow:
    """The attention plan of a packed sequence: causal inside each row, nothing across."""

    lengths: tuple[int, ...]

    def attend(self, call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """See `engine.attention.Plan.attend`; the batch is 1."""
        tokens = sum(self.lengths)
        if query.shape[2] != tokens or key.shape[2] != tokens:
            raise UnsupportedModelError("positions that belong to no row (virtual tokens)")
        if call.softcap is not None or (call.window is not None and call.window < max(self.lengths)):
            raise UnsupportedModelError("attention with a window or a cap on its scores")
        repeats = query.shape[1] // key.shape[1]
        if repeats > 1:
            key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        parts = [torch.split(part, list(self.lengths), 2) for part in (query, key, value)]
        rows = [
            scaled_dot_product_attention(q, k, v, is_causal=True, scale=call.scale)
            for q, k, v in zip(*parts, strict=True)
        ]
        return torch.cat(rows, 2).transpose(1, 2)


@contextmanager
def packed_attention(model: Any, micro: Micro) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the model's inputs of a micro-batch, with attention row by row if it is a pack."""
    inputs = {name: value for name, value in micro.items() if name not in ("labels", "weights", LENGTHS)}
    if LENGTHS not in micro:
        yield inputs
        return
    if model not in _configs:
        _configs[model] = attention_configs(model)
    with attending(_configs[model], RowByRow(tuple(micro[LENGTHS].tolist()))):
        yield inputs
