"""A LoRA layer in one operation: the same product with fewer passes over memory.

Comes in: a model that PEFT put LoRA on. Goes out: the same, whose plain LoRA layers compute W x + s B A x by adding
into the base's product, forward and backward. PEFT's own three operations write each activation three times more.
Layers that do more (dropout, DoRA, several adapters, a trained or quantised base) keep PEFT's forward, and so does any
call under autocast, with the adapter off or merged.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch


def fuse_lora(model: Any) -> int:
    """Fuse what can be fused; return how many layers that is. Weights, names and saving stay as they are."""
    from peft.tuners.lora.layer import Linear

    count = 0
    for module in model.modules():
        if type(module) is Linear and _is_plain(module):
            module.forward = MethodType(_forward, module)
            count += 1
    return count


def _is_plain(layer: Any) -> bool:
    base, names = layer.base_layer, list(layer.lora_A)
    if len(names) != 1 or type(base) is not torch.nn.Linear or base.weight.requires_grad:
        return False
    (name,) = names
    parts = layer.lora_A[name], layer.lora_B[name]
    return (
        all(type(part) is torch.nn.Linear and part.bias is None for part in parts)
        and isinstance(layer.lora_dropout[name], torch.nn.Identity)
        and name not in layer.lora_variant
        and (base.bias is None or not base.bias.requires_grad)
    )


def _forward(layer: Any, x: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
    (name,) = layer.lora_A
    first, second = layer.lora_A[name].weight, layer.lora_B[name].weight
    base = layer.base_layer
    other = (
        arguments
        or named
        or layer.disable_adapters
        or layer.merged
        or layer.active_adapters != [name]
        or torch.is_autocast_enabled(x.device.type)
        or not x.dtype == first.dtype == second.dtype == base.weight.dtype
    )
    if other:
        plain: torch.Tensor = type(layer).forward(layer, x, *arguments, **named)
        return plain
    fused: torch.Tensor = _Lora.apply(x, base.weight, base.bias, first, second, layer.scaling[name])  # type: ignore[no-untyped-call]
    return fused


class _Lora(torch.autograd.Function):
    """x [..., in] to x Wᵀ + bias + s (x Aᵀ) Bᵀ [..., out]; gradients for x, A [r, in] and B [out, r] only."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        first: torch.Tensor,
        second: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        low = rows @ first.T
        out = torch.nn.functional.linear(rows, weight, bias)
        out.addmm_(low, second.T, alpha=scale)
        ctx.save_for_backward(rows, weight, first, second, low)
        ctx.scale = scale
        return out.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, weight, first, second, low = ctx.saved_tensors
        grad = outer[0].reshape(-1, outer[0].shape[-1])
        low_grad = (grad @ second) * ctx.scale
        for_x = None
        if ctx.needs_input_grad[0]:
            for_x = (grad @ weight).addmm_(low_grad, first).view(*outer[0].shape[:-1], weight.shape[1])
        # [r, in] and [r, out]: the narrow side first, which CPUs' matrix products prefer.
        for_first = low_grad.T @ rows
        for_second = ((low * ctx.scale).T @ grad).T
        return for_x, None, None, for_first, for_second, None
