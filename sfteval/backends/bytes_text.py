"""Byte-level tokenization for scripted models: an id per UTF-8 byte, three special ids, a ChatML template.

Comes in: text, messages. Goes out: ids in 0…258, the same for everybody; no library is needed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sfteval.errors import Fault, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.records import Message

SPECIAL = {256: "<|endoftext|>", 257: "<|im_start|>", 258: "<|im_end|>"}
IDS = {text: number for number, text in SPECIAL.items()}
SPLIT = re.compile("(" + "|".join(re.escape(text) for text in IDS) + ")")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class ByteTokenization:
    """A `Tokenization` whose ids are bytes."""

    def __init__(self, *, max_length: int = 1_000_000) -> None:
        """Take the longest sequence in tokens."""
        self.prefix_token = IDS["<|endoftext|>"]
        self.max_length = max_length
        self.vocabulary = 256 + len(SPECIAL)

    def encode(self, text: str) -> list[int]:
        """Return the bytes; special tokens in the text stay text."""
        return list(text.encode())

    def encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return the bytes of both; trailing spaces of the context move right."""
        head = context.rstrip()
        return self.encode(head), self.encode(context[len(head) :] + continuation)

    def encode_rendered(self, text: str) -> list[int]:
        """Return the ids of a rendered chat; special tokens are one id each."""
        parts = (part for part in SPLIT.split(text) if part)
        return [number for part in parts for number in ([IDS[part]] if part in IDS else part.encode())]

    def encode_reply(self, messages: Sequence[Message], reply: str, *, ends: bool) -> tuple[list[int], list[int]]:
        """Return the ids of the chat, and the bytes of the reply with `<|im_end|>` if `ends`."""
        end = [IDS["<|im_end|>"]] if ends else []
        return self.encode_rendered(self.render(messages)), self.encode(reply) + end

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text without special tokens; broken UTF-8 becomes U+FFFD."""
        return bytes(number for number in ids if number < 256).decode(errors="replace")

    def spell(self, ids: Sequence[int]) -> str:
        """Return the text with special tokens spelled out."""
        raw = b"".join(SPECIAL[number].encode() if number in SPECIAL else bytes([number]) for number in ids)
        return raw.decode(errors="replace")

    def without_control(self, text: str) -> str:
        """Return the text without special tokens, those that removing others brings about included."""
        while SPLIT.search(text):
            text = SPLIT.sub("", text)
        return text

    def render(self, messages: Sequence[Message]) -> str:
        """Return the chat as ChatML. Raises InputError when a content holds a special token."""
        for number, message in enumerate(messages, start=1):
            if inside := SPLIT.search(message.content):
                where = f"message {number} ({message.role})"
                found = f"the control token {inside.group()} in the content"
                raise InputError(Fault(where, found, "plain text", "Take it out or spell it otherwise."))
        turns = (f"<|im_start|>{message.role}\n{message.content}<|im_end|>\n" for message in messages)
        return "".join(turns) + "<|im_start|>assistant\n"
