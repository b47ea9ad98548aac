"""Responses to samples: the joint where checks and lm-eval's metrics meet what the engine sent back.

An infrastructure failure, a NaN score or a check that breaks makes the sample ERRORED; it is never a wrong answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sfteval.checks import Asking, bind, bind_repeats
from sfteval.checks import early_exit as settle
from sfteval.errors import TaskError
from sfteval.keys import content_key
from sfteval.pipeline.answers import answer_of, shown_output, shown_prompt
from sfteval.pipeline.repeats import with_spanning
from sfteval.records import (
    ITSELF,
    BackendFailure,
    ChatAsk,
    ChatScoreAsk,
    DialogueAsk,
    FinishReason,
    Generate,
    Inquiry,
    ReplyAsk,
    Response,
    RollingAsk,
    Sample,
    Status,
)
from sfteval.requests import Asked, prompt_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sfteval.pipeline.planning import Grader
    from sfteval.records import Item, Request

    Known = Mapping[Inquiry, tuple[Response, ...]]


@dataclass(frozen=True, slots=True)
class Graded:
    """Scores of one item, and what people are shown. A score of None was not given."""

    scores: Mapping[str, float | None]
    evidence: Mapping[str, str]
    prompt: str
    output: str
    error: str | None = None
    finish_reason: FinishReason | None = field(default=None)


class CheckGrader:
    """Grades chat answers with a suite's checks."""

    def __init__(self, checks: Mapping[str, Mapping[str, Any]], folder: Path, *, early_exit: bool = False) -> None:
        """Bind the checks; schema files resolve from `folder`.

        `only_whole` then names the checks that keep answers from ending early.
        """
        self.folder = folder
        self._judge = bind(checks, folder)
        self._judge_repeats = bind_repeats(checks, folder)
        self._asking = Asking(checks)
        lost, self.only_whole = settle(checks) if early_exit else (None, ())
        self._lost = lost
        self._key = content_key("early_exit", checks)

    def with_asks(self, item: Item) -> Item:
        """Return the item with what the checks ask the model beside it."""
        return replace(item, extra=self._asking.asks(answer_of(item, {})), generates=self._asking.reads_answer)

    def follow_ups(self, item: Item, known: Known) -> tuple[Inquiry, ...]:
        """Return what the checks must ask now, () when all is known."""
        return self._asking.follow_ups(answer_of(item, known))

    def watched(self, asked: Asked) -> Asked:
        """Let the generations of an ask end when every check is lost, under keys of their own.

        Of a dialogue only the last answer, which the checks judge, may end early.
        """
        if self._lost is None:
            return asked
        judged = len(asked.ask.turns) if isinstance(asked.ask, DialogueAsk) else None
        requests = [r if judged not in (None, i) else self._watched(r) for i, r in enumerate(asked.requests)]
        return replace(asked, requests=tuple(requests))

    def _watched(self, request: Request) -> Request:
        if not isinstance(request, Generate):
            return request
        return replace(request, key=content_key(request.key, self._key), lost=self._lost)

    def grade(self, item: Item, known: Known) -> Graded:
        """Run every check on the answer to `item`, the last one of a dialogue."""
        answer = answer_of(item, known)
        outcomes = self._judge(answer)
        scores = {name: outcome.score for name, outcome in outcomes.items()}
        evidence = {name: outcome.evidence for name, outcome in outcomes.items() if outcome.evidence}
        broken = {name: each for name, each in outcomes.items() if each.score is None and not each.unknowable}
        unjudged = [f"{name}: {outcome.evidence}" for name, outcome in broken.items()]
        error = "; ".join(unjudged) or None
        return Graded(scores, evidence, _shown_ask(item), shown_output(answer), error, answer.finish_reason)

    def together(self, samples: Sequence[Sample]) -> list[Sample]:
        """Add what only all repeats of a prompt say."""
        return with_spanning(samples, self._judge_repeats)


