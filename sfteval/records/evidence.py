"""What is asked of a model and what came back: items, requests, responses, samples.

Ask (text, any model) → Request (token ids, one model) → Response → Sample (scored).
Both keys are hashes of content, never of names or paths: see `sfteval.keys`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sfteval.records.suite import Generation, Message


class Status(StrEnum):
    """What became of a sample. An infrastructure failure is `ERRORED`, never a wrong answer."""

    SCORED = "scored"
    UNSCORED = "unscored"
    ERRORED = "errored"


class FinishReason(StrEnum):
    """Why generation ended: a stop string, the model's own end of turn, the token limit, or all checks settled."""

    STOP = "stop"
    END_TURN = "end_turn"
    LENGTH = "length"
    EARLY_EXIT = "early_exit"


@dataclass(frozen=True, slots=True)
class ChatAsk:
    """Answer this conversation."""

    messages: tuple[Message, ...]
    generation: Generation


@dataclass(frozen=True, slots=True)
class DialogueAsk:
    """Answer this conversation, then each of the user's `turns` after the model's own answer to what came before."""

    messages: tuple[Message, ...]
    turns: tuple[Message, ...]
    generation: Generation


@dataclass(frozen=True, slots=True)
class TextAsk:
    """Continue this plain text (lm-eval `generate_until`); no chat template."""

    context: str
    generation: Generation


@dataclass(frozen=True, slots=True)
class ScoreAsk:
    """Log-likelihood of `continuation` after `context` (lm-eval `loglikelihood`)."""

    context: str
    continuation: str


@dataclass(frozen=True, slots=True)
class ChatScoreAsk:
    """Log-likelihood of `continuation` after the rendered chat (lm-eval `loglikelihood` under a chat template)."""

    messages: tuple[Message, ...]
    continuation: str


@dataclass(frozen=True, slots=True)
class RollingAsk:
    """Log-likelihood of a whole text (lm-eval `loglikelihood_rolling`)."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplyAsk:
    """Log-likelihood of `reply` as the assistant's answer to this conversation; with `ends`, of its end of turn too."""

    messages: tuple[Message, ...]
    reply: str
    ends: bool = False


Ask = ChatAsk | DialogueAsk | TextAsk | ScoreAsk | ChatScoreAsk | RollingAsk | ReplyAsk

ITSELF = ""
BASE = "base"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """An ask and whom it is put to: the model that is evaluated (`ITSELF`), `BASE`, or a model reference (a judge)."""

    ask: Ask
    of: str = ITSELF


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to be judged, before any model is known.

    Attributes:
        key: `pair_key`: joins the runs of different models.
        suite: Suite name.
        task: lm-eval task as listed in the suite, "" for suites with samples.
        sample_id: The author's id, or task and document number.
        asks: What is asked; several for multiple choice.
        extra: What checks ask the model beside it (the score of a reference answer). Keys depend on `asks` alone: a
            new check makes no other sample of it.
        generates: False when no check reads the answer to `asks`; then only `extra` is asked.
        reference: What a check compares with.
        cluster: Samples of one prompt share a cluster.
        document: What a grader needs beside the responses (an lm-eval document).
    """

    key: str
    suite: str
    task: str
    sample_id: str
    asks: tuple[Ask, ...]
    extra: tuple[Ask, ...] = ()
    generates: bool = True
    repeat: int = 0
    cluster: str = ""
    reference: Any = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    document: Any = None


@dataclass(frozen=True, slots=True)
class Score:
    """Log-likelihood of `continuation` given `prefix`, both token ids.

    `key` is the `response_key`. An empty prefix is scored after the model's prefix token (lm-eval's rule), which
    the request stage has already put in.
    """

    key: str
    prefix: tuple[int, ...]
    continuation: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue `prompt` (token ids). `seed` is the sample's own, so that no result depends on its batch.

    `lost` says of the text so far that nothing that follows could change any score; then generation may end.
    """

    key: str
    prompt: tuple[int, ...]
    generation: Generation
    seed: int = 0
    lost: Callable[[str], bool] | None = field(default=None, compare=False, repr=False)


Request = Score | Generate


@dataclass(frozen=True, slots=True)
class BackendFailure:
    """The backend could not answer; never graded as an answer."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Response:
    """What came back for one request: text, or a log-likelihood, or a failure.

    Attributes:
        key: The request's `response_key`.
        text: Generated text, stop string and end-of-turn token not included; None for scores.
        loglikelihood: Sum over the continuation's tokens, natural log; None for generations.
        is_greedy: True when every continuation token is the arg max.
        finish_reason: Of a generation.
        prompt_tokens: Tokens of the prompt or prefix (after truncation).
        output_tokens: Tokens generated (end-of-turn token counted) or scored.
        truncated: Tokens cut from the left to fit the model.
        failure: Set when nothing came back; then everything above is empty.
    """

    key: str
    text: str | None = None
    loglikelihood: float | None = None
    is_greedy: bool | None = None
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    truncated: int = 0
    failure: BackendFailure | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One judged item of one model: a row of `samples.parquet`.

    `scores` maps check names to finite numbers; `prompt_key` hashes the rendered prompt token ids of all requests;
    `output` is the text shown to people (the answer, each answer of a dialogue, or the chosen option); `prompt` is what
    the author wrote. The prompt key of a dialogue hashes the author's turns around a stand-in for the model's answers.
    """

    key: str
    suite: str
    task: str
    sample_id: str
    repeat: int
    cluster: str
    status: Status
    scores: Mapping[str, float]
    evidence: Mapping[str, str]
    prompt_key: str
    prompt: str
    output: str
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    truncated: int = 0
    error: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    response_keys: tuple[str, ...] = ()
