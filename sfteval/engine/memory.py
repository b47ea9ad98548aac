"""The token budget: how many tokens one forward pass may hold, halved when memory runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from sfteval.engine.figures import Tally

FLOOR = 16
# The GEMM rate of a CPU is flat beyond a few hundred rows; more only costs memory. A GPU wants more.
DEFAULT_TOKENS = {"cpu": 2048, "cuda": 16384}

# Torch's CPU allocator on Linux and on Windows, CUDA's and cuBLAS's own words.
NO_MEMORY = ("can't allocate memory", "not enough memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")

KV_BYTES = 672 * 2**20
KV_SHARE_OF_GPU = 0.6


class Budget:
    """Tokens per forward pass.

    Attributes:
        tokens: What a pass may hold now.
    """

    def __init__(self, tokens: int, tally: Tally) -> None:
        self.tokens = max(tokens, 1)
        self._floor = min(FLOOR, self.tokens)
        self._tally = tally

    def halve(self) -> bool:
        """Halve the budget; False when it is at its floor already."""
        if self.tokens <= self._floor:
            return False
        self.tokens = max(self._floor, self.tokens // 2)
        self._tally.halvings += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return True


def ran_out(error: BaseException) -> bool:
    """Say whether an exception means that memory ran out (torch's CPU allocator raises a plain RuntimeError)."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def kv_room(device: torch.device) -> int:
    """Return the bytes that keys and values of running generations may take."""
    if device.type != "cuda":
        return KV_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * KV_SHARE_OF_GPU)
