"""A model whose answers somebody else generated: they are looked up, never computed.

Comes in: an answer per request key. Goes out: a `Backend` without weights; a request without an answer is a failure,
never an empty text. Prompts are tokenised byte by byte, so that keys say which messages were answered.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sfteval.backends.bytes_text import TEMPLATE, ByteTokenization
from sfteval.keys import content_key
from sfteval.records import BackendFailure, Generate, ModelIdentity, Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sfteval.protocols import OnBatch, Tokenization
    from sfteval.records import FinishReason, Request

NUMERICS = "recorded-1"


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """What a file says that a model answered; `finish_reason` is None when the file does not know it."""

    text: str
    finish_reason: FinishReason | None = None


class RecordedBackend:
    """A model that was asked elsewhere.

    Attributes:
        identity: Hash of the file of answers.
        text: Byte-level tokenization with a ChatML template.
        template: That template.
        answers: By request key; filled by whoever knows which request each answer belongs to.
    """

    def __init__(self, reference: str, content: str) -> None:
        """Take what the identity is called, and the hash that stands for the weights."""
        self.text: Tokenization = ByteTokenization(max_length=100_000_000)
        self.template: str | None = TEMPLATE
        self.answers: Mapping[str, RecordedAnswer] = {}
        self.identity = ModelIdentity(
            reference=reference,
            weights=content,
            adapter="",
            tokenizer=content_key("bytes-1"),
            template=hashlib.sha256(TEMPLATE.encode()).hexdigest(),
            numerics=NUMERICS,
        )

    def respond(self, requests: Sequence[Request], on_batch: OnBatch) -> None:
        """Look every request up."""
        on_batch([self._answer(request) for request in requests])

    def close(self) -> None:
        """Do nothing: there are no weights."""

    def _answer(self, request: Request) -> Response:
        if not isinstance(request, Generate):
            failure = BackendFailure("no_log_likelihoods", "a file of answers holds text, not log-likelihoods")
            return Response(request.key, failure=failure)
        answer = self.answers.get(request.key)
        if answer is None:
            failure = BackendFailure("unanswered", "the file holds no answer to this sample")
            return Response(request.key, failure=failure)
        return Response(
            request.key, text=answer.text, finish_reason=answer.finish_reason, prompt_tokens=len(request.prompt)
        )
