"""Why a gate objects: what is seen in answers, what is known of the models, and the causes that follow.

Symptoms (of one answer) and facts (of two runs) → `Case` → causes in order of weight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sfteval.records.evidence import FinishReason


class Wrapping(StrEnum):
    """How an answer holds JSON, if it does."""

    BARE = "bare"
    FENCED = "fenced"
    IN_PROSE = "in prose"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Symptoms:
    """What one answer shows, whatever was asked.

    Attributes:
        finish: Why generation ended; None for scores and for answers whose end nobody recorded.
        words: Words of the answer.
        empty: Nothing visible.
        loop: A block of words repeats itself.
        leak: A special token or a role's line leaked into the text.
        wrapping: How it holds JSON.
        language: ISO 639-1 code, "" where the text is too short to tell.
        recited: The answer stands word for word among the training answers.
        text: The answer, for comparing two.
    """

    finish: FinishReason | None
    words: int
    empty: bool
    loop: bool
    leak: bool
    wrapping: Wrapping
    language: str
    recited: bool
    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """One sample of a gate on both sides; `change` is candidate − reference with better as positive."""

    sample_id: str
    change: float
    candidate: Symptoms
    reference: Symptoms | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the two models beside their answers; empty strings and None where it is not known.

    Attributes:
        generates: The gate judges answers; else log-likelihoods.
        general: The gate belongs to what the base model knew before.
        trained_template: sha256 of the chat template that the candidate was trained with.
        used_template: sha256 of the one that it was evaluated with.
        numerics: Of candidate and reference: dtype and engine.
        stops: Ids that end a turn, of candidate and reference.
        adapter: The candidate is an adapter.
        same_model: Both sides have the same weights and adapter.
        merged_difference: Largest logit difference between adapter and merged weights, as measured when merging.
        overlap: Samples of the gate's suite that stand in the reference's training data but not in the candidate's.
        drops: Proven drops of other general benchmarks against base (of all, for a family), by name.
    """

    generates: bool
    general: bool
    trained_template: str = ""
    used_template: str = ""
    numerics: tuple[str, str] = ("", "")
    stops: tuple[str, str] = ("", "")
    adapter: bool = False
    same_model: bool = False
    merged_difference: float | None = None
    overlap: int = 0
    drops: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One gate that objects: its demand, its interval (better positive), pairs and facts."""

    demand: str
    low: float
    high: float
    pairs: tuple[Pair, ...]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause, with what supports it.

    Attributes:
        cause: Its name, such as "never_stops".
        says: One sentence with the figures.
        weight: Share of the worsened samples that it explains; 1 for a fact that explains them all.
        samples: Ids of samples that show it.
    """

    cause: str
    says: str
    weight: float
    samples: tuple[str, ...] = ()
