"""Text to token ids and back, with the model's own tokenizer.

Comes in: a `ModelReference` with a tokenizer. Goes out: `HubTokenization`, which does exactly what lm-eval 0.4.13
does (`lm_eval/api/model.py` `TemplateLM._encode_pair`, `lm_eval/models/huggingface.py` `HFLM.tok_encode`), renders
chats through the tokenizer's sandboxed template, and knows at which tokens an assistant's turn ends.

A message whose content holds a control token (`<|im_end|>` in a user's text) is refused: encoded as it stands it
would end the turn or open another one, and nobody would see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.backends.tokenizer_files import (
    UNSET_LENGTH,
    default_template,
    embedding_rows,
    generation_eos,
    load_config,
    load_tokenizer,
    max_length,
    virtual_tokens,
)
from sfteval.errors import Fault, InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.backends.references import ModelReference
    from sfteval.records import Message

# Llama 3's template writes today's date unless told another: prompts would differ from one day to the next.
PINNED = {"date_string": "26 Jul 2024"}


class HubTokenization:
    """A `Tokenization` on transformers' AutoTokenizer (no remote code).

    Attributes:
        prefix_token: Id that stands before an empty context: bos, else eos.
        max_length: Longest sequence that the model takes, in tokens.
        vocabulary: Number of ids that the model's embedding knows.
        template: Text of the chat template in use, None if there is none.
        special: Ids of the special tokens, which `decode` leaves out, by their text.
        end_of_turn: Ids that end an assistant's turn: the eos of generation_config (else of config) and of the
            tokenizer, and the token that the template writes after an assistant's words.
        borrowed_stops: Those that only a template from elsewhere adds.
    """

    def __init__(self, reference: ModelReference, *, template: str | None = None) -> None:
        """Load the tokenizer and the configuration of `reference`.

        Args:
            reference: A resolved model.
            template: Chat template for a tokenizer that has none (the candidate's, for a base).

        Raises:
            ModelError: The tokenizer cannot be loaded, or has ids that the embedding does not know.
        """
        self._where = str(reference.tokenizer)
        self._tokenizer = load_tokenizer(reference.tokenizer)
        config = load_config((reference.base or reference).path)
        self.vocabulary = embedding_rows(reference, config)
        self._check_vocabulary()
        self.max_length = max_length(config, self._tokenizer) - virtual_tokens(reference)
        self._tokenizer.model_max_length = UNSET_LENGTH
        own = default_template(self._tokenizer)
        self.template = own or template
        self._tokenizer.chat_template = self.template
        self.prefix_token = self._prefix_token()
        self._prefix_text = str(self._tokenizer.decode([self.prefix_token]))
        self.special = special_ids(self._tokenizer)
        self._control, self._markup = _control_tokens(self._tokenizer, self.template)
        fixed = _ids(generation_eos((reference.base or reference).path, config)) | _ids(self._tokenizer.eos_token_id)
        self._end = self._turn_end() if self.template else None
        ends = _ids(self._end)
        self.end_of_turn = frozenset(fixed | ends)
        self.borrowed_stops = frozenset(ends - fixed) if own is None else frozenset[int]()

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text, with what the tokenizer adds (no second bos where the text starts with it)."""
        adds = {"add_special_tokens": False} if text.startswith(self._prefix_text) else {}
        return list(self._tokenizer.encode(text, **adds))

    def encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return context and continuation ids as lm-eval's `_encode_pair` does (trailing spaces move right)."""
        if not context:
            msg = "the context is empty; the request stage puts the prefix token there"
            raise ValueError(msg)
        spaces = len(context) - len(context.rstrip())
        if spaces:
            continuation = context[-spaces:] + continuation
            context = context[:-spaces]
        head = self.encode(context)
        return head, self.encode(context + continuation)[len(head) :]

    def encode_rendered(self, text: str) -> list[int]:
        """Return the ids of a rendered chat: special tokens in the text are parsed, none are added."""
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def encode_reply(self, messages: Sequence[Message], reply: str, *, ends: bool) -> tuple[list[int], list[int]]:
        """Return the ids of the rendered chat and of the assistant's reply to it, with its end of turn if `ends`.

        The reply's ids are those of the whole text after the chat's, as long as the chat's ids stay what they are
        when the reply follows; else the reply is encoded by itself.

        Raises:
            InputError: As `render`; a control token in the reply; `ends` where the template writes no end token.
        """
        rendered = self.render(messages)
        inside = sorted(token for token in self._control if token in reply)
        if inside:
            found = f"the control token {inside[0]} in the reply {_excerpt(reply, inside[0])!r}"
            raise InputError(Fault("a reply to be scored", found, "plain text", "Take it out or spell it otherwise."))
        end = [self._end] if ends else []
        if end == [None]:
            advice = "Score replies without their end."
            raise InputError(Fault(self._where, "a chat template that ends no turn with a token", "one", advice))
        prompt = self.encode_rendered(rendered)
        whole = self.encode_rendered(rendered + reply)
        ids = whole[len(prompt) :] if whole[: len(prompt)] == prompt else self.encode_rendered(reply)
        return prompt, ids + [one for one in end if one is not None]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids` without special tokens, spaces as they are."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def without_control(self, text: str) -> str:
        """Return the text without the control tokens that it spells out, as an assistant's content must be."""
        while inside := next((token for token in self._control if token in text), None):
            text = text.replace(inside, "")
        return text

    def render(self, messages: Sequence[Message]) -> str:
        """Return the chat as text, ending with the generation prompt.

        Raises:
            InputError: There is no template, it refuses these messages, or a content holds a control token.
        """
        if not self.template:
            advice = "Save the tokenizer with a chat_template, or compare with a candidate that has one."
            raise InputError(Fault(self._where, "a tokenizer without a chat template", "a chat template", advice))
        self._refuse_control_tokens(messages)
        chat = [{"role": message.role, "content": message.content} for message in messages]
        return self._apply(chat, add_generation_prompt=True)

    def _apply(self, chat: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        import jinja2

        try:
            return str(
                self._tokenizer.apply_chat_template(
                    chat, tokenize=False, add_generation_prompt=add_generation_prompt, **PINNED
                )
            )
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(message["role"] for message in chat)
            found = f"a chat template that refuses the roles {roles} ({error})"
            advice = "Change the messages' roles (or leave out `system`), or the template."
            raise InputError(Fault(self._where, found, "a template that renders them", advice)) from error

    def _refuse_control_tokens(self, messages: Sequence[Message]) -> None:
        for number, message in enumerate(messages, start=1):
            tokens = self._control if message.role == "assistant" else self._control | self._markup
            inside = sorted(token for token in tokens if token in message.content)
            if inside:
                where = f"message {number} ({message.role})"
                found = f"the control token {inside[0]} in the content {_excerpt(message.content, inside[0])!r}"
                advice = "Take it out or spell it otherwise: it would steer the model instead of being read."
                raise InputError(Fault(where, found, "plain text", advice))

    def _check_vocabulary(self) -> None:
        highest = max(self._tokenizer.get_vocab().values(), default=-1)
        if highest >= self.vocabulary:
            found = f"a tokenizer with ids up to {highest}, and an embedding of {self.vocabulary} rows"
            advice = "Save the tokenizer that the model was trained with, or resize the embedding and train it."
            raise ModelError(Fault(self._where, found, "every token id to have a row in the embedding", advice))

    def _prefix_token(self) -> int:
        for token in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        advice = "Set bos_token or eos_token in tokenizer_config.json."
        raise ModelError(Fault(self._where, "neither a bos nor an eos token", "one of them", advice))

    def _turn_end(self) -> int | None:
        """Return the first added token after an assistant's words in a rendered chat, None if there is none."""
        words = "Quokka"
        turn = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": words}]
        try:
            after = self._apply(turn + turn, add_generation_prompt=False).partition(words)[2]
        except InputError:
            return None
        ids = self.encode_rendered(after.lstrip())
        return ids[0] if ids and ids[0] in self._tokenizer.added_tokens_decoder else None


def special_ids(tokenizer: Any) -> dict[str, int]:
    """Return the ids of the special tokens, which decoding leaves out, by their text."""
    return {token.content: number for number, token in tokenizer.added_tokens_decoder.items() if token.special}


def _ids(value: int | Sequence[int] | None) -> set[int]:
    if value is None:
        return set()
    return {value} if isinstance(value, int) else {int(one) for one in value}


def _control_tokens(tokenizer: Any, template: str | None) -> tuple[frozenset[str], frozenset[str]]:
    """Return the special tokens, and the other added tokens that the template writes (`<think>`, `<tool_call>`).

    The second kind is markup that an assistant's turn may rightly hold.
    """
    added = [token for token in tokenizer.added_tokens_decoder.values() if not token.content.isspace()]
    special = frozenset(token.content for token in added if token.special)
    return special, frozenset(t.content for t in added if not t.special and template and t.content in template)


def _excerpt(content: str, token: str) -> str:
    at = content.index(token)
    return content[max(0, at - 20) : at + len(token) + 20]
