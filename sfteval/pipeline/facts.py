"""What a manifest says beside the samples: counts, versions, hardware."""

from __future__ import annotations

import os
import platform
from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.records import Sample

_PACKAGES = ("sfteval", "torch", "transformers", "peft", "lm-eval", "tokenizers")


def counts(samples: Sequence[Sample]) -> dict[str, int]:
    """Return how many samples there are, by status, with their tokens."""
    found = Counter(sample.status.value for sample in samples)
    totals = {name: sum(getattr(s, name) for s in samples) for name in ("prompt_tokens", "output_tokens", "truncated")}
    return {"samples": len(samples), **found, **totals}


def versions() -> dict[str, str]:
    """Return the versions of what answers depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware() -> dict[str, Any]:
    """Return what the machine is."""
    return {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count() or 0}
