"""Why a gate objects: a `Case` to causes in order of weight. Total, without I/O; rank 2.

Facts about the models that explain every symptom come first (another template), then what the answers objected to show
and the others do not, then circumstances (data that leaked, other precision). Only where none of them is found and a
drop is proven: what is left when form is sound. Another engine comes last. "Unknown" is an allowed answer: a wrong
cause is worse than none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.diagnose.behaviour import behavioural
from sfteval.diagnose.facts import circumstantial, engine, factual, noise, template
from sfteval.diagnose.remainder import remaining
from sfteval.records import Cause

if TYPE_CHECKING:
    from sfteval.records import Case

__all__ = ["diagnose", "incomparable"]

UNKNOWN = Cause("unknown", "no known fault shows in these samples more often than in the reference's", 0.0)


def diagnose(case: Case) -> tuple[Cause, ...]:
    """Return the causes of one objection, the best supported first; `unknown` alone where nothing shows."""
    if not case.pairs:
        return (UNKNOWN,)
    found = (*factual(case), *behavioural(case), *circumstantial(case)) or remaining(case)
    return tuple(sorted((*found, *engine(case)), key=lambda cause: -cause.weight)) or tuple(noise(case)) or (UNKNOWN,)


def incomparable(case: Case) -> tuple[Cause, ...]:
    """Return why the two models were asked in other words, if it is known; nothing where it is not."""
    return tuple(template(case))
