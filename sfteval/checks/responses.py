"""Readings of what models sent back: log-likelihoods and texts by inquiry.

Comes in: an `Answer` with its responses. Goes out: numbers and texts, or None where nothing came back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.records import ITSELF, Inquiry

if TYPE_CHECKING:
    from sfteval.checks.answer import Answer
    from sfteval.records import Ask

UNASKED = "this check needs a model's own scores or answers; it works in suites that a model is evaluated on"


def loglikelihood(answer: Answer, ask: Ask, of: str = ITSELF) -> float | None:
    """Return the log-likelihood (nats) of an ask, summed over its requests; None when it was not answered.

    An infinite one stays what it is: a probability of 0 is for the caller to judge.
    """
    values = [response.loglikelihood for response in answer.responses.get(Inquiry(ask, of), ())]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def text(answer: Answer, ask: Ask, of: str = ITSELF) -> str | None:
    """Return the text that was answered, None when nothing came back."""
    responses = answer.responses.get(Inquiry(ask, of), ())
    return responses[0].text if responses else None
