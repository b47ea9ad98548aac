"""Checks over the turns of a conversation in which the model's own answers were fed back (`turns:` of a sample).

Comes in: the outcome of one sibling in each turn, "1" for the model's first answer. Goes out: one outcome for the
conversation. Other checks of a suite judge the last answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from sfteval.checks.answer import Answer, Outcome, unjudged
from sfteval.checks.kinds import CheckKind, Context, Judge, Params, prepared

if TYPE_CHECKING:
    from collections.abc import Mapping


class OverTurns(Params):
    """A check on the turns of a conversation."""

    def spans(self) -> Literal["", "turns", "repeats"]:
        """Return that all turns are looked at."""
        return "turns"


class EveryTurn(OverTurns):
    """Every answer of the conversation passes the named check."""

    every_turn: str

    def siblings(self) -> tuple[str, ...]:
        """Return the check that each answer must pass."""
        return (self.every_turn,)


class AtTurn(OverTurns):
    """The answer in one turn passes the named check; `turn: 1` is the model's first answer."""

    at_turn: str
    turn: Annotated[int, Field(ge=1)]

    def siblings(self) -> tuple[str, ...]:
        """Return the check that the answer must pass."""
        return (self.at_turn,)

    def turns_needed(self) -> int:
        """Return how many answers a conversation must have."""
        return self.turn


def _every(_: EveryTurn, __: Context) -> Judge:
    def judge(_: Answer, turns: Mapping[str, Outcome]) -> Outcome:
        scores = {turn: outcome.score for turn, outcome in turns.items()}
        unknown = [turn for turn, score in scores.items() if score is None]
        if unknown:
            every = all(turns[turn].unknowable for turn in unknown)
            return Outcome(None, f"no score in turn {', '.join(unknown)}", unknowable=every)
        values = {turn: score for turn, score in scores.items() if score is not None}
        failing = [f"turn {turn}: {turns[turn].evidence}" for turn, value in values.items() if value < 1.0]
        passed = len(values) - len(failing)
        return Outcome(min(values.values()), "; ".join([f"{passed} of {len(values)} turns pass", *failing]))

    return judge


def _at(params: AtTurn, _: Context) -> Judge:
    def judge(_: Answer, turns: Mapping[str, Outcome]) -> Outcome:
        outcome = turns.get(str(params.turn))
        return unjudged(f"the conversation has {len(turns)} answers") if outcome is None else outcome

    return judge


KINDS: tuple[CheckKind, ...] = (
    prepared(
        EveryTurn,
        _every,
        {"every_turn": "brief"},
        passing=Answer("a few words", earlier=(Answer("two words"),)),
        failing=Answer("a few words", earlier=(Answer("far too many words of them"),)),
    ),
    prepared(
        AtTurn,
        _at,
        {"at_turn": "brief", "turn": 1},
        passing=Answer("far too many words of them", earlier=(Answer("two words"),)),
        failing=Answer("two words", earlier=(Answer("far too many words of them"),)),
    ),
)
"""The examples assume the sibling `brief: {max_words: 3}`."""
