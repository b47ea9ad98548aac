"""When a training is saved so that it can go on after `kill -9`.

Comes in: the Trainer's events and the clock. Goes out: checkpoints of transformers' own form (weights or adapter,
optimiser, schedule, random states, callback states), sealed once they are whole. Saving draws no random number.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from sfteval.train.processes import in_the_first
from sfteval.train.unfinished import seal

if TYPE_CHECKING:
    from sfteval.train.hook_config import Checkpoints
    from sfteval.train.trained import CurvePoint


class Saving(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Asks for a checkpoint every so many steps or minutes, and seals it."""

    def __init__(self, settings: Checkpoints, curve: list[CurvePoint]) -> None:
        """Take the settings and the growing curve, which a resumed training must have again."""
        self.settings, self.curve = settings, curve
        self._saved_at = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
        """Ask for a checkpoint when it is due, but not after the last step."""
        if state.global_step < state.max_steps and not control.should_training_stop:
            control.should_save = control.should_save or in_the_first(lambda: self._due(state.global_step))
        return control

    def _due(self, step: int) -> bool:
        if self.settings.steps is not None:
            return step % self.settings.steps == 0
        return time.monotonic() - self._saved_at >= 60 * self.settings.minutes

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Seal what was just written."""
        self._saved_at = time.monotonic()
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # each process writes its own random states
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        in_the_first(lambda: seal(path, state.global_step, self.curve))
