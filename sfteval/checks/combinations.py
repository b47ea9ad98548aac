"""Checks made of checks: all, any or none of the siblings, and the checks that a row brings itself.

Comes in: sibling outcomes, or `vars.checks` of the row. Goes out: one outcome. Scores lie in 0…1, so that "all" is the
smallest, "any" the largest; one member without a score leaves the whole without one.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from sfteval.checks.answer import Answer, Outcome, unjudged
from sfteval.checks.kinds import CheckKind, Context, Judge, Params, prepared
from sfteval.checks.table import ROW_CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class AllOf(Params):
    """Every named check passes."""

    all_of: Names

    def siblings(self) -> tuple[str, ...]:
        """Return the members."""
        return self.all_of


class AnyOf(Params):
    """At least one of the named checks passes."""

    any_of: Names

    def siblings(self) -> tuple[str, ...]:
        """Return the members."""
        return self.any_of


class NoneOf(Params):
    """None of the named checks passes."""

    none_of: Names

    def siblings(self) -> tuple[str, ...]:
        """Return the members."""
        return self.none_of


class PerSample(Params):
    """The checks under the row's own `vars.checks` pass: all of them, or the share that does."""

    per_sample: Literal["all", "share"]


def _combine(words: str, score: Callable[[list[float]], float], params: AllOf | AnyOf | NoneOf, _: Context) -> Judge:
    members = params.siblings()

    def judge(_: Answer, outcomes: Mapping[str, Outcome]) -> Outcome:
        scores = {name: outcomes[name].score for name in members}
        unknown = [name for name, value in scores.items() if value is None]
        if unknown:
            every = all(outcomes[name].unknowable for name in unknown)
            return Outcome(None, f"no score of {', '.join(unknown)}", unknowable=every)
        values = {name: value for name, value in scores.items() if value is not None}
        passing = [name for name, value in values.items() if value >= 1.0]
        return Outcome(
            score(list(values.values())), f"{words}: {len(passing)} of {len(members)} pass{_failing(values)}"
        )

    return judge


def _failing(values: Mapping[str, float]) -> str:
    failing = [name for name, value in values.items() if value < 1.0]
    return f", not {', '.join(failing)}" if failing else ""


def _per_sample(params: PerSample, context: Context) -> Judge:
    def judge(answer: Answer, _: Mapping[str, Outcome]) -> Outcome:
        written = answer.vars.get(ROW_CHECKS)
        if not written:
            return unjudged(f"the row has no vars.{ROW_CHECKS}")
        passed, notes = 0, []
        for check in written:
            kind, bound = context.table.read(check)
            outcome = kind.prepare(bound, context)(answer, {})
            if outcome.score is None:
                return Outcome(None, f"{kind.name}: {outcome.evidence}", outcome.unknowable)
            passed += outcome.score >= 1.0
            if outcome.score < 1.0:
                notes.append(f"{kind.name}: {outcome.evidence}")
        share = passed / len(written)
        score = share if params.per_sample == "share" else float(passed == len(written))
        return Outcome(score, f"{passed} of {len(written)} pass" + "".join(f"; {note}" for note in notes))

    return judge


_ROW = {ROW_CHECKS: [{"max_words": 3}, {"lowercase": True}]}

KINDS: tuple[CheckKind, ...] = (
    prepared(
        AllOf,
        functools.partial(_combine, "all of", min),
        {"all_of": ["brief", "low"]},
        passing="a few words",
        failing="Far too many words of them",
    ),
    prepared(
        AnyOf,
        functools.partial(_combine, "any of", max),
        {"any_of": ["brief", "low"]},
        passing="Two words",
        failing="Far too many words of them",
    ),
    prepared(
        NoneOf,
        functools.partial(_combine, "none of", lambda scores: 1.0 - max(scores)),
        {"none_of": ["brief", "low"]},
        passing="Far too many words of them",
        failing="a few words",
    ),
    prepared(
        PerSample,
        _per_sample,
        {"per_sample": "all"},
        passing=Answer("a few words", vars=_ROW),
        failing=Answer("A few words", vars=_ROW),
    ),
)
"""The examples of the combinations assume siblings `brief: {max_words: 3}` and `low: {lowercase: true}`."""
