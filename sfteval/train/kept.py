"""The weights worth going back to: what is trained, saved at a step and put back, bit for bit.

Comes in: a live model. Goes out: one safetensors file per kept step, whole or absent, and the model as it was then.
Only trained tensors are written, so a LoRA's file is as small as the adapter; frozen ones have not changed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from sfteval.errors import DiskError, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection

FOLDER = "sfteval-best"


class KeptWeights:
    """Trained tensors of single steps, in `<output>/sfteval-best/step-N.safetensors`."""

    def __init__(self, output: Path) -> None:
        """Name the training's output folder; nothing is created yet."""
        self.folder = output / FOLDER

    def path(self, step: int) -> Path:
        """Return the file of a step."""
        return self.folder / f"step-{step}.safetensors"

    def save(self, model: Any, step: int) -> None:
        """Write the trained tensors of `step`. Raises DiskError; what was kept before stays."""
        tensors = {name: value.detach().cpu().contiguous() for name, value in _trained(model).items()}
        draft = self.folder / f".{self.path(step).name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, draft)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(self.path(step))
        except (OSError, RuntimeError, SafetensorError) as error:
            draft.unlink(missing_ok=True)
            raise DiskError(self.path(step), str(error), "room for the best weights so far") from None

    @torch.no_grad()
    def restore(self, model: Any, step: int) -> None:
        """Put the tensors of `step` back into the live model.

        Raises:
            StoreError: The file is gone, or is of another model.
        """
        path, trained = self.path(step), _trained(model)
        if not path.is_file():
            raise StoreError(path, "no file", f"the weights of step {step}, which was kept as the best")
        with safe_open(path, framework="pt") as file:
            if set(file.keys()) != set(trained):
                raise StoreError(path, "tensors of another model", f"the {len(trained)} trained tensors of this one")
            for name, value in trained.items():
                value.copy_(file.get_tensor(name))

    def forget(self, wanted: Collection[int]) -> None:
        """Remove all steps but these."""
        for path in self.folder.glob("step-*.safetensors"):
            if int(path.stem.removeprefix("step-")) not in wanted:
                path.unlink(missing_ok=True)


def _trained(model: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}
