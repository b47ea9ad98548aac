"""A model that a test talks to: chat, generate, score, in the middle of somebody's Python.

Comes in: a backend. Goes out: `Reply`s and log-likelihoods. The same question is asked once: answers are kept by their
content key, and questions known beforehand are answered together (`prefetch`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfteval.errors import EngineError, Fault, InputError
from sfteval.keys import model_fingerprint, pair_key
from sfteval.records import ChatAsk, Generation, Item, Message, ScoreAsk, TextAsk
from sfteval.requests import requests_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sfteval.pipeline.evaluate import Watch
    from sfteval.protocols import Backend
    from sfteval.records import Ask, FinishReason, Request, Response

SUITE = "live"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered.

    Attributes:
        text: The answer, without end-of-turn token or stop string.
        finish_reason: Why it ended.
        messages: The conversation that was answered; empty for plain text.
        prompt_tokens: Tokens of the prompt.
        output_tokens: Tokens generated.
    """

    text: str
    finish_reason: FinishReason | None
    messages: tuple[Message, ...] = ()
    prompt_tokens: int = 0
    output_tokens: int = 0

    def __str__(self) -> str:
        """Return the text."""
        return self.text


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """Natural log of a continuation's probability, summed over its `tokens`; whether it is what the model would say."""

    value: float
    is_greedy: bool
    tokens: int


class LiveModel:
    """One model, asked from tests."""

    def __init__(self, backend: Backend) -> None:
        """Take the backend; its weights are loaded at the first question."""
        self.backend = backend
        self._fingerprint = model_fingerprint(backend.identity)
        self._answers: dict[str, Response] = {}

    def __repr__(self) -> str:
        """Name the model."""
        return f"<model {self.backend.identity.reference}>"

    def chat(self, messages: str | Sequence[Message | Mapping[str, str]], **generation: Any) -> Reply:
        """Answer a conversation.

        Args:
            messages: One user message, or `{"role", "content"}` turns.
            **generation: Fields of `generate:` in suites: `max_tokens`, `temperature`, `seed`, `stop`, …

        Raises:
            InputError: messages or settings that cannot be used, or a model without a chat template.
            EngineError: the model could not answer.
        """
        ask = chat_ask(messages, generation)
        response = self._respond(ask)
        return _reply(response, ask.messages)

    def converse(
        self, messages: str | Sequence[Message | Mapping[str, str]], turns: Sequence[str], **generation: Any
    ) -> tuple[Reply, ...]:
        """Answer a conversation, then each user turn after the model's own answer to what came before.

        Args:
            messages: As `chat` takes them.
            turns: What the user says next, one after the other.
            **generation: As `chat` takes them.

        Returns:
            One reply per answer, the last one last. Raises as `chat` does.
        """
        first = chat_ask(messages, generation)
        replies = [self.chat(first.messages, **generation)]
        for turn in turns:
            said = self.backend.text.without_control(replies[-1].text)
            answer = Message.model_construct(role="assistant", content=said)  # may be empty
            so_far = (*replies[-1].messages, answer, Message(role="user", content=turn))
            replies.append(self.chat(so_far, **generation))
        return tuple(replies)

    def generate(self, prompt: str, **generation: Any) -> Reply:
        """Continue plain text, without a chat template. Raises as `chat` does."""
        return _reply(self._respond(TextAsk(prompt, _generation(generation))), ())

    def score(self, context: str, continuation: str) -> LogLikelihood:
        """Return the log-likelihood of `continuation` after `context`, as lm-eval's `loglikelihood`."""
        response = self._respond(ScoreAsk(context, continuation))
        assert response.loglikelihood is not None
        return LogLikelihood(response.loglikelihood, bool(response.is_greedy), response.output_tokens)

    def prefetch(self, asks: Iterable[Ask], watch: Watch | None = None) -> None:
        """Answer many questions together; a question that fails says so when it is asked."""
        wanted = {request.key: request for ask in asks for request in self._requests(ask)}
        pending = [request for key, request in wanted.items() if key not in self._answers]
        if not pending:
            return
        done = 0

        def on_batch(responses: Sequence[Response]) -> None:
            nonlocal done
            done += len(responses)
            self._answers.update((response.key, response) for response in responses)
            if watch is not None:
                watch("samples", done, len(pending))

        self.backend.respond(pending, on_batch)

    def close(self) -> None:
        """Free the weights."""
        self.backend.close()

    def _requests(self, ask: Ask) -> tuple[Request, ...]:
        item = Item(pair_key(SUITE, "", "", (ask,), 0), SUITE, "", "", (ask,))
        return requests_for(item, self.backend.text, self._fingerprint)[0].requests

    def _respond(self, ask: Ask) -> Response:
        (request,) = self._requests(ask)
        if request.key not in self._answers:
            self.backend.respond([request], lambda batch: self._answers.update((each.key, each) for each in batch))
        response = self._answers.get(request.key)
        if response is None:
            msg = f"{self.backend.identity.reference} never answered"
            raise EngineError(msg)
        if response.failure is not None:
            msg = f"{self.backend.identity.reference}: {response.failure.kind}: {response.failure.message}"
            raise EngineError(msg)
        return response


def chat_ask(messages: str | Sequence[Message | Mapping[str, str]], generation: Mapping[str, Any]) -> ChatAsk:
    """Return the question of a conversation. Raises InputError when it is none."""
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    try:
        read = tuple(turn if isinstance(turn, Message) else Message.model_validate(turn) for turn in turns)
    except (TypeError, ValueError) as error:
        raise InputError(Fault("messages", _first_line(error), '{"role": …, "content": …} turns')) from None
    if not read or read[-1].role == "assistant":
        expected = "turns that end with what the model must answer"
        raise InputError(Fault("messages", "no turn to answer", expected))
    return ChatAsk(read, _generation(generation))


def _generation(given: Mapping[str, Any]) -> Generation:
    if "stop" in given:
        given = {**given, "stop": tuple([given["stop"]] if isinstance(given["stop"], str) else given["stop"])}
    try:
        return Generation(**given)
    except ValueError as error:
        expected = "settings of generation: " + ", ".join(Generation.model_fields)
        raise InputError(Fault("generation", _first_line(error), expected)) from None


def _first_line(error: Exception) -> str:
    lines = str(error).split("\n")
    return " ".join(line.strip() for line in lines[1:3]) if len(lines) > 1 else lines[0]


def _reply(response: Response, messages: tuple[Message, ...]) -> Reply:
    return Reply(response.text or "", response.finish_reason, messages, response.prompt_tokens, response.output_tokens)
