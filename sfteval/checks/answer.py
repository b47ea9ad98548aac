"""What a check judges and what it says.

Comes in: one model's answer to one sample. Goes out: one `Outcome` per check. A score of None means that the check
could not judge (too large, a pattern that ran out of time, no reference): never a pass and never a wrong answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sfteval.records import Generation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sfteval.records import FinishReason, Inquiry, Message, Response


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer with everything that checks compare it with.

    Attributes:
        text: The model's answer, without stop string and end-of-turn token.
        finish_reason: Why generation ended; None when nobody knows (answers read from a file).
        messages: The conversation that was answered.
        reference: The row's `reference`.
        vars: The row's `vars`.
        output_tokens: Tokens generated, 0 when unknown.
        earlier: The model's own earlier answers in this conversation, first to last.
        generation: How the answer was generated.
        responses: What came back for everything that checks asked, of this model and of others.
    """

    text: str
    finish_reason: FinishReason | None = None
    messages: tuple[Message, ...] = ()
    reference: Any = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    output_tokens: int = 0
    earlier: tuple[Answer, ...] = ()
    generation: Generation = field(default_factory=Generation)
    responses: Mapping[Inquiry, tuple[Response, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finite score, or None with the reason in `evidence`.

    `unknowable` marks a score that the answer's source cannot give (a file that holds no finish reason): the sample
    lacks this score, where any other missing score makes it errored.
    """

    score: float | None
    evidence: str = ""
    unknowable: bool = False


def judged(passed: bool, evidence: str) -> Outcome:
    """Return 1 or 0 with what the check saw."""
    return Outcome(1.0 if passed else 0.0, evidence)


def unjudged(reason: str) -> Outcome:
    """Return an outcome without a score: the sample counts as errored, not as wrong."""
    return Outcome(None, reason)


def unknowable(reason: str) -> Outcome:
    """Return an outcome without a score because nobody recorded what it needs; the sample keeps its other scores."""
    return Outcome(None, reason, unknowable=True)
