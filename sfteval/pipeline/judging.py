"""A judge against people: `sfteval judge agreement`.

Comes in: a suite's judge check and a JSONL file of answers with human labels. Goes out: accuracy, Cohen's kappa with
intervals, the confusion of labels, and what the judge could not say. Rows of a rubric: `{messages | prompt, response,
label, reference?}` with a grade of its scale (or true/false for a check with `at_least`); of a comparison: `{messages |
prompt, response_a, response_b, label}` with "a", "b" or "tie". Other fields are free.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, StringConstraints

from sfteval.backends import open_backend
from sfteval.checks import CHECK_TABLE, Answer, JudgeAgainstBase, JudgeByRubric, bind
from sfteval.errors import EngineError, Fault, InputError
from sfteval.pipeline.commands import load_given
from sfteval.pipeline.live import LiveModel
from sfteval.records import ChatAsk, Inquiry, Message, Response, Strict, Suite
from sfteval.stats.raters import agreement
from sfteval.yamlfile import did_you_mean, read_jsonl, validate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.checks import Outcome

Text = Annotated[str, StringConstraints(min_length=1)]
JudgeCheck = JudgeByRubric | JudgeAgainstBase
NAME = "check"


class _Labelled(Strict):
    model_config = ConfigDict(extra="ignore")

    messages: Annotated[tuple[Message, ...], Field(min_length=1)] | None = None
    prompt: Text | None = None
    reference: Any = None

    @property
    def asked(self) -> tuple[Message, ...]:
        """The conversation that was answered."""
        return self.messages or (Message(role="user", content=self.prompt or ""),)


class GradedRow(_Labelled):
    """An answer with the grade that a person gave it, or whether it passes."""

    response: str
    label: bool | int


class ComparedRow(_Labelled):
    """Two answers with the one that a person preferred."""

    response_a: str
    response_b: str
    label: Literal["a", "b", "tie"]


Row = GradedRow | ComparedRow


def judge_agreement(file: Path, suite: Path, check: str, *, model: str | None = None) -> dict[str, Any]:
    """Let a suite's judge grade answers that people have graded, and compare.

    Args:
        file: JSONL of labelled answers, plain or `.gz`.
        suite: The suite file that holds the check.
        check: Name of a `judge` or `judge_against_base` check.
        model: Judge to measure in place of the check's own.

    Returns:
        `{"check", "model", "n", "unreadable", "errored", "accuracy", "accuracy_interval", "kappa", "kappa_interval",
        "ties", "confusion": {human: {judge: count}}}`; figures are None when nothing could be read.

    Raises:
        InputError: a file, a row, a check or a judge that cannot be used.
    """
    params = _params(suite, check, model)
    inner = params.judge if isinstance(params, JudgeByRubric) else params.judge_against_base
    rows = _rows(file, params)
    answers = [_answer(row, params) for row in rows]
    judge = LiveModel(open_backend(inner.model, relative_to=suite.parent))
    try:
        judge.prefetch(inquiry.ask for answer in answers for inquiry in params.follow_ups(answer))
        outcomes = [_outcome(answer, params, judge, suite.parent) for answer in answers]
    finally:
        judge.close()
    pairs = [
        (_human(row, params), _judges(outcome, params))
        for row, outcome in zip(rows, outcomes, strict=True)
        if outcome is not None and outcome.score is not None
    ]
    return {
        "check": check,
        "model": inner.model,
        "n": len(pairs),
        "unreadable": sum(outcome is not None and outcome.score is None for outcome in outcomes),
        "errored": sum(outcome is None for outcome in outcomes),
        **_figures(pairs),
    }


def _figures(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    found = agreement([human for human, _ in pairs], [judge for _, judge in pairs]) if pairs else None
    confusion: dict[str, dict[str, int]] = {}
    for (human, judge), count in sorted(Counter(pairs).items()):
        confusion.setdefault(human, {})[judge] = count
    return {
        "accuracy": found and found.accuracy,
        "accuracy_interval": found and [found.accuracy_low, found.accuracy_high],
        "kappa": found and found.kappa,
        "kappa_interval": None if found is None or found.kappa is None else [found.kappa_low, found.kappa_high],
        "ties": sum(judge == "tie" for _, judge in pairs),
        "confusion": confusion,
    }


def _params(suite: Path, name: str, model: str | None) -> JudgeCheck:
    (file,) = load_given([suite])
    checks = file.suite.checks if isinstance(file.suite, Suite) else {}
    judges = {n: p for n, c in checks.items() if isinstance(p := CHECK_TABLE.read(c)[1], JudgeCheck)}
    if name not in judges:
        expected = "a judge or judge_against_base check of this suite: " + (", ".join(judges) or "it has none")
        raise InputError(Fault(str(suite), f"no judge check {name!r}", expected, did_you_mean(name, list(judges))))
    params = judges[name]
    if model is None:
        return params
    if isinstance(params, JudgeByRubric):
        return JudgeByRubric(judge=params.judge.model_copy(update={"model": model}))
    return JudgeAgainstBase(judge_against_base=params.judge_against_base.model_copy(update={"model": model}))


def _rows(file: Path, params: JudgeCheck) -> list[Row]:
    faults: list[Fault] = []
    model: type[GradedRow] | type[ComparedRow] = GradedRow if isinstance(params, JudgeByRubric) else ComparedRow
    found: list[Row] = []
    for located in read_jsonl(file, str(file), faults, mend=True):
        row = cast("Row | None", validate(model, located, (), faults))
        if row is None:
            continue
        if (row.messages is None) == (row.prompt is None):
            faults.append(located.fault((), "neither or both of messages and prompt", "one of them"))
        problem = _label_problem(row, params)
        if problem is not None:
            faults.append(located.fault(("label",), f"the label {row.label!r}", problem))
        found.append(row)
    if not found and not faults:
        faults.append(Fault(str(file), "no rows", "answers with human labels, one a line"))
    if faults:
        raise InputError(faults)
    return found


def _label_problem(row: Row, params: JudgeCheck) -> str | None:
    if not (isinstance(params, JudgeByRubric) and isinstance(row, GradedRow)):
        return None
    low, high = params.judge.scale
    if isinstance(row.label, bool):
        return (
            None if params.judge.at_least is not None else f"a grade from {low} to {high} (the check has no at_least)"
        )
    return None if low <= row.label <= high else f"a grade from {low} to {high}"


def _answer(row: Row, params: JudgeCheck) -> Answer:
    if isinstance(row, GradedRow):
        return Answer(row.response, messages=row.asked, reference=row.reference)
    answer = Answer(row.response_a, messages=row.asked)
    assert isinstance(params, JudgeAgainstBase)
    other = {params.base_question(answer): (Response("", text=row.response_b),)}
    return Answer(row.response_a, messages=row.asked, responses=other)


def _outcome(answer: Answer, params: JudgeCheck, judge: LiveModel, folder: Path) -> Outcome | None:
    """Return what the check says, None when the judge could not be asked."""
    known: dict[Inquiry, tuple[Response, ...]] = dict(answer.responses)
    for inquiry in params.follow_ups(answer):
        assert isinstance(inquiry.ask, ChatAsk)
        try:
            said = judge.chat(inquiry.ask.messages, **inquiry.ask.generation.model_dump())
        except EngineError:
            return None
        known[inquiry] = (Response("", text=said.text),)
    whole = Answer(answer.text, messages=answer.messages, reference=answer.reference, responses=known)
    check = params.model_dump(mode="json")
    return bind({NAME: check}, folder)(whole)[NAME]


def _human(row: Row, params: JudgeCheck) -> str:
    if isinstance(row, ComparedRow):
        return row.label
    least = params.judge.at_least if isinstance(params, JudgeByRubric) else None
    if least is None:
        return str(row.label)
    return "pass" if row.label is True or (row.label is not False and row.label >= least) else "fail"


def _judges(outcome: Outcome, params: JudgeCheck) -> str:
    assert outcome.score is not None
    if isinstance(params, JudgeAgainstBase):
        return {1.0: "a", 0.0: "b"}.get(outcome.score, "tie")
    if params.judge.at_least is not None:
        return "pass" if outcome.score == 1.0 else "fail"
    low, high = params.judge.scale
    return str(low + round(outcome.score * (high - low)))
