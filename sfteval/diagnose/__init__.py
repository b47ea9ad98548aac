"""Why a gate objects: a `Case` to causes in order of weight. Total, without I/O; rank 2.

Facts about the models come first (a template that differs explains every symptom), then what the worsened answers show
and the others do not. "Unknown" is an allowed answer: a wrong cause is worse than none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.diagnose.behaviour import behavioural
from sfteval.diagnose.facts import factual
from sfteval.records import Cause

if TYPE_CHECKING:
    from sfteval.records import Case

__all__ = ["diagnose"]

UNKNOWN = Cause("unknown", "no known fault shows in these samples more often than in the reference's", 0.0)


def diagnose(case: Case) -> tuple[Cause, ...]:
    """Return the causes of one objection, the best supported first; `unknown` alone where nothing shows."""
    if not case.pairs:
        return (UNKNOWN,)
    return (*factual(case), *behavioural(case)) or (UNKNOWN,)
