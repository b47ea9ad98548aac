"""The mask engine: one conversation to token ids and labels, for any chat template.

Comes in: messages and a `ChatTemplate`. Goes out: `Encoded`, or `MaskError` with the reason; never a guess. An
assistant's span starts exactly where the rendered generation prompt ends and runs through its end-of-turn token, so the
prompt that trains is the prompt that generates (checked on token ids) and the model learns to stop.

Spans come from the template's generation markers where their boundaries obey that rule, else from rendering the
conversation up to each assistant turn. Either way the labelled ids are decoded and compared with the rendered text.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sfteval.train.template import RenderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.train.config import LossOn
    from sfteval.train.rows import Turn
    from sfteval.train.template import ChatTemplate

IGNORED = -100


class MaskError(Exception):
    """This conversation cannot be masked for certain; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation as the trainer takes it.

    Attributes:
        ids: Token ids of the whole rendered chat.
        labels: `ids` where the loss counts, `IGNORED` elsewhere; same length.
        spans: Token ranges [start, end) of the assistant's turns, end-of-turn token included.
        source: Where the spans came from.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    source: Literal["markers", "prefixes"]

    @property
    def trained(self) -> int:
        """How many labels count in the loss (the first token is never predicted)."""
        return sum(label != IGNORED for label in self.labels[1:])


def encode(turns: Sequence[Turn], template: ChatTemplate, loss_on: LossOn = "assistant") -> Encoded:
    """Encode one conversation.

    Raises:
        MaskError: The template cannot render it, drops or changes a turn, is not prefix-stable, writes no end-of-turn
            token, or the ids do not decode to the text.
    """
    _refuse_special(turns, template)
    try:
        _refuse_dropped(turns, template)
        text = template.render(_messages(turns))
        starts, source = _starts(turns, text, template)
    except RenderError as error:
        raise MaskError(str(error)) from None
    ids = template.encode(text)
    answers = [turn.content for turn in turns if turn.role == "assistant"]
    spans = [_span(text, ids, start, answer, template) for start, answer in zip(starts, answers, strict=True)]
    return Encoded(tuple(ids), _labels(ids, spans, loss_on), tuple(spans), source)


def _messages(turns: Sequence[Turn]) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _refuse_special(turns: Sequence[Turn], template: ChatTemplate) -> None:
    for index, turn in enumerate(turns):
        inside = [special for special in template.specials if special in turn.content]
        if inside:
            raise MaskError(f"message {index}: the content holds the special token {inside[0]!r}")


def _refuse_dropped(turns: Sequence[Turn], template: ChatTemplate) -> None:
    role = template.dropped_role(tuple(turn.role for turn in turns))
    if role:
        raise MaskError(f"the chat template drops the {role} turn")


def _starts(
    turns: Sequence[Turn], text: str, template: ChatTemplate
) -> tuple[list[int], Literal["markers", "prefixes"]]:
    """Return the character where each assistant turn starts."""
    if template.markers:
        marked = _marker_starts(turns, text, template)
        if marked is not None:
            return marked, "markers"
    return _prefix_starts(turns, text, template), "prefixes"


def _marker_starts(turns: Sequence[Turn], text: str, template: ChatTemplate) -> list[int] | None:
    """Return the markers' starts, or None when a boundary is wrong: late, early, or without the end of the turn."""
    spans = template.marked(_messages(turns))
    places = [index for index, turn in enumerate(turns) if turn.role == "assistant"]
    if len(spans) != len(places):
        return None
    for (start, end), place in zip(spans, places, strict=True):
        prompt = prompt_text(turns[:place], template)
        stops = [template.decode([stop]) for stop in template.stop_ids]
        if not text[:start].endswith(prompt) or not any(text[start:end].rstrip().endswith(stop) for stop in stops):
            return None
    return [start for start, _ in spans]


def prompt_text(before: Sequence[Turn], template: ChatTemplate) -> str:
    """Return the generation prompt alone, as rendered after these turns."""
    messages = _messages(before)
    closed, opened = template.render(messages), template.render(messages, prompt=True)
    if not opened.startswith(closed) or opened == closed:
        return opened
    return opened[len(closed) :]


def _prefix_starts(turns: Sequence[Turn], text: str, template: ChatTemplate) -> list[int]:
    starts = []
    for index, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        prefix = template.render(_messages(turns[:index]), prompt=True)
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


def _span(text: str, ids: list[int], start: int, answer: str, template: ChatTemplate) -> tuple[int, int]:
    """Return the token range of the turn that starts at character `start`."""
    prefix = template.encode(text[:start])
    first = len(prefix)
    if ids[:first] != prefix:
        raise MaskError(f"one token joins the end of the prompt and the start of the answer {_short(answer)}")
    last = next((place for place in range(first, len(ids)) if ids[place] in template.stop_ids), None)
    if last is None:
        raise MaskError(f"no end-of-turn token follows the answer {_short(answer)}")
    written = text[start:].partition(template.decode([ids[last]]))[0]
    if not written.strip().endswith(answer.strip()):
        raise MaskError(f"the chat template changes the answer {_short(answer)} to {_short(written)}")
    decoded = template.decode(ids[first:last])
    if normal_text(decoded) != normal_text(written):
        raise MaskError(f"the tokenizer cannot express the answer {_short(written)}: it decodes to {_short(decoded)}")
    return first, last + 1


def normal_text(text: str) -> str:
    """Return text without what tokenizers change by design: Unicode form, and the space before a first word."""
    return unicodedata.normalize("NFKC", text).strip()


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _labels(ids: Sequence[int], spans: Sequence[tuple[int, int]], loss_on: LossOn) -> tuple[int, ...]:
    chosen = {"assistant": spans, "last_assistant": spans[-1:], "all": [(0, len(ids))]}[loss_on]
    labels = [IGNORED] * len(ids)
    for start, end in chosen:
        labels[start:end] = ids[start:end]
    return tuple(labels)
