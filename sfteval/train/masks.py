"""The mask engine: one conversation to token ids and labels, for any chat template.

Comes in: messages and a `ChatTemplate`. Goes out: `Encoded`, or `MaskError` with the reason; never a guess. An
assistant's span starts exactly where the rendered generation prompt ends and runs through its end-of-turn token, so the
prompt that trains is the prompt that generates (checked on token ids) and the model learns to stop.

Spans come from the template's generation markers where their boundaries obey that rule, else from rendering the
conversation up to each assistant turn. Either way the labelled ids are decoded and compared with the rendered text.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sfteval.train.template import RenderError, first_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.train.data_config import LossOn
    from sfteval.train.rows import Turn
    from sfteval.train.template import ChatTemplate, Tools

IGNORED = -100


class MaskError(Exception):
    """This conversation cannot be masked for certain; the message is the reason. `kind`: special or mask."""

    def __init__(self, reason: str, kind: str = "mask") -> None:
        """Take the reason and what the audit counts it as."""
        super().__init__(reason)
        self.kind = kind


Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation as the trainer takes it.

    Attributes:
        ids: Token ids of the whole rendered chat.
        labels: `ids` where the loss counts, `IGNORED` elsewhere; same length.
        spans: Token ranges [start, end) of the assistant's turns, end-of-turn token included.
        source: Where the spans came from.
        learned: Token ranges that count fully in the loss.
        prompt_weight: Weight in the loss of all other tokens; above 0 they have labels too.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    spans: tuple[Span, ...]
    source: Literal["markers", "prefixes"]
    learned: tuple[Span, ...] = ()
    prompt_weight: float = 0.0

    @property
    def trained(self) -> int:
        """How many labels count fully in the loss (the first token is never predicted)."""
        return sum(end - max(start, 1) for start, end in self.learned)

    @property
    def weights(self) -> list[float]:
        """The weight of each token in the loss."""
        weights = [self.prompt_weight] * len(self.ids)
        for start, end in self.learned:
            weights[start:end] = [1.0] * (end - start)
        return weights


def encode(
    turns: Sequence[Turn],
    template: ChatTemplate,
    loss_on: LossOn = "assistant",
    *,
    tools: Tools = None,
    prompt_weight: float = 0.0,
) -> Encoded:
    """Encode one conversation.

    Raises:
        MaskError: The template cannot render it, drops or changes a turn, is not prefix-stable, writes no end-of-turn
            token, or the ids do not decode to the text.
    """
    _refuse_special(turns, template, tools)
    try:
        text = template.render(_messages(turns), tools=tools)
        _refuse_dropped(turns, template, text, tools)
        starts, source = _starts(turns, text, template, tools)
    except RenderError as error:
        raise MaskError(str(error)) from None
    ids = template.encode(text)
    chat = _Chat(turns, template, text, ids, tools)
    answers = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
    spans = tuple(
        _span(chat, start, index, whole=loss_on != "last_assistant" or index == answers[-1])
        for start, index in zip(starts, answers, strict=True)
    )
    learned = {"assistant": spans, "last_assistant": spans[-1:], "all": ((0, len(ids)),)}[loss_on]
    return Encoded(tuple(ids), labels_of(ids, learned, prompt_weight), spans, source, learned, prompt_weight)


@dataclass(frozen=True, slots=True)
class _Chat:
    """A rendered conversation."""

    turns: Sequence[Turn]
    template: ChatTemplate
    text: str
    ids: list[int]
    tools: Tools

    def bound(self, index: int) -> int:
        """Return a character up to which the text is that of the turns up to `index` alone."""
        alone = self.template.render(_messages(self.turns[: index + 1]), tools=self.tools)
        pairs = enumerate(zip(alone, self.text, strict=False))
        return next((place for place, (a, b) in pairs if a != b), min(len(alone), len(self.text)))


def _messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    return [turn.message for turn in turns]


def _refuse_special(turns: Sequence[Turn], template: ChatTemplate, tools: Tools) -> None:
    for index, turn in enumerate(turns):
        inside = [special for special in template.specials if special in turn.content or special in turn.more]
        if inside:
            raise MaskError(f"message {index}: the content holds the special token {inside[0]!r}", "special")
    if tools:
        written = json.dumps(tools, ensure_ascii=False)
        inside = [special for special in template.specials if special in written]
        if inside:
            raise MaskError(f"the tools hold the special token {inside[0]!r}", "special")


def _refuse_dropped(turns: Sequence[Turn], template: ChatTemplate, text: str, tools: Tools) -> None:
    roles = tuple(turn.role for turn in turns)
    if tools or any(turn.more for turn in turns):
        # Probes have no calls to answer, and templates refuse such turns: the row itself is looked for. JSON forms
        # of a tool's answer are the template's business.
        spoken = [turn for turn in turns if turn.role != "tool"]
        role = first_missing(text, [turn.role for turn in spoken], [_core(turn) for turn in spoken])
    else:
        role = template.dropped_role(roles)
    if role:
        raise MaskError(f"the chat template drops the {role} turn")
    missing = [tool["function"]["name"] for tool in tools or () if tool["function"]["name"] not in text]
    if missing:
        raise MaskError(f"the chat template drops the tools ({missing[0]!r} is not in the rendered chat)")


def _core(turn: Turn) -> str:
    """Return what no template has a reason to touch: the content after a thought, without outer space."""
    return turn.content.rpartition("</think>")[2].strip()


def _starts(
    turns: Sequence[Turn], text: str, template: ChatTemplate, tools: Tools
) -> tuple[list[int], Literal["markers", "prefixes"]]:
    """Return the character where each assistant turn starts."""
    if template.markers:
        marked = _marker_starts(turns, text, template, tools)
        if marked is not None:
            return marked, "markers"
    return _prefix_starts(turns, text, template, tools), "prefixes"


def _marker_starts(turns: Sequence[Turn], text: str, template: ChatTemplate, tools: Tools) -> list[int] | None:
    """Return the markers' starts, or None when a boundary is wrong: late, early, or without the end of the turn."""
    spans = template.marked(_messages(turns), tools)
    places = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
    if len(spans) != len(places):
        return None
    for (start, end), place in zip(spans, places, strict=True):
        prompt = prompt_text(turns[:place], template, tools)
        stops = [template.decode([stop]) for stop in template.stop_ids]
        if not text[:start].endswith(prompt) or not any(text[start:end].rstrip().endswith(stop) for stop in stops):
            return None
    return [start for start, _ in spans]


