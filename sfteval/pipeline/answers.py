"""Responses to answers: what checks judge, and what people are shown of it.

Comes in: an item that asks a chat or a dialogue, and the response of each of its turns. Goes out: the last `Answer`,
which holds the earlier ones; the author's words and the model's as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.checks import Answer
from sfteval.records import ChatAsk, DialogueAsk, Inquiry, Response
from sfteval.requests import STAND_IN, conversation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sfteval.records import ChatScoreAsk, Item, Message, ReplyAsk


def answer_of(item: Item, known: Mapping[Inquiry, tuple[Response, ...]]) -> Answer:
    """Return the last answer of an item's conversation, the model's earlier ones inside.

    The text is "" where none was generated (yet).
    """
    ask = item.asks[0]
    assert isinstance(ask, ChatAsk | DialogueAsk)
    earlier: tuple[Answer, ...] = ()
    for response in known.get(Inquiry(ask)) or (Response(""),):
        said = [answer.text for answer in earlier]
        answer = Answer(
            text=response.text or "",
            finish_reason=response.finish_reason,
            messages=conversation(ask, said) if isinstance(ask, DialogueAsk) else ask.messages,
            reference=item.reference,
            vars=item.vars,
            output_tokens=response.output_tokens,
            earlier=earlier,
            generation=ask.generation,
            responses=known,
        )
        earlier = (*earlier, answer)
    return earlier[-1]


def shown_prompt(ask: ChatAsk | ChatScoreAsk | DialogueAsk | ReplyAsk) -> str:
    """Return the author's words; a stand-in takes the place of a dialogue's own answers."""
    if not isinstance(ask, DialogueAsk):
        return _lines(ask.messages)
    return _lines(conversation(ask, [STAND_IN] * len(ask.turns)))


def shown_output(answer: Answer) -> str:
    """Return the answer; of a dialogue every one, by turn."""
    if not answer.earlier:
        return answer.text
    return "\n".join(f"[turn {number}] {each.text}" for number, each in enumerate((*answer.earlier, answer), start=1))


def _lines(messages: Sequence[Message]) -> str:
    return "\n".join(f"[{message.role}] {message.content}" for message in messages)
