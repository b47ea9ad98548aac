"""What a training returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One optimiser step: mean loss per label token (nats) before it, the rate it was taken at, tokens it read."""

    step: int
    loss: float
    rate: float
    tokens: int
    labels: int


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training.

    Attributes:
        checkpoint: Folder with weights (or adapter), tokenizer, template, generation config; a model reference.
        manifest: `training.json` beside it.
        loss: Loss of the last step, nats per label token.
        holdout_before: Loss on the held-out rows before step 1; None without held-out rows.
        holdout_after: The same at the end.
        steps: Optimiser steps taken.
        seconds: Wall-clock, all of it.
        warnings: What is probably a mistake but was asked for.
        kept_step: The step whose weights the checkpoint holds; None when none was inside every forgetting budget (then
            it holds those of the last step).
        stopped: Why the hooks ended the training, "" without hooks.
        looks_share: Share of the training's time that the hooks' looks took; None without hooks.
    """

    checkpoint: Path
    manifest: Path
    loss: float
    holdout_before: float | None
    holdout_after: float | None
    steps: int
    seconds: float
    warnings: tuple[str, ...] = ()
    kept_step: int | None = None
    stopped: str = ""
    looks_share: float | None = None
