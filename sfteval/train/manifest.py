"""`training.json`: how a checkpoint came to be.

Comes in: everything that decided the training. Goes out: one JSON file, written last inside the checkpoint's folder.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval._version import __version__
from sfteval.errors import DiskError, reason_of
from sfteval.keys import file_key
from sfteval.train.surroundings import code, environment

if TYPE_CHECKING:
    from sfteval.train.config import TrainingConfig
    from sfteval.train.dataset import Prepared
    from sfteval.train.loading import ModelSource

FORMAT = 1


def write_manifest(path: Path, entries: dict[str, Any]) -> None:
    """Write the manifest.

    Raises:
        DiskError: The disk is full or not writable.
    """
    text = json.dumps({"format": FORMAT} | entries, indent=2, sort_keys=True, allow_nan=False)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise DiskError(path, reason_of(error), "room for the training manifest") from None


def read_manifest(path: str) -> dict[str, Any] | None:
    """Return a training manifest, None where there is none that can be read: old runs outlive their checkpoints."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError, RecursionError):
        return None
    return data if _has_its_shape(data) else None


def _has_its_shape(data: Any) -> bool:
    """Say whether a manifest, which comes with a checkpoint and may be anybody's, can be read as one."""
    if not isinstance(data, dict):
        return False
    mappings = all(
        isinstance(data.get(part, {}), dict) for part in ("data", "parent", "config", "versions", "hardware")
    )
    files = data.get("data", {}).get("files", []) if mappings else []
    identity = data.get("parent", {}).get("identity") or {} if mappings else {}
    listed = isinstance(files, list) and all(isinstance(entry, dict) for entry in files)
    return mappings and listed and isinstance(identity, dict)


def config_entries(config: TrainingConfig) -> dict[str, Any]:
    """Return the resolved config, its file, the hash of the file's bytes, and the commits of the code."""
    return {
        "config": config.model_dump(mode="json"),
        "config_file": str(config.file or ""),
        "config_sha256": config.fingerprint,
        "seed": config.seed,
        "code": code(config.file.parent if config.file else Path.cwd()),
    }


def data_entries(config: TrainingConfig, data: Prepared) -> dict[str, Any]:
    """Return per file its sha256 and row counts, the hash of all rows (the hub's too), and what was made of them."""
    files = [
        {"path": source.place, "sha256": file_key(Path(source.path)) if source.path else "", "weight": source.weight}
        | counts
        for source, counts in zip(config.data.train, data.split.counts, strict=True)
    ]
    tokens = labels = longest = 0
    masks = {"markers": 0, "prefixes": 0}
    for row in data.train:  # once: it may be read from disk
        tokens, labels, longest = tokens + len(row.ids), labels + row.trained, max(longest, len(row.ids))
        masks[row.source] += 1
    return {
        "files": files,
        "sha256": data.fingerprint,
        "duplicates": data.split.duplicates,
        "rows": len(data.train),
        "held_out": len(data.held_out),
        "tokens": tokens,
        "labels": labels,
        "label_share": labels / max(tokens, 1),
        "longest": longest,
        "masks": masks,
        "audit": data.audit,
        "template_sha256": data.template.fingerprint,
        "stop_ids": list(data.template.stop_ids),
        "stop_tokens": [data.template.decode([stop]) for stop in data.template.stop_ids],
    }


def parent_entries(source: ModelSource) -> dict[str, Any]:
    """Return what the training started from."""
    return {
        "reference": source.reference,
        "path": str(source.path),
        "adapter": str(source.adapter or ""),
        "identity": asdict(source.identity) if source.identity else None,
    }


def machine_entries() -> dict[str, Any]:
    """Return versions, hardware and the environment that matters."""
    import torch

    names = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "datasets", "safetensors", "numpy")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "versions": {name: version(name) for name in names}
        | {"python": platform.python_version(), "sfteval": __version__},
        "hardware": {
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "memory_bytes": memory,
            "device": "cuda" if torch.cuda.is_available() else "cpu",
            "machine": platform.machine(),
            "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        },
        "environment": environment(),
    }