class LmEvalGrader:
    """Grades with lm-eval's own metrics; `tasks` adds up the windows of rolling texts."""

    def __init__(self, folder: Path) -> None:
        """Take the suite file's folder."""
        self.folder = folder

    def watched(self, asked: Asked) -> Asked:
        """Return the ask as it is: lm-eval's answers never end early."""
        return asked

    def together(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return the samples as they are: lm-eval's tasks are asked once."""
        return list(samples)

    def follow_ups(self, item: Item, known: Known) -> tuple[Inquiry, ...]:
        """Return nothing: lm-eval's tasks ask once."""
        return ()

    def grade(self, item: Item, known: Known) -> Graded:
        """Let the task grade its document."""
        from sfteval import tasks

        flat = [response for ask in item.asks for response in known[Inquiry(ask)]]
        try:
            prompt, output = tasks.shown(item, flat)
            return Graded(tasks.grade(item, flat), {}, prompt, output, None, flat[0].finish_reason)
        except TaskError as error:
            return Graded({}, {}, _shown_ask(item), "", str(error))


def sample_of(
    item: Item,
    asked: Sequence[Asked],
    answers: Mapping[str, Response],
    grader: Grader,
    failure: BackendFailure | None = None,
) -> Sample:
    """Make the sample of one item from the responses to its requests; `failure` says why some could not be made."""
    known = known_responses(asked, answers)
    failed = failure or failed_response(known)
    if failed is not None:
        lost = Graded({}, {}, _shown_ask(item), "", f"{failed.kind}: {failed.message}")
        return _sample(item, asked, known, lost)
    return _sample(item, asked, known, grader.grade(item, known))


def known_responses(asked: Sequence[Asked], answers: Mapping[str, Response]) -> Known:
    """Return the responses by inquiry; a request that nobody answered has a failure."""
    return {Inquiry(one.ask, one.of): tuple(answers.get(r.key, _lost(r.key)) for r in one.requests) for one in asked}


def failed_response(known: Known) -> BackendFailure | None:
    """Return the first failure, None when everything was answered."""
    return next((r.failure for many in known.values() for r in many if r.failure is not None), None)


def _lost(key: str) -> Response:
    return Response(key, failure=BackendFailure("no_response", "the backend never answered this request"))


def _shown_ask(item: Item) -> str:
    ask = item.asks[0]
    if isinstance(ask, ChatAsk | ChatScoreAsk | DialogueAsk | ReplyAsk):
        return shown_prompt(ask)
    return ask.text if isinstance(ask, RollingAsk) else ask.context


def _sample(item: Item, asked: Sequence[Asked], known: Known, graded: Graded) -> Sample:
    primary = [one for one in asked if one.of == ITSELF and (not item.generates or one.ask in item.asks)]
    flat = [response for one in primary for response in known[Inquiry(one.ask)]]
    keys = tuple(request.key for one in asked for request in one.requests)
    error = graded.error or _not_finite(graded.scores)
    scores = {} if error else {name: float(s) for name, s in graded.scores.items() if s is not None}
    status = Status.ERRORED if error else Status.SCORED if scores else Status.UNSCORED
    return Sample(
        key=item.key,
        suite=item.suite,
        task=item.task,
        sample_id=item.sample_id,
        repeat=item.repeat,
        cluster=item.cluster or item.sample_id,
        status=status,
        scores=scores,
        evidence=graded.evidence,
        prompt_key=_given(primary, known),
        prompt=graded.prompt,
        output=graded.output,
        finish_reason=graded.finish_reason,
        prompt_tokens=sum(r.prompt_tokens for r in flat),
        output_tokens=sum(r.output_tokens for r in flat),
        truncated=sum(r.truncated for r in flat),
        error=error,
        tags=item.tags,
        response_keys=keys,
    )


def _given(asked: Sequence[Asked], known: Known) -> str:
    """Return the prompt's key; one that was cut to fit is another prompt than the same tokens whole.

    A dialogue counts whole: where its later turns are cut depends on what the model said.
    """
    cut = [r.truncated for one in asked if not one.frame for r in known[Inquiry(one.ask)]]
    whole = prompt_key(asked)
    return content_key(whole, "cut", cut) if any(cut) else whole


def _not_finite(scores: Mapping[str, float | None]) -> str | None:
    bad = [f"{name} = {score}" for name, score in scores.items() if score is not None and not math.isfinite(score)]
    return f"score is not a finite number: {', '.join(bad)}" if bad else None