def prompt_text(before: Sequence[Turn], template: ChatTemplate, tools: Tools = None) -> str:
    """Return the generation prompt alone, as rendered after these turns."""
    messages = _messages(before)
    closed = template.render(messages, tools=tools)
    opened = template.render(messages, prompt=True, tools=tools)
    if not opened.startswith(closed) or opened == closed:
        return opened
    return opened[len(closed) :]


def _prefix_starts(turns: Sequence[Turn], text: str, template: ChatTemplate, tools: Tools) -> list[int]:
    starts = []
    for index, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        prefix = template.render(_messages(turns[:index]), prompt=True, tools=tools)
        if not text.startswith(prefix):
            raise MaskError(_unstable(index, prefix, text))
        starts.append(len(prefix))
    return starts


def _unstable(index: int, prefix: str, text: str) -> str:
    same = next((i for i, (a, b) in enumerate(zip(prefix, text, strict=False)) if a != b), min(len(prefix), len(text)))
    prompt, whole = prefix[same : same + 30], text[same : same + 30]
    return (
        f"message {index}: the chat template is not prefix-stable: the prompt that would be generated from has "
        f"{prompt!r} where the whole chat has {whole!r}"
    )


def _span(chat: _Chat, start: int, index: int, *, whole: bool) -> Span:
    """Return the token range of the turn that starts at character `start`; with `whole`, no part of it may be gone."""
    text, ids, template, turn = chat.text, chat.ids, chat.template, chat.turns[index]
    answer = turn.content
    prefix = template.prefix_ids(text, ids, start)
    first = len(prefix)
    if ids[:first] != prefix:
        raise MaskError(f"one token joins the end of the prompt and the start of the answer {_short(answer)}")
    last, written = _end(chat, start, first, index)
    lost = lost_part(turn, written) if whole else ""
    if lost:
        raise MaskError(f"the chat template drops the {lost} of the answer {_short(written)}")
    if not turn.more and whole and not written.strip().endswith(answer.strip()):
        raise MaskError(f"the chat template changes the answer {_short(answer)} to {_short(written)}")
    decoded = template.decode(ids[first:last])
    if normal_text(decoded) != normal_text(written):
        raise MaskError(f"the tokenizer cannot express the answer {_short(written)}: it decodes to {_short(decoded)}")
    return first, last + 1


def _end(chat: _Chat, start: int, first: int, index: int) -> tuple[int, str]:
    """Return the token that ends the turn and the text before it.

    That is the first end-of-turn token, or, where a turn has several parts (reasoning, calls) that the template ends
    one by one, the first one behind all of them and before the next turn.
    """
    text, ids, template, turn = chat.text, chat.ids, chat.template, chat.turns[index]
    found: list[tuple[int, str]] = []
    character, bound = start, len(text)
    for place in range(first, len(ids)):
        if ids[place] in template.stop_ids:
            stop = template.decode([ids[place]])
            character = text.index(stop, character)
            if character >= bound:
                break
            found.append((place, text[start:character]))
            if not turn.more or not lost_part(turn, found[-1][1]):
                return found[-1]
            bound = chat.bound(index) if bound == len(text) else bound
            character += len(stop)
    if not found:
        raise MaskError(f"no end-of-turn token follows the answer {_short(turn.content)}")
    return found[0]


def lost_part(turn: Turn, written: str) -> str:
    """Return which part of an assistant's turn the rendered text lacks: reasoning, a tool call; "" if none."""
    fields = turn.fields
    for name in ("reasoning_content", "thinking"):
        if fields.get(name, "").strip() not in written:
            return "reasoning"
    for call in fields.get("tool_calls", ()):
        function = call["function"]
        texts = [function["name"], *function["arguments"]]
        texts += [value for value in function["arguments"].values() if isinstance(value, str)]
        for text in texts:
            if text not in written and not any(form in written for form in _json_forms(text)):
                return f"tool call {function['name']!r}"
    return "" if turn.content.strip() in written or not fields else "content"


def _json_forms(text: str) -> list[str]:
    return [json.dumps(text, ensure_ascii=ascii)[1:-1] for ascii in (False, True)]


def normal_text(text: str) -> str:
    """Return text without what tokenizers change by design: Unicode form, and the space before a first word."""
    return unicodedata.normalize("NFKC", text).strip()


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def labels_of(ids: Sequence[int], learned: Sequence[Span], prompt_weight: float = 0.0) -> tuple[int, ...]:
    """Return the labels of ids of which these ranges count fully."""
    if prompt_weight:
        return tuple(ids)
    labels = [IGNORED] * len(ids)
    for start, end in learned:
        labels[start:end] = ids[start:end]
    return tuple(labels)
