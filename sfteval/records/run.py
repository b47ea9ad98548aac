"""A run: one model's answers to one plan, with the manifest that says how they came to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sfteval.records.evidence import Sample

RUN_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What a model is, by content.

    Attributes:
        reference: The string that a person gave.
        weights: sha256 over the weight files' bytes (base weights, for an adapter).
        adapter: sha256 over the adapter's bytes and configuration; "" for a full checkpoint.
        tokenizer: sha256 over the tokenizer's bytes.
        template: sha256 of the chat template's text; "" if there is none.
        numerics: dtype and engine version, such as "float32/engine-1"; for GGUF also what it is stored in ("…/Q4_0").
        training: Path of the training manifest beside the checkpoint, "" if there is none.
    """

    reference: str
    weights: str
    adapter: str
    tokenizer: str
    template: str
    numerics: str
    training: str = ""


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a check's scores are: range (None: unbounded), direction, version."""

    lower: float | None = 0.0
    upper: float | None = 1.0
    higher_is_better: bool = True
    version: str = "1"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything about a run but its samples; written last, so its presence says that the run is whole.

    `fingerprint` is the model's (`keys.model_fingerprint`), `plan` the plan's; `suites` maps suite names to the
    fingerprints of their content; `metrics` maps "suite/check" to `MetricInfo`; `counts` holds samples by status,
    computed and reused responses, tokens; times are ISO 8601 UTC, `seconds` wall-clock.
    """

    run_id: str
    fingerprint: str
    model: ModelIdentity
    plan: str
    suites: Mapping[str, str]
    metrics: Mapping[str, MetricInfo]
    counts: Mapping[str, int]
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    started: str
    finished: str
    seconds: float
    seed: int = 0
    format: int = RUN_FORMAT
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A complete run as read from the store."""

    manifest: Manifest
    samples: Sequence[Sample]
    path: Path
