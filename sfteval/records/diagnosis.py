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
    """One sample of a gate on both sides.

    `change` is candidate − reference with better as positive; `failed` says that the candidate's score is the worst
    that there is; `cluster` names what it shares with the other answers to its prompt, "" where there are none.
    """

    sample_id: str
    change: float
    candidate: Symptoms
    reference: Symptoms | None
    failed: bool = False
    cluster: str = ""

    @property
    def unit(self) -> str:
        """What counts once, however often its prompt was answered or its answer judged."""
        return self.cluster or self.sample_id

    @property
    def wrong(self) -> bool:
        """Whether the candidate's answer is worse than the reference's, or as bad as can be."""
        return self.failed or self.change < 0


MERGE_TOLERANCE = 1e-3
"""Largest difference of logits between adapter and merged weights, relative to their spread: float32 is near 1e-6."""


@dataclass(frozen=True, slots=True)
class MergeDifference:
    """Adapter against merged checkpoint, over every position of the inputs.

    Attributes:
        inputs: Sequences compared.
        tokens: Positions compared.
        max_abs_logit_difference: Largest difference of any logit.
        logit_spread: Largest minus smallest logit of the adapter, for scale.
        argmax_agreement: Share of positions where both would say the same token.
    """

    inputs: int
    tokens: int
    max_abs_logit_difference: float
    logit_spread: float
    argmax_agreement: float

    @property
    def same(self) -> bool:
        """Whether the difference is rounding; a difference that is no number is not."""
        return self.max_abs_logit_difference <= MERGE_TOLERANCE * self.logit_spread


@dataclass(frozen=True, slots=True)
class MergeFacts:
    """What is known of a candidate that an adapter was merged into.

    Attributes:
        difference: As measured when merging; None where the manifest holds none that can be read.
        measured: The weights are those that were measured then; None where nobody recorded them.
        of_reference: The reference is the adapter that was merged.
    """

    difference: MergeDifference | None = None
    measured: bool | None = None
    of_reference: bool = False


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
        trained_stops: Ids that the candidate was trained to end its turns with.
        adapter: The candidate is an adapter.
        like_base: Of the answers that base gave as well: how many are the same to the letter, and of how many.
        same_weights: Candidate and base have the same weights and adapter.
        merged: Of a merged candidate; None for every other.
        overlap: Ids of samples of the gate's suite that stand in the reference's training data, not in the candidate's.
        held_out: Held-out loss before and after the candidate's training.
        drops: Proven drops of other general benchmarks against base (of all, for a family), by name.
    """

    generates: bool
    general: bool
    trained_template: str = ""
    used_template: str = ""
    numerics: tuple[str, str] = ("", "")
    stops: tuple[str, str] = ("", "")
    trained_stops: tuple[int, ...] = ()
    adapter: bool = False
    like_base: tuple[int, int] = (0, 0)
    same_weights: bool = False
    merged: MergeFacts | None = None
    overlap: frozenset[str] = frozenset()
    held_out: tuple[float, float] | None = None
    drops: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One gate that objects: its demand, its interval (better positive), pairs and facts."""

    demand: str
    low: float
    high: float
    pairs: tuple[Pair, ...]
    facts: Facts

    @property
    def objected(self) -> list[Pair]:
        """The pairs that the gate objects to: worsened, or without the gain, floor or ceiling that is asked for."""
        if self.demand == "no_regression":
            return [pair for pair in self.pairs if pair.change < 0]
        return [pair for pair in self.pairs if pair.wrong]


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
