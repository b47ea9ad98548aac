"""The number format that a training computes in, measured on the device before it starts.

Comes in: what the config asks for, the loaded model, the training's folder. Goes out: `Precision`, kept in the folder
so that a resumed training computes what it computed before. Weights and optimiser are float32 either way; bfloat16
means autocast of the forward pass. It is taken only where it is clearly faster: a choice that noise could turn round
would give one config two results.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from sfteval.errors import DiskError, reason_of

if TYPE_CHECKING:
    from pathlib import Path

    import torch

Asked = Literal["auto", "fp32", "bf16"]
FILE = "precision.json"
# How much faster bfloat16 must be. Processors without it are slower by far, those with it 3 to 16 times faster.
MARGIN = 1.5
# Below this many parameters there is nothing to win.
SMALL = 30_000_000
TOKENS, REPEATS = 256, 3


@dataclass(frozen=True, slots=True)
class Precision:
    """The format and why. Rates are those of the matrix product that was timed, in 10⁹ operations a second."""

    name: Literal["fp32", "bf16"]
    why: str
    fp32_gflops: float | None = None
    bf16_gflops: float | None = None


def choose(asked: Asked, model: Any, folder: Path) -> Precision:
    """Return what an earlier run of this training recorded in `folder`, else choose and record.

    Raises:
        DiskError: The choice cannot be written.
    """
    place = folder / FILE
    try:
        return Precision(**json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        found = _chosen(asked, model)
    try:
        place.write_text(json.dumps(asdict(found)), encoding="utf-8")
    except OSError as error:
        raise DiskError(place, reason_of(error), "room for a training") from None
    return found


def _chosen(asked: Asked, model: Any) -> Precision:
    if asked != "auto":
        return Precision(asked, "as configured")
    if sum(value.numel() for value in model.parameters()) < SMALL:
        return Precision("fp32", "a small model: nothing to win")
    import torch

    config = model.config.get_text_config()
    wide = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    shape, device = (config.hidden_size, wide), next(model.parameters()).device
    single, half = (rate(dtype, shape, device) / 1e9 for dtype in (torch.float32, torch.bfloat16))
    faster = f"bf16 is {half / single:.2f} times as fast as fp32 here; {MARGIN} are needed"
    return Precision("bf16" if half >= MARGIN * single else "fp32", faster, single, half)


def rate(dtype: torch.dtype, shape: tuple[int, int], device: torch.device) -> float:
    """Return operations per second of a linear layer's product, the best of three after one to warm up."""
    import torch

    rows = torch.full((TOKENS, shape[0]), 0.5, dtype=dtype, device=device)
    weight = torch.full((shape[1], shape[0]), 0.5, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        torch.nn.functional.linear(rows, weight)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2.0 * TOKENS * shape[0] * shape[1] / best
