"""Requests in; jobs that the model can take, or failures that say why not, out.

Long requests are cut from the left as lm-eval 0.4.13 `HFLM` does: `_loglikelihood_tokens` keeps the last
max_length + 1 tokens of context + continuation, `generate_until` the last max_length − max_tokens of the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sfteval.records import BackendFailure, Generate, Request, Response, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.engine.figures import ModelLimits
    from sfteval.engine.trie import Tokens


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """A score that fits the model.

    Attributes:
        key: The request's key.
        tokens: What is fed: prefix + continuation without its last token, after truncation.
        targets: The continuation, read at the last len(targets) positions of `tokens`.
        truncated: Tokens cut from the left.
    """

    key: str
    tokens: Tokens
    targets: Tokens
    truncated: int


@dataclass(frozen=True, slots=True)
class GenerateJob:
    """A generation that fits the model: `prompt` after truncation."""

    request: Generate
    prompt: Tokens
    truncated: int


Job = ScoreJob | GenerateJob


def failed(key: str, kind: str, message: str) -> Response:
    """Return the response of a request that could not be answered."""
    return Response(key, failure=BackendFailure(kind, message))


def accept(request: Request, limits: ModelLimits) -> Job | Response:
    """Return a job, or the failure that the request ends with."""
    return _score(request, limits) if isinstance(request, Score) else _generate(request, limits)


def _score(request: Score, limits: ModelLimits) -> Job | Response:
    if not request.prefix:
        return failed(request.key, "empty_prefix", "found no prefix token; expected at least the model's prefix token")
    if not request.continuation:
        return failed(request.key, "empty_continuation", "found no continuation token; expected at least one to score")
    if len(request.continuation) > limits.max_length:
        return _too_long(request.key, f"a continuation of {len(request.continuation)} tokens", limits.max_length)
    whole = request.prefix + request.continuation
    if wrong := _outside(request.key, whole, limits.vocabulary):
        return wrong
    tokens = np.asarray(whole, dtype=np.int64)
    excess = max(0, len(tokens) - (limits.max_length + 1))
    return ScoreJob(request.key, tokens[excess:-1], tokens[len(request.prefix) :], excess)


def _generate(request: Generate, limits: ModelLimits) -> Job | Response:
    if not request.prompt:
        return failed(request.key, "empty_prompt", "found no prompt token; expected at least the model's prefix token")
    room = limits.max_length - request.generation.max_tokens
    if room <= 0:
        found = f"max_tokens {request.generation.max_tokens}, which leaves no room for a prompt"
        return _too_long(request.key, found, limits.max_length)
    if wrong := _outside(request.key, request.prompt, limits.vocabulary):
        return wrong
    tokens = np.asarray(request.prompt, dtype=np.int64)
    excess = max(0, len(tokens) - room)
    return GenerateJob(request, tokens[excess:], excess)


def _too_long(key: str, found: str, max_length: int) -> Response:
    return failed(key, "too_long", f"found {found}; expected it to fit the model's {max_length} tokens")


def _outside(key: str, tokens: Sequence[int], vocabulary: int) -> Response | None:
    low, high = min(tokens), max(tokens)
    if low >= 0 and high < vocabulary:
        return None
    found = low if low < 0 else high
    return failed(key, "token_out_of_vocabulary", f"found token id {found}; expected 0 to {vocabulary - 1}")
