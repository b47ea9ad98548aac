"""The attention that models call while the engine drives them: one registered interface, one plan at a time.

Transformers' models fetch their attention by name (`config._attn_implementation`) and build no mask for a name that
`ALL_MASK_ATTENTION_FUNCTIONS` does not know; inside `attending`, that name is ours, and every layer's queries, keys and
values come to the plan, which holds the keys and values and decides who sees whom.
Read in transformers 5.23 `modeling_utils.py`, `masking_utils.py`, `integrations/sdpa_attention.py`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "sfteval"


class UnsupportedModelError(Exception):
    """The model computes something that the prefix tree cannot express; the engine falls back."""


@dataclass(frozen=True, slots=True)
class Call:
    """What one layer asks of attention beside its tensors.

    Attributes:
        layer: Index of the layer.
        scale: Factor on the query-key products; None means 1/√d.
        window: Sliding window in tokens, or None.
        softcap: Tanh cap on the scores, or None.
    """

    layer: int
    scale: float | None
    window: int | None
    softcap: float | None


class Plan(Protocol):
    """Who attends to what in one forward pass."""

    def attend(self, call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Map query [batch, heads, tokens, d] and new keys, values to the output [batch, tokens, heads, d]."""
        ...


_plans: list[Plan] = []

# Keyword arguments that carry no extra term of the attention itself.
_HARMLESS = frozenset({"position_ids", "cache_position", "position_embeddings", "past_key_values", "cache"})


def _interface(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    layer = getattr(module, "layer_idx", None)
    extra = [name for name, given in options.items() if isinstance(given, torch.Tensor) and name not in _HARMLESS]
    if layer is None or attention_mask is not None or extra or not getattr(module, "is_causal", True):
        what = (
            f"argument {extra[0]}" if extra else "a mask of its own" if attention_mask is not None else "no layer index"
        )
        msg = f"attention of {type(module).__name__} has {what}"
        raise UnsupportedModelError(msg)
    call = Call(layer, options.get("scaling"), options.get("sliding_window"), options.get("softcap"))
    return _plans[-1].attend(call, query, key, value), None


def attention_configs(model: torch.nn.Module) -> list[Any]:
    """Return the configurations that name an attention implementation for some module of `model`."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, _interface)
    configs = {id(config): config for module in model.modules() if (config := getattr(module, "config", None))}
    return [config for config in configs.values() if hasattr(config, "_attn_implementation_internal")]


@contextmanager
def attending(configs: Sequence[Any], plan: Plan) -> Iterator[None]:
    """Let `plan` answer every attention under `configs`; the model's own implementation is restored afterwards."""
    before = [config._attn_implementation_internal for config in configs]
    _plans.append(plan)
    try:
        for config in configs:
            config._attn_implementation_internal = NAME
        yield
    finally:
        _plans.pop()
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation_internal = name


def attend(
    call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Attend with an additive bias.

    Args:
        call: The layer's settings.
        query: [batch, heads, queries, d].
        key: [batch, key heads, keys, d]; heads are a multiple of key heads.
        value: As key.
        bias: Broadcastable to [batch, heads, queries, keys], 0 or −inf, or None where all is visible.
    """
    repeats = query.shape[1] // key.shape[1]
    if call.softcap is not None:
        return _capped(call, query, key, value, bias, repeats)
    # The CPU kernel shares key heads by itself; CUDA kernels would fall back to plain matrix products with a mask.
    grouped = repeats > 1 and query.device.type == "cpu"
    if repeats > 1 and not grouped:
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    return scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=call.scale, enable_gqa=grouped)


def _capped(
    call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None, repeats: int
) -> torch.Tensor:
    assert call.softcap is not None
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    scale = query.shape[-1] ** -0.5 if call.scale is None else call.scale
    scores = query @ key.transpose(-1, -2) * scale
    scores = torch.tanh(scores / call.softcap) * call.softcap
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1, dtype=torch.float32).to(query.dtype) @ value


def attend_with_mass(
    call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend, and return the log of the summed exponentials too, so that two parts of the keys can be joined.

    Args:
        call: The layer's settings, without softcap.
        query: [batch, heads, queries, d]; as many key heads as heads.
        key: [batch, heads, keys, d].
        value: As key.
        bias: As in `attend`.

    Returns:
        Output [batch, heads, queries, d] and mass [batch, heads, queries], float32.
    """
    if query.device.type == "cpu" and query.shape[-1] == value.shape[-1]:
        # The kernel behind `scaled_dot_product_attention` on CPUs; torch 2.13 shows its mass only here.
        out, mass = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, False, attn_mask=bias, scale=call.scale
        )
        return out, mass
    scores = _scores(call, query, key, bias).float()
    mass = scores.logsumexp(-1)
    return (scores - mass[..., None]).exp().to(value.dtype) @ value, mass


def attend_few(
    call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor, mass: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attend from a handful of queries to many keys, as a decoding step does.

    On a CPU two batched products are quicker there than the kernel, which is made for blocks of queries.

    Args:
        call: The layer's settings; without softcap if `mass` is asked for.
        query: As for `attend_with_mass`.
        key: As for `attend_with_mass`.
        value: As for `attend_with_mass`.
        bias: As for `attend_with_mass`; every query sees a key.
        mass: Whether the log of the summed exponentials is wanted.

    Returns:
        Output as of `attend_with_mass`, and the mass if asked for.
    """
    if query.device.type == "cpu" and query.dtype is torch.float32 and call.softcap is None:
        scores = _scores(call, query, key, bias)
        return scores.softmax(-1) @ value, scores.logsumexp(-1) if mass else None
    if mass:
        return attend_with_mass(call, query, key, value, bias)
    return attend(call, query, key, value, bias), None


def _scores(call: Call, query: torch.Tensor, key: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    scale = query.shape[-1] ** -0.5 if call.scale is None else call.scale
    scores = (query * scale) @ key.transpose(-1, -2)
    return scores if bias is None else scores.add_(bias)
