"""What a model must be able to do, whoever serves it. Rank 0: types only.

`Tokenization` is the cheap half (no weights); `Backend` is a model that answers requests (see `sfteval.backends`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sfteval.records import Message, ModelIdentity, Request, Response

    OnBatch = Callable[[Sequence[Response]], None]


class Tokenization(Protocol):
    """Text to token ids and back, for one model.

    Attributes:
        prefix_token: Id that stands before an empty context (lm-eval's rule: bos, else eos).
        max_length: Longest sequence that the model takes, in tokens.
        vocabulary: Number of ids that the model's embedding knows.
    """

    prefix_token: int
    max_length: int
    vocabulary: int

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text, with the special tokens that the tokenizer adds by itself."""
        ...

    def encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return context and continuation ids as lm-eval's `_encode_pair` does (trailing spaces move right)."""
        ...

    def encode_rendered(self, text: str) -> list[int]:
        """Return the ids of a rendered chat; the template has already written the special tokens."""
        ...

    def encode_reply(self, messages: Sequence[Message], reply: str, *, ends: bool) -> tuple[list[int], list[int]]:
        """Return the ids of the rendered chat and of the assistant's `reply` to it, with its end of turn if `ends`.

        The chat's ids are those of `encode_rendered(render(messages))`: what the model is given before it answers.

        Raises:
            InputError: No chat template, a control token in a content, or `ends` where a turn has no end token.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids` without special tokens."""
        ...

    def without_control(self, text: str) -> str:
        """Return text without the control tokens that it spells out, so that it can be a message's content."""
        ...

    def render(self, messages: Sequence[Message]) -> str:
        """Return the chat as text, ending with the generation prompt. Raises InputError if there is no template."""
        ...


class Backend(Protocol):
    """A model that answers requests. Constructing one loads no weights; the first `respond` does."""

    identity: ModelIdentity
    text: Tokenization

    def respond(self, requests: Sequence[Request], on_batch: OnBatch) -> None:
        """Answer every request once, in any order, handing responses over in batches as they are done.

        A request that cannot be answered comes back with `Response.failure` set; nothing is raised per request.
        """
        ...

    def close(self) -> None:
        """Free the weights."""
        ...
