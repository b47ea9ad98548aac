"""What the kinds by published instruction checkers (IFEval, IFBench) share.

Comes in: a rule on text. Goes out: a `CheckKind`. As published, an answer of white space follows no instruction. A
text too long for its rule gets no score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field, StringConstraints, model_validator

from sfteval.checks.answer import Answer, Outcome, judged, unjudged
from sfteval.checks.kinds import CheckKind, Params, author_fault, kind
from sfteval.checks.punkt_sentences import TooLongError
from sfteval.records import Strict

Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Word = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Verdict = tuple[bool, str]
"""Whether the rule holds, and what was seen."""
P = TypeVar("P", bound=Params)


class Bound(Strict):
    """Limits of a count: `at_least`, `at_most`, `less_than`; one of them or more."""

    at_least: Natural | None = None
    at_most: Natural | None = None
    less_than: Natural | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> Bound:
        if self.at_least is None and self.at_most is None and self.less_than is None:
            raise author_fault("no limit", "at_least, at_most or less_than")
        return self

    def judge(self, count: int, noun: str) -> Verdict:
        """Return whether the count lies within the limits, and both in words."""
        limits = {"at least": self.at_least, "at most": self.at_most, "less than": self.less_than}
        words = ", ".join(f"{name} {limit}" for name, limit in limits.items() if limit is not None)
        fits = (
            (self.at_least is None or count >= self.at_least)
            and (self.at_most is None or count <= self.at_most)
            and (self.less_than is None or count < self.less_than)
        )
        return fits, f"{count} {noun}, {words}"


def instruction(
    params: type[P],
    rule: Callable[[P, str], Verdict],
    example: Mapping[str, Any],
    *,
    passing: str,
    failing: str,
) -> CheckKind:
    """Return the kind of a rule that reads the text alone."""

    def judge(bound: P, answer: Answer) -> Outcome:
        if not answer.text.strip():
            return judged(False, "no answer")
        try:
            return judged(*rule(bound, answer.text))
        except TooLongError as error:
            return unjudged(str(error))

    return kind(params, judge, example, passing=passing, failing=failing)


def first_odd(odd: str | None, otherwise: str) -> Verdict:
    """Return a verdict that fails with the first thing that breaks the rule, if there is one."""
    return (False, odd) if odd is not None else (True, otherwise)
