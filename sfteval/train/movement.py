"""Does the method train what it says it trains, and nothing else?

Comes in: the model at the first backward pass, and before and after training. Goes out: nothing, or a `TrainingError`
that names the tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sfteval.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Movement:
    """Bit sums of every parameter before training, compared with those after it."""

    def __init__(self, model: torch.nn.Module) -> None:
        """Take the sums; costs one read of the weights.

        Raises:
            TrainingError: Nothing is trainable.
        """
        if not any(value.requires_grad for value in model.parameters()):
            raise TrainingError("no parameter is trainable")
        self._before = {name: bits(value) for name, value in model.named_parameters()}

    def check(self, model: torch.nn.Module, steps: int) -> None:
        """Compare after `steps` steps at a rate above zero.

        A LoRA's first matrix has no gradient until the second one has left zero, so fewer than two steps prove
        nothing about single tensors.

        Raises:
            TrainingError: A trainable tensor never moved, or a frozen one did.
        """
        still, moved = [], []
        for name, value in model.named_parameters():
            same = bits(value) == self._before[name]
            if value.requires_grad and same:
                still.append(name)
            if not value.requires_grad and not same:
                moved.append(name)
        if moved:
            raise TrainingError(f"frozen parameters changed during training: {_named(moved)}")
        if still and steps >= 2:
            raise TrainingError(f"trainable parameters never moved in {steps} steps: {_named(still)}")


def check_gradients(model: torch.nn.Module) -> None:
    """Check gradients after the first backward pass.

    Raises:
        TrainingError: A trainable tensor has no gradient or one that is not finite, a frozen one has one, or all are
            zero.
    """
    without, broken, frozen, signal = [], [], [], False
    for name, value in model.named_parameters():
        if not value.requires_grad:
            frozen += [name] if value.grad is not None else []
        elif value.grad is None:
            without.append(name)
        elif not bool(torch.isfinite(value.grad).all()):
            broken.append(name)
        else:
            signal = signal or bool(value.grad.any())
    if without:
        raise TrainingError(f"trainable parameters get no gradient at step 1: {_named(without)}")
    if broken:
        raise TrainingError(f"gradients that are not finite at step 1: {_named(broken)}")
    if frozen:
        raise TrainingError(f"frozen parameters get a gradient: {_named(frozen)}")
    if not signal:
        raise TrainingError("every gradient is zero at step 1: nothing would be learned")


def bits(value: torch.Tensor) -> int:
    """Return the sum of a tensor's bits: another one means that something moved."""
    data = value.detach().contiguous().view(_WORDS[value.element_size()])
    return int(data.sum(dtype=torch.int64))


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
