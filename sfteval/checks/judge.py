"""A second model as the judge of an answer: by a rubric, or against base's answer in both orders.

Comes in: the candidate's answer, then the judge's. Goes out: a score in 0…1; no score where the judge's answer cannot
be read (the sample is unscored there, not failed: `judged` counts that, `tied` the ties). A judge that cannot be
reached leaves the sample errored. The version of a metric names prompt, rubric, scale and judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from sfteval.checks.answer import Answer, Outcome, judged, unjudged, unknowable
from sfteval.checks.judge_prompts import VERSION, comparing_prompt, grading_prompt, read_grade, read_winner
from sfteval.checks.kinds import CheckKind, Context, Judge, Params, author_fault, kind, prepared
from sfteval.checks.reference import accepted_texts
from sfteval.checks.responses import UNASKED, text
from sfteval.keys import content_key
from sfteval.records import BASE, ChatAsk, Generation, Inquiry, Message, Response, Strict

if TYPE_CHECKING:
    from collections.abc import Mapping

Text = Annotated[str, StringConstraints(min_length=1)]


class _Judging(Strict):
    """Who judges by what; `max_tokens` limits what the judge writes."""

    rubric: Text
    model: Text
    max_tokens: Annotated[int, Field(ge=1)] = 256

    @model_validator(mode="after")
    def _another_model(self) -> _Judging:
        if self.model == BASE:
            raise author_fault("base as the judge", "a model reference")
        return self

    @property
    def version(self) -> str:
        """Version of prompt and parameters."""
        return f"judge-{VERSION}-{content_key(type(self).__name__, self)[:8]}"

    def inquiry(self, messages: tuple[Message, ...]) -> Inquiry:
        """Return a question to the judge, answered greedily."""
        return Inquiry(ChatAsk(messages, Generation(max_tokens=self.max_tokens)), self.model)


class Grading(_Judging):
    """A rubric with its scale; with `at_least` a grade passes or fails; `reference: true` shows the reference."""

    scale: tuple[int, int] = (1, 5)
    at_least: int | None = None
    reference: bool = False

    @model_validator(mode="after")
    def _a_scale(self) -> Grading:
        low, high = self.scale
        if not low < high:
            raise author_fault(f"the scale [{low}, {high}]", "[worst, best] with worst below best")
        if self.at_least is not None and not low < self.at_least <= high:
            raise author_fault(f"at_least {self.at_least}", f"a grade above {low} and up to {high}")
        return self


class JudgeByRubric(Params):
    """A judge grades the answer by a rubric: its grade as a share of the scale, or 1 from `at_least` on."""

    judge: Grading

    def version(self) -> str:
        """Return what the scores depend on."""
        return self.judge.version

    def needs_reference(self) -> bool:
        """Return whether the judge is shown the reference."""
        return self.judge.reference

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference is a text."""
        return None if accepted_texts(reference) else "a text, a number or a list of them"

    def inquiry(self, answer: Answer) -> Inquiry:
        """Return what the judge is asked."""
        reference = " or ".join(accepted_texts(answer.reference)) if self.judge.reference else None
        prompt = grading_prompt(answer.messages, answer.text, self.judge.rubric, self.judge.scale, reference)
        return self.judge.inquiry(prompt)

    def follow_ups(self, answer: Answer) -> tuple[Inquiry, ...]:
        """Return the question to the judge."""
        return (self.inquiry(answer),)


class JudgeAgainstBase(Params):
    """A judge compares the answer with base's, in both orders: 1 better, 0 worse, 0.5 a tie or a change of mind."""

    judge_against_base: _Judging

    def version(self) -> str:
        """Return what the scores depend on."""
        return self.judge_against_base.version

    def base_question(self, answer: Answer) -> Inquiry:
        """Return what base is asked: the same conversation with the same settings."""
        return Inquiry(ChatAsk(answer.messages, answer.generation), BASE)

    def orders(self, answer: Answer, other: str) -> tuple[Inquiry, Inquiry]:
        """Return the questions to the judge: the answer as A, then as B."""
        rubric, ask = self.judge_against_base.rubric, self.judge_against_base.inquiry
        return (
            ask(comparing_prompt(answer.messages, answer.text, other, rubric)),
            ask(comparing_prompt(answer.messages, other, answer.text, rubric)),
        )

    def follow_ups(self, answer: Answer) -> tuple[Inquiry, ...]:
        """Return the question to base, then those to the judge; none where both answer the same."""
        other = text(answer, *_place(self.base_question(answer)))
        if other is None:
            return (self.base_question(answer),)
        return () if other == answer.text else self.orders(answer, other)


class Judged(Params):
    """The judge's answer to the named check could be read."""

    judged: str

    def siblings(self) -> tuple[str, ...]:
        """Return the check."""
        return (self.judged,)


