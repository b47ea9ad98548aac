"""`sfteval doctor`: what is installed, what is missing, what the device can do, what is wrong in the store."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from typing import TYPE_CHECKING, Any

from sfteval.backends import pulled
from sfteval.store import RunStore

if TYPE_CHECKING:
    from pathlib import Path

_NEEDED = ("torch", "transformers", "peft", "trl", "lm-eval", "pytest", "rich", "gguf")
_OPTIONAL = {"pytest-xdist": "pytest suites/ -n 2", "bitsandbytes": "qlora, which training refuses so far"}


def examine(runs_dir: Path) -> list[dict[str, Any]]:
    """Return findings, each with `state` (ok, missing, problem, info), `what` and `detail`."""
    findings = [_finding("info", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    findings += [_package(name, "problem", "pip install sfteval") for name in _NEEDED]
    findings += [_package(name, "missing", f"only for {use}") for name, use in _OPTIONAL.items()]
    findings.append(_device())
    model = pulled("smollm2")
    findings.append(
        _finding("ok", "model smollm2", str(model))
        if model
        else _finding("missing", "model smollm2", "fetch it with: sfteval pull smollm2")
    )
    return findings + _store(runs_dir)


def _finding(state: str, what: str, detail: str) -> dict[str, Any]:
    return {"state": state, "what": what, "detail": detail}


def _package(name: str, otherwise: str, do: str) -> dict[str, Any]:
    try:
        return _finding("ok", name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return _finding(otherwise, name, f"not installed; {do}")


def _device() -> dict[str, Any]:
    try:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / 2**30
        memory = f", {free:.1f} GiB of memory free"
    except (ValueError, OSError, AttributeError):
        memory = ""
    disk = shutil.disk_usage(".").free / 2**30
    gpu = "CUDA driver found" if shutil.which("nvidia-smi") else "no GPU"
    return _finding("info", "device", f"{os.cpu_count()} cores{memory}, {disk:.1f} GiB of disk free, {gpu}")


def _store(runs_dir: Path) -> list[dict[str, Any]]:
    store = RunStore(runs_dir)
    problems = [_finding("problem", "run store", str(fault)) for fault in store.problems()]
    return [_finding("info", "run store", f"{len(store.manifests())} complete runs in {runs_dir}"), *problems]
