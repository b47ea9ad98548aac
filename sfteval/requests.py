"""From asks to requests: text becomes the token ids of one model, under a content key.

Comes in: `Item`s and a model's `Tokenization`. Goes out: `Request`s, and the `prompt_key` that says whether two models
were shown the same tokens. Rolling windows are those of lm-eval 0.4.13 (`utils.get_rolling_token_windows`, then
`make_disjoint_window`): each token is scored once, with as much context as the last window leaves.

A dialogue's first request is known at once; each further one when the model has answered (`continued`). Its prompt key
hashes the author's turns around a stand-in for the answers, so that "same prompt" does not ask for same answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import TYPE_CHECKING

from sfteval.keys import content_key, generate_key, score_key
from sfteval.records import (
    ITSELF,
    ChatAsk,
    ChatScoreAsk,
    DialogueAsk,
    Generate,
    Message,
    ReplyAsk,
    RollingAsk,
    Score,
    ScoreAsk,
    TextAsk,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sfteval.protocols import Tokenization
    from sfteval.records import Ask, Generation, Item, Request, Response


STAND_IN = "…"
"""Takes the place of the model's own answers where only the author's words count."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One ask of an item and the requests that answer it: several for a rolling text, one a turn for a dialogue.

    `of` says who is asked; `frame` holds the token ids of a dialogue's author, with a stand-in for the model's answers.
    """

    ask: Ask
    requests: tuple[Request, ...]
    of: str = ITSELF
    frame: tuple[int, ...] = ()


def requests_for(item: Item, text: Tokenization, fingerprint: str) -> tuple[Asked, ...]:
    """Return the requests of each ask of `item` and each extra one, in order.

    Args:
        item: What is to be judged.
        text: The tokenization of the model that is asked.
        fingerprint: That model's `keys.model_fingerprint`.

    Raises:
        InputError: a chat is asked and the model has no chat template, or a message holds a special token.
    """
    own = item.asks if item.generates else ()
    asks = (*own, *(ask for ask in dict.fromkeys(item.extra) if ask not in own))
    return tuple(asked_of(ask, item, text, fingerprint) for ask in asks)


def asked_of(ask: Ask, item: Item, text: Tokenization, fingerprint: str, of: str = ITSELF) -> Asked:
    """Return the requests of one ask about `item`. Raises InputError as `requests_for`."""
    return Asked(ask, tuple(_requests(ask, item, text, fingerprint)), of, _frame(ask, text))


def continued(
    asked: Asked, item: Item, text: Tokenization, fingerprint: str, answers: Mapping[str, Response]
) -> Asked | None:
    """Return a dialogue with the request of its next turn; None when nothing is left to ask or an answer is missing.

    Args:
        asked: The dialogue so far; any other ask has no next turn.
        item: What is to be judged.
        text: The tokenization of the model that is asked.
        fingerprint: That model's `keys.model_fingerprint`.
        answers: Responses by `response_key`.
    """
    ask = asked.ask
    if not isinstance(ask, DialogueAsk) or len(asked.requests) > len(ask.turns):
        return None
    said = [response.text for request in asked.requests if (response := answers.get(request.key)) is not None]
    spoken = [text.without_control(words) for words in said if words is not None]
    if len(spoken) < len(asked.requests):
        return None
    prompt = text.encode_rendered(text.render(conversation(ask, spoken)))
    return replace(asked, requests=(*asked.requests, _generate(prompt, ask.generation, item, fingerprint)))


def conversation(ask: DialogueAsk, said: Sequence[str]) -> tuple[Message, ...]:
    """Return a dialogue up to the user's message that follows the last of the model's answers."""
    answers = (Message.model_construct(role="assistant", content=words) for words in said)  # may be empty
    return (*ask.messages, *(message for pair in zip(answers, ask.turns, strict=False) for message in pair))


def prompt_key(asked: Sequence[Asked]) -> str:
    """Hash all token ids that the model is given, so that "same prompt" means the same tokens."""
    given = ([list(one.frame)] if one.frame else [_given(request) for request in one.requests] for one in asked)
    return content_key([ids for one in given for ids in one])


def _frame(ask: Ask, text: Tokenization) -> tuple[int, ...]:
    if not isinstance(ask, DialogueAsk):
        return ()
    return tuple(text.encode_rendered(text.render(conversation(ask, [STAND_IN] * len(ask.turns)))))


def _given(request: Request) -> list[list[int]]:
    if isinstance(request, Score):
        return [list(request.prefix), list(request.continuation)]
    return [list(request.prompt)]


@singledispatch
def _requests(ask: Ask, item: Item, text: Tokenization, fingerprint: str) -> Iterator[Request]:
    msg = f"no request for {type(ask).__name__}"
    raise TypeError(msg)


@_requests.register(ChatAsk)
def _(ask: ChatAsk, item: Item, text: Tokenization, fingerprint: str) -> Iterator[Request]:
    prompt = text.encode_rendered(text.render(ask.messages))
    yield _generate(prompt, ask.generation, item, fingerprint)


@_requests.register(DialogueAsk)
def _(ask: DialogueAsk, item: Item, text: Tokenization, fingerprint: str) -> Iterator[Request]:
    prompt = text.encode_rendered(text.render(ask.messages))
    yield _generate(prompt, ask.generation, item, fingerprint)


@_requests.register(TextAsk)
def _(ask: TextAsk, item: Item, text: Tokenization, fingerprint: str) -> Iterator[Request]:
    prompt = text.encode(ask.context) or [text.prefix_token]
    yield _generate(prompt, ask.generation, item, fingerprint)


@_requests.register(ScoreAsk)
def _(ask: ScoreAsk, item: Item, text: Tokenization, fingerprint: str) -> Iterator[Request]:
    del item
    if ask.context:
        prefix, continuation = text.encode_pair(ask.context, ask.continuation)
    else:
        prefix, continuation = _with_prefix_token(text.encode(ask.continuation), text)
    yield _score(prefix, continuation, fingerprint)


@_requests.register(ChatScoreAsk)
def _(ask: ChatScoreAsk, item: Item, text: Tokenization, fingerprint: str) -> Iterator[Request]:
    del item
    yield _score(*text.encode_pair(text.render(ask.messages), ask.continuation), fingerprint)


@_requests.register(ReplyAsk)
def _(ask: ReplyAsk, item: Item, text: Tokenization, fingerprint: str) -> Iterator[Request]:
    del item
    yield _score(*text.encode_reply(ask.messages, ask.reply, ends=ask.ends), fingerprint)


@_requests.register(RollingAsk)
def _(ask: RollingAsk, item: Item, text: Tokenization, fingerprint: str) -> Iterator[Request]:
    del item
    for prefix, continuation in rolling_windows(text.encode(ask.text), text.prefix_token, text.max_length):
        yield _score(prefix, continuation, fingerprint)


def _with_prefix_token(ids: list[int], text: Tokenization) -> tuple[list[int], list[int]]:
    """Return an empty context's ids as lm-eval does: the prefix token, unless the text already starts with it."""
    if ids and ids[0] == text.prefix_token:
        return ids[:1], ids[1:]
    return [text.prefix_token], ids


def _score(prefix: list[int], continuation: list[int], fingerprint: str) -> Score:
    return Score(score_key(fingerprint, prefix, continuation), tuple(prefix), tuple(continuation))


def _generate(prompt: list[int], generation: Generation, item: Item, fingerprint: str) -> Generate:
    seed = int(content_key(generation.seed, item.key, item.repeat)[:8], 16)
    key = generate_key(fingerprint, prompt, generation, seed, item.repeat)
    return Generate(key, tuple(prompt), generation, seed)


def rolling_windows(ids: list[int], prefix_token: int, max_length: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield (context, continuation) windows that score every id exactly once.

    Args:
        ids: The whole text.
        prefix_token: Stands before the first id.
        max_length: Most tokens that the model takes; windows predict up to that many.
    """
    first = min(max_length, len(ids))
    if first:
        yield [prefix_token], ids[:first]
    done = first
    while done < len(ids):
        count = min(len(ids) - done, max_length)
        end = done + count
        yield ids[end - max_length - 1 : done], ids[done:end]
        done = end
