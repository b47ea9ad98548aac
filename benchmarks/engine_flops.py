"""Passes of a model in; the FLOPs that they stand for out, attention counted by the same rule for everybody.

The rule: the pairs of query and key that may see each other, whatever a kernel computes beside them.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch

from sfteval.engine.attention import Call, attending, attention_configs

ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def attention_flops(
    query: Any, key: Any, value: Any, _dropout: float = 0.0, is_causal: bool = False, *, attn_mask: Any = None, **_: Any
) -> int:
    """Count a CPU attention call, which torch 2.13's counter leaves out: the pairs that may see each other."""
    batch, heads, queries, width = query.shape
    keys = key.shape[2]
    if is_causal:
        share = sum(min(keys, i + 1) for i in range(queries)) / (queries * keys)
    else:
        share = 1.0 if attn_mask is None else (attn_mask > -math.inf).double().mean().item()
    return round(2 * batch * heads * queries * keys * share * (width + value.shape[3]))


attention_flops._get_raw = True  # type: ignore[attr-defined]  # tensors, not shapes: the mask's content counts


@contextlib.contextmanager
def counting() -> Iterator[Any]:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False, custom_mapping={ATTENTION: attention_flops}) as counter:
        yield counter


class Causal:
    """The attention plan of a plain causal pass, for models without data, where torch would take another kernel."""

    def attend(self, call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """See `sfteval.engine.attention.Plan`."""
        repeats = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        seen: torch.Tensor = ATTENTION(query, key, value, 0.0, True, scale=call.scale)[0]
        return seen.transpose(1, 2)


class Shapes:
    """The shapes of a model's forward passes, and the FLOPs that they stand for: counted without computing anything."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._seen: Counter[tuple[tuple[int, ...], Any]] = Counter()

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Record the shape of every forward pass inside (no cache: scoring only)."""

        def note(_: Any, args: Any, given: dict[str, Any]) -> None:
            ids = given.get("input_ids", args[0] if args else None)
            self._seen[(tuple(ids.shape), given.get("logits_to_keep", 0))] += 1

        handle = self._model.register_forward_pre_hook(note, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def flops(self) -> float:
        """Return the FLOPs of all recorded passes, each distinct shape counted once on a model without data."""
        hollow = copy.deepcopy(self._model).to("meta")
        total = 0.0
        configs = attention_configs(hollow)
        for (shape, keep), times in self._seen.items():
            with counting() as counter, attending(configs, Causal()), torch.no_grad():
                hollow(torch.zeros(shape, dtype=torch.long, device="meta"), logits_to_keep=keep)
            total += times * counter.get_total_flops()
        self._seen.clear()
        return total