class Tied(Params):
    """The named comparison is a tie; a comparison that could not be read has no score here either."""

    tied: str

    def siblings(self) -> tuple[str, ...]:
        """Return the check."""
        return (self.tied,)


def _place(inquiry: Inquiry) -> tuple[Any, str]:
    return inquiry.ask, inquiry.of


def grade(params: JudgeByRubric, answer: Answer) -> Outcome:
    """Read the judge's grade."""
    said = text(answer, *_place(params.inquiry(answer)))
    if said is None:
        return unjudged(UNASKED)
    found, (low, high) = read_grade(said, params.judge.scale), params.judge.scale
    if found is None:
        return unknowable(f"the judge gave no grade from {low} to {high}: {said[-200:]!r}")
    if params.judge.at_least is not None:
        return judged(found >= params.judge.at_least, f"grade {found} of {high}: {said[:200]!r}")
    return Outcome((found - low) / (high - low), f"grade {found} of {high}: {said[:200]!r}")


def compare(params: JudgeAgainstBase, answer: Answer) -> Outcome:
    """Read the judge's choice in both orders."""
    other = text(answer, *_place(params.base_question(answer)))
    if other is None:
        return unjudged(UNASKED)
    if other == answer.text:
        return Outcome(0.5, "tie: the same answer")
    said = [text(answer, *_place(inquiry)) for inquiry in params.orders(answer, other)]
    if said[0] is None or said[1] is None:
        return unjudged(UNASKED)
    winners = [read_winner(said[0]), read_winner(said[1])]
    if None in winners:
        unread = said[winners.index(None)]
        return unknowable(f"the judge named no winner: {(unread or '')[-200:]!r}")
    better = [winners[0] == "a", winners[1] == "b"]
    worse = [winners[0] == "b", winners[1] == "a"]
    if all(better) or all(worse):
        return Outcome(float(all(better)), f"{'better' if all(better) else 'worse'} in both orders: {said[0][:200]!r}")
    agreed = winners == ["tie", "tie"]
    return Outcome(0.5, f"tie{'' if agreed else ': the orders disagree'} ({winners[0]}, then {winners[1]})")


def _judged(params: Judged, _: Context) -> Judge:
    def judge(_: Answer, outcomes: Mapping[str, Outcome]) -> Outcome:
        outcome = outcomes[params.judged]
        if outcome.score is None and not outcome.unknowable:
            return outcome
        return judged(outcome.score is not None, outcome.evidence)

    return judge


def _tied(params: Tied, _: Context) -> Judge:
    def judge(_: Answer, outcomes: Mapping[str, Outcome]) -> Outcome:
        outcome = outcomes[params.tied]
        return outcome if outcome.score is None else judged(outcome.score == 0.5, outcome.evidence)

    return judge


_ASKED = (Message(role="user", content="Where is the key?"),)
_RUBRIC = {"rubric": "The answer is polite.", "model": "smollm2"}


def _graded(said: str) -> Answer:
    answer = Answer("Under the mat, I hope.", messages=_ASKED)
    asked = JudgeByRubric(judge=Grading(rubric="The answer is polite.", model="smollm2")).inquiry(answer)
    return Answer(answer.text, messages=_ASKED, responses={asked: (Response("", text=said),)})


def _compared(winner: str, then: str) -> Answer:
    answer = Answer("Under the mat, I hope.", messages=_ASKED)
    params = JudgeAgainstBase(judge_against_base=_Judging(rubric="The answer is polite.", model="smollm2"))
    said = zip(params.orders(answer, "Look."), (winner, then), strict=True)
    responses = {asked: (Response("", text=f"Winner: {name}"),) for asked, name in said}
    base = {params.base_question(answer): (Response("", text="Look."),)}
    return Answer(answer.text, messages=_ASKED, responses=responses | base)


KINDS: tuple[CheckKind, ...] = (
    kind(
        JudgeByRubric,
        grade,
        {"judge": _RUBRIC},
        passing=_graded("Kind and clear.\nGrade: 5"),
        failing=_graded("Curt.\nGrade: 1"),
    ),
    kind(
        JudgeAgainstBase,
        compare,
        {"judge_against_base": _RUBRIC},
        passing=_compared("A", "B"),
        failing=_compared("B", "A"),
    ),
    prepared(
        Judged,
        _judged,
        {"judged": "graded"},
        passing=_graded("Grade: 3"),
        failing=_graded("I would rather not say."),
    ),
    prepared(
        Tied,
        _tied,
        {"tied": "compared"},
        passing=_compared("A", "A"),
        failing=_compared("A", "B"),
    ),
)
"""The examples of `judged` and `tied` assume siblings `graded` and `compared` with the other two examples."""
