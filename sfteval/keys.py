"""Content keys: what joins runs, and what lets a stored response be reused. Rank 0.

Hashes of content, never of names or paths. `pair_key` joins the runs of different models; `response_key` identifies
one computation. sha256 over canonical JSON, cut to 128 bits.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.records import Ask, Generation, ModelIdentity


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__} | {k: getattr(value, k) for k in value.__dataclass_fields__}
    msg = f"cannot hash a {type(value).__name__}"
    raise TypeError(msg)


def content_key(*parts: Any) -> str:
    """Hash any JSON-like parts, records and pydantic models included; 32 hex digits."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def share_key(text: str) -> float:
    """Map a text to [0, 1), uniformly: what splits samples and rows so that adding others moves none."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def file_key(path: Path) -> str:
    """Return the sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pair_key(suite: str, task: str, sample_id: str, asks: Sequence[Ask], repeat: int, wanted: Any = None) -> str:
    """Return the key that joins the runs of different models.

    `wanted` is what answers are held against (reference, the row's variables), None for nothing: with another one a
    sample is another sample.
    """
    return content_key(suite, task, sample_id, list(asks), repeat, *([] if wanted is None else [wanted]))


def model_fingerprint(model: ModelIdentity) -> str:
    """Return what a response depends on: weights, adapter, tokenizer, numerics (not the template: prompts hold it)."""
    return content_key(model.weights, model.adapter, model.tokenizer, model.numerics)


def score_key(fingerprint: str, prefix: Sequence[int], continuation: Sequence[int]) -> str:
    """Return the `response_key` of a score."""
    return content_key("score", fingerprint, list(prefix), list(continuation))


def generate_key(fingerprint: str, prompt: Sequence[int], generation: Generation, seed: int, repeat: int) -> str:
    """Return the `response_key` of a generation. A greedy one depends on no seed and no repeat."""
    settings = generation.model_dump(mode="json", exclude={"seed"})
    chance = (seed, repeat) if generation.temperature > 0 else None
    return content_key("generate", fingerprint, list(prompt), settings, chance)
