"""What a tokenizer's chat template does: rendering, end-of-turn tokens, generation markers.

Comes in: a tokenizer with a chat template. Goes out: `ChatTemplate`, which renders and encodes conversations and knows
which tokens end an assistant's turn, found by rendering a probe and not by trusting `eos_token`.
"""

from __future__ import annotations

import copy
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Messages = Sequence[dict[str, Any]]
    Tools = list[dict[str, Any]] | None

_MARKER = re.compile(r"\{%-?\s*generation\s*-?%\}")
# Letters only: no tokenizer, trim filter or template logic has a reason to touch them.
_PROBES = ("xqzvk", "jwqpx", "vzkqj", "qxjwz", "kzpvq", "zqwxv")


# Texts whose ids are kept: the ends of generation prompts, and whole prompts of templates without special tokens.
_PIECES = 4096


class RenderError(Exception):
    """The template cannot render this conversation; the message is the reason."""


@dataclass(frozen=True)
class ChatTemplate:
    """A tokenizer's chat template. Make it with `chat_template`.

    Attributes:
        tokenizer: A transformers tokenizer.
        stop_ids: Ids of the tokens that the template writes after an assistant's content, sorted.
        specials: Texts of the special tokens, which no turn's content may hold; longest first.
        markers: True when the template has `{% generation %}` markers.
        fingerprint: sha256 of the template's text.
    """

    tokenizer: Any
    stop_ids: tuple[int, ...]
    specials: tuple[str, ...]
    markers: bool
    fingerprint: str
    _roles: dict[tuple[str, ...], str] = field(default_factory=dict, repr=False)
    _pieces: dict[str, list[int]] = field(default_factory=dict, repr=False)
    _encode: Callable[[str], list[int]] | None = field(default=None, repr=False)

    def render(self, messages: Messages, *, prompt: bool = False, tools: Tools = None) -> str:
        """Return the chat as text; with `prompt`, ending in the generation prompt. Raises RenderError."""
        return _render(self.tokenizer, messages, prompt=prompt, tools=tools)

    def marked(self, messages: Messages, tools: Tools = None) -> list[tuple[int, int]]:
        """Return the character spans between generation markers."""
        from transformers.utils.chat_template_utils import render_jinja_template

        _, spans = render_jinja_template(
            conversations=[list(messages)],
            tools=tools,
            chat_template=self.tokenizer.chat_template,
            return_assistant_tokens_mask=True,
            **self.tokenizer.special_tokens_map,
        )
        return [(int(start), int(end)) for start, end in spans[0]]

    def encode(self, text: str) -> list[int]:
        """Return the ids of rendered text; the template has already written the special tokens."""
        if self._encode is not None:
            return self._encode(text)
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def prefix_ids(self, text: str, ids: list[int], start: int) -> list[int]:
        """Return `encode(text[:start])`, where `ids` is `encode(text)`, without encoding it again.

        Special tokens cut a text before anything else is done to it, so what stands before the last one has the ids
        that it has in the whole; only the rest is encoded, and for most templates that is always the same few words.
        """
        place, special = max((text.rfind(special, 0, start), special) for special in self.specials)
        if place < 0 or place + len(special) > start:
            return self.encode(text[:start])
        (token,) = self._known(special)
        count = text.count(special, 0, place)
        at = [index for index, each in enumerate(ids) if each == token][count : count + 1]
        return ids[: at[0]] + self._known(text[place:start]) if at else self.encode(text[:start])

    def _known(self, text: str) -> list[int]:
        if text not in self._pieces:
            if len(self._pieces) >= _PIECES:
                self._pieces.clear()
            self._pieces[text] = self.encode(text)
        return self._pieces[text]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens included."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def dropped_role(self, roles: tuple[str, ...]) -> str:
        """Return the first role whose turn the template leaves out of a conversation of these roles; "" if none."""
        if roles not in self._roles:
            probes = [f"{_PROBES[i % len(_PROBES)]}{'v' * (i // len(_PROBES))}k" for i in range(len(roles))]
            text = self.render([{"role": r, "content": p} for r, p in zip(roles, probes, strict=True)])
            self._roles[roles] = first_missing(text, roles, probes)
        return self._roles[roles]


