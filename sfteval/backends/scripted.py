"""A model that says what a file tells it: for tests of suites, of gates, and of everything that needs a model.

Comes in: a `Script` (see `sfteval.backends.script` for the YAML). Goes out: a `Backend` without torch and without
weights, deterministic: reference `scripted:careful.yaml`, or `ScriptedBackend(Script(default="yes"))` in Python.

Prompts are tokenised byte by byte. A reply counts one token per word and one for the end of turn; it is cut at the
first stop string and at `max_tokens` words.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sfteval.backends.bytes_text import TEMPLATE, ByteTokenization
from sfteval.backends.script import Script, read_script
from sfteval.keys import content_key, file_key
from sfteval.records import BackendFailure, FinishReason, Generate, ModelIdentity, Response

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.protocols import OnBatch, Tokenization
    from sfteval.records import Request, Score

NUMERICS = "scripted-1"
PREFERRED, OTHERWISE = -0.1, -10.0
TURN = re.compile(r"<\|im_start\|>user\n(.*?)<\|im_end\|>", re.DOTALL)


class ScriptedBackend:
    """A fake model.

    Attributes:
        identity: Hash of the script's content.
        text: Byte-level tokenization with a ChatML template.
        template: That template.
        answered: How many requests were answered so far.
    """

    def __init__(self, script: Script, *, reference: str = "", content: str = "") -> None:
        """Take what to say.

        Args:
            script: The rules.
            reference: What the identity is called, `scripted:NAME` if left out.
            content: Hash that stands for the weights, of `script` if left out.
        """
        self.script = script
        self._bytes = ByteTokenization(max_length=script.max_length)
        self.text: Tokenization = self._bytes
        self.template: str | None = TEMPLATE
        self.answered = 0
        self.identity = ModelIdentity(
            reference=reference or f"scripted:{script.name}",
            weights=content or content_key(script),
            adapter="",
            tokenizer=content_key("bytes-1"),
            template=hashlib.sha256(TEMPLATE.encode()).hexdigest(),
            numerics=NUMERICS,
        )

    @classmethod
    def from_file(cls, path: Path, *, reference: str = "") -> ScriptedBackend:
        """Read a script. Raises ModelError with every fault of the file."""
        script = read_script(path)
        found = cls(script, reference=reference or f"scripted:{path}", content=file_key(path))
        if script.training:
            found.identity = replace(found.identity, training=str(path.parent / script.training))
        return found

    def respond(self, requests: Sequence[Request], on_batch: OnBatch) -> None:
        """Answer every request once, in order, `batch_size` at a time."""
        size = self.script.batch_size
        for start in range(0, len(requests), size):
            batch = [self._answer(request) for request in requests[start : start + size]]
            self.answered += len(batch)
            on_batch(batch)

    def close(self) -> None:
        """Do nothing: there are no weights."""

    def _answer(self, request: Request) -> Response:
        if self.script.delay_seconds:
            time.sleep(self.script.delay_seconds)
        ids = request.prompt if isinstance(request, Generate) else request.prefix + request.continuation
        whole = self._bytes.spell(ids)
        for rule in self.script.fail:
            if rule.contains in whole:
                return Response(request.key, failure=BackendFailure(rule.kind, rule.message))
        return self._generated(request, whole) if isinstance(request, Generate) else self._scored(request)

    def _generated(self, request: Generate, prompt: str) -> Response:
        turns = TURN.findall(prompt)
        question = turns[-1] if turns else prompt
        rule = next((rule for rule in self.script.replies if rule.fits(prompt, question)), None)
        reply = self.script.default if rule is None else rule.reply
        if isinstance(reply, tuple):
            reply = reply[request.seed % len(reply)]
        text, reason = _cut(reply, request)
        if rule is not None and rule.finish_reason is not None:
            reason = rule.finish_reason
        text, reason = _ended_early(text, reason, request)
        tokens = len(text.split()) + (reason is FinishReason.END_TURN)
        return Response(
            request.key, text=text, finish_reason=reason, prompt_tokens=len(request.prompt), output_tokens=tokens
        )

    def _scored(self, request: Score) -> Response:
        context, continuation = self.text.decode(request.prefix), self.text.decode(request.continuation)
        value, greedy = self._log_likelihood(context, continuation)
        return Response(
            request.key,
            loglikelihood=value,
            is_greedy=greedy,
            prompt_tokens=len(request.prefix),
            output_tokens=len(request.continuation),
        )

    def _log_likelihood(self, context: str, continuation: str) -> tuple[float, bool]:
        if any(word in context for word in self.script.nan):
            return math.nan, False
        for rule in self.script.scores:
            if rule.fits(context, continuation):
                return rule.value, rule.is_greedy
        chance = _fraction(self.script.seed, context, continuation)
        for preference in self.script.prefer:
            if preference.contains in context:
                chosen = preference.continuation.strip() == continuation.strip()
                return (PREFERRED, True) if chosen else (OTHERWISE - chance, False)
        return -max(1, len(continuation)) * (0.5 + chance), False


def _fraction(*parts: object) -> float:
    """Return a number in [0, 1) that depends on `parts` alone."""
    return int(content_key(*parts)[:8], 16) / 2**32


def _ended_early(text: str, reason: FinishReason, request: Generate) -> tuple[str, FinishReason]:
    """End a reply at the first word after which its verdict is settled."""
    if request.lost is None:
        return text, reason
    for word in re.finditer(r"\S+\s*", text):
        if word.end() < len(text) and request.lost(text[: word.end()]):
            return text[: word.end()], FinishReason.EARLY_EXIT
    return text, reason


def _cut(reply: str, request: Generate) -> tuple[str, FinishReason]:
    """Cut a reply at the first stop string, and at `max_tokens` words (the end of turn counts as one)."""
    stops = [at for stop in request.generation.stop if (at := reply.find(stop)) >= 0]
    text = reply[: min(stops)] if stops else reply
    words = [match.end() for match in re.finditer(r"\S+", text)]
    limit = request.generation.max_tokens
    if len(words) > limit:
        return text[: words[limit - 1]], FinishReason.LENGTH
    if stops:
        return text, FinishReason.STOP
    return text, FinishReason.LENGTH if len(words) == limit else FinishReason.END_TURN
