"""What a training ran among: the environment that changes numbers or speed, and the code's commits.

Comes in: the process's environment and a folder. Goes out: plain data for the manifest. Only names of `KEPT` are read;
none of them holds a secret or a path of somebody's home.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import sfteval
from sfteval._version import __version__

KEPT = (
    "ACCELERATE_MIXED_PRECISION",
    "ACCELERATE_USE_DEEPSPEED",
    "ACCELERATE_USE_FSDP",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_DEVICE_ORDER",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "HF_DATASETS_OFFLINE",
    "HF_HUB_OFFLINE",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "MALLOC_ARENA_MAX",
    "MALLOC_MMAP_THRESHOLD_",
    "MKL_NUM_THREADS",
    "NCCL_DEBUG",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ENABLE_MPS_FALLBACK",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "TOKENIZERS_PARALLELISM",
    "TORCHDYNAMO_DISABLE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_NUM_THREADS",
    "TRANSFORMERS_OFFLINE",
    "WORLD_SIZE",
)
SECONDS = 10


def environment() -> dict[str, str]:
    """Return the variables of `KEPT` that are set."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def code(folder: Path) -> dict[str, Any]:
    """Return the commits that ran.

    Args:
        folder: Where the training's own files are.

    Returns:
        `project`: commit and `dirty` of the repository around `folder`. `sfteval`: its version, with commit and `dirty`
        if it runs from a checkout of its own. None where there is no repository or no git.
    """
    package = Path(sfteval.__file__).parent
    own = commit(package) if _git(package, "ls-files", "--error-unmatch", "_version.py") is not None else None
    return {"project": commit(folder), "sfteval": {"version": __version__} | (own or {"commit": None, "dirty": None})}


def commit(folder: Path) -> dict[str, Any] | None:
    """Return the commit of the repository around a folder, and whether tracked files differ from it."""
    head = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if head is None or changes is None else {"commit": head, "dirty": bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git says, None if it fails. The repository's own hooks and monitors are not run."""
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks"]
    try:
        done = subprocess.run(
            [*command, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
