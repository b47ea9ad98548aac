"""Evaluating a model in the middle of its training without leaving a trace.

Comes in: the live model. Goes out: the same model, to the bit, whatever was computed inside the `with`: random states
of Python, numpy and torch, every module's train or eval mode, which tensors are trained, cache switches. That weights
and gradients were left alone is checked, not hoped (torch counts writes to a tensor).
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sfteval.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

SWITCHES = ("use_cache", "_attn_implementation_internal")
ABSENT = object()


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Put the model in evaluation mode inside, and everything back to what it was on the way out.

    Raises:
        TrainingError: Weights or gradients were written to inside.
    """
    chance = random.getstate(), np.random.get_state(), torch.get_rng_state(), _device_chance()
    modes = [(module, module.training) for module in model.modules()]
    trained = [(value, value.requires_grad) for value in model.parameters()]
    switches = _switches(model)
    writes = _writes(model)
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for value, mode in trained:
            value.requires_grad_(mode)
        for config, name, before in switches:
            setattr(config, name, before)
        _restore_chance(*chance)
    if _writes(model) != writes:
        raise TrainingError("an evaluation during training wrote to the model's weights or gradients")


def _device_chance() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _restore_chance(python: Any, numpy: Any, host: torch.Tensor, devices: list[torch.Tensor]) -> None:
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(host)
    if devices:
        torch.cuda.set_rng_state_all(devices)


def _switches(model: Any) -> list[tuple[Any, str, Any]]:
    configs = {id(found): found for module in model.modules() if (found := getattr(module, "config", None)) is not None}
    found = [(config, name, getattr(config, name, ABSENT)) for config in configs.values() for name in SWITCHES]
    return [entry for entry in found if entry[2] is not ABSENT]


def _writes(model: Any) -> list[tuple[int, int, int, int]]:
    """Return, per parameter, where it and its gradient lie and how often each was written to."""
    found = []
    for value in model.parameters():
        grad = value.grad
        found.append((value.data_ptr(), value._version, id(grad), grad._version if grad is not None else 0))
    return found