def chat_template(tokenizer: Any, reference: str) -> ChatTemplate:
    """Study a tokenizer's template.

    Raises:
        ModelError: There is no template, or no token of the vocabulary ends an assistant's turn.
    """
    if not isinstance(tokenizer.chat_template, str):
        found = "no chat template" if tokenizer.chat_template is None else "several chat templates"
        raise ModelError(Fault(reference, found, "a tokenizer with one chat template", "Train from an instruct model"))
    return ChatTemplate(
        tokenizer,
        _stop_ids(tokenizer, reference),
        tuple(_special_texts(tokenizer)),
        bool(_MARKER.search(tokenizer.chat_template)),
        hashlib.sha256(tokenizer.chat_template.encode()).hexdigest(),
        _encode=_direct(tokenizer),
    )


def _direct(tokenizer: Any) -> Callable[[str], list[int]] | None:
    """Return the Rust tokenizer's own way to encode, a third faster; None if there is none.

    A copy, so that neither truncation and padding of its file nor those that somebody sets later have a say.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    own = copy.deepcopy(backend)
    own.no_truncation()
    own.no_padding()

    def encode(text: str) -> list[int]:
        ids: list[int] = own.encode(text, add_special_tokens=False).ids
        return ids

    return encode


def _special_texts(tokenizer: Any) -> list[str]:
    """Return the texts of the special tokens: those that must not appear inside a turn's content."""
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    return sorted({*added, *tokenizer.all_special_tokens}, key=len, reverse=True)


def _render(tokenizer: Any, messages: Messages, *, prompt: bool, tools: Tools = None) -> str:
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(
            list(messages), tools=tools, tokenize=False, add_generation_prompt=prompt
        )
    except (TemplateError, TypeError) as error:
        raise RenderError(f"the chat template refuses it: {error}") from None
    return text


def _stop_ids(tokenizer: Any, reference: str) -> tuple[int, ...]:
    user, first, again, second = _PROBES[:4]
    turns = [("user", user), ("assistant", first), ("user", again), ("assistant", second)]
    try:
        text = _render(tokenizer, [{"role": role, "content": content} for role, content in turns], prompt=False)
    except RenderError as error:
        raise ModelError(Fault(reference, str(error), "a chat template for user and assistant turns")) from None
    if not all(content in text for _, content in turns):
        raise ModelError(Fault(reference, "a chat template that leaves out text turns", "one that writes every turn"))
    found = {_special_after(tokenizer, text, first, again), _special_after(tokenizer, text, second, None)}
    if None in found:
        after = text[text.rindex(second) + len(second) :]
        raise ModelError(
            Fault(
                reference,
                f"a chat template that writes {after!r} after the assistant's last turn",
                "an end-of-turn token of the tokenizer there",
                "Without one the model never learns to stop; use a template that ends each turn with a special token",
            )
        )
    return tuple(sorted({stop for stop in found | {_stop_after_call(tokenizer)} if stop is not None}))


def _stop_after_call(tokenizer: Any) -> int | None:
    """Return the token that ends a turn of tool calls, which some templates end in another way; None if there is none.

    GPT-OSS ends calls with `<|call|>` and answers with `<|return|>`.
    """
    user, name, argument = _PROBES[:3]
    call = {"id": "call00000", "type": "function", "function": {"name": name, "arguments": {argument: argument}}}
    messages: Messages = [
        {"role": "user", "content": user},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    try:
        text = _render(tokenizer, messages, prompt=False).rstrip()
    except RenderError:
        return None
    if name not in text:
        return None
    return next((tokenizer.get_vocab()[s] for s in _special_texts(tokenizer) if text.endswith(s)), None)


def _special_after(tokenizer: Any, text: str, answer: str, before: str | None) -> int | None:
    """Return the id of the first special token after `answer`, which must come before `before`."""
    start = text.index(answer) + len(answer)
    tail = text[start : text.find(before) if before else len(text)]
    ids = tokenizer.get_vocab()
    places = [(place, ids[special]) for special in _special_texts(tokenizer) if (place := tail.find(special)) >= 0]
    place, stop = min(places, default=(0, None))
    return stop if not tail[:place].strip() else None


def first_missing(text: str, roles: Sequence[str], contents: Sequence[str]) -> str:
    """Return the role of the first content that does not stand in the text after the ones before it; "" if none."""
    place = 0
    for role, probe in zip(roles, contents, strict=True):
        place = text.find(probe, place)
        if place < 0:
            return role
        place += len(probe)
    return ""
