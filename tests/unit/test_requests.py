"""Asks become token ids under content keys."""

from __future__ import annotations

import pytest

from sfteval.keys import pair_key
from sfteval.pipeline.grading import Graded, sample_of
from sfteval.records import (
    ChatAsk,
    DialogueAsk,
    Generate,
    Generation,
    Item,
    Message,
    Response,
    RollingAsk,
    Score,
    ScoreAsk,
    TextAsk,
)
from sfteval.requests import prompt_key, requests_for, rolling_windows


class Letters:
    """One id per character; a chat is its contents between bars."""

    prefix_token = 0
    max_length = 4
    vocabulary = 200

    def encode(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    encode_rendered = encode

    def encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        return self.encode(context), self.encode(continuation)

    def decode(self, ids) -> str:
        return "".join(map(chr, ids))

    def render(self, messages) -> str:
        return "|".join(m.content for m in messages) + ">"


def item(*asks, suite="s", repeat=0) -> Item:
    return Item(pair_key(suite, "", "1", asks, repeat), suite, "", "1", asks, repeat=repeat)


def test_chat_renders_and_generates() -> None:
    chat = ChatAsk((Message(role="user", content="ab"),), Generation(max_tokens=3))
    ((request,),) = [one.requests for one in requests_for(item(chat), Letters(), "f")]
    assert isinstance(request, Generate)
    assert request.prompt == (97, 98, 62)
    assert request.generation.max_tokens == 3


def test_empty_text_starts_from_the_prefix_token() -> None:
    ((request,),) = [one.requests for one in requests_for(item(TextAsk("", Generation())), Letters(), "f")]
    assert request.prompt == (0,)


def test_score_pairs_and_empty_context() -> None:
    asked = requests_for(item(ScoreAsk("a", "b"), ScoreAsk("", "b")), Letters(), "f")
    assert [(r.prefix, r.continuation) for one in asked for r in one.requests] == [((97,), (98,)), ((0,), (98,))]


def test_a_text_that_starts_with_the_prefix_token_is_not_given_another() -> None:
    ((request,),) = [one.requests for one in requests_for(item(ScoreAsk("", "\0b")), Letters(), "f")]
    assert (request.prefix, request.continuation) == ((0,), (98,))


def test_rolling_scores_each_token_once() -> None:
    (asked,) = requests_for(item(RollingAsk("abcdefghij")), Letters(), "f")
    scored = [i for r in asked.requests if isinstance(r, Score) for i in r.continuation]
    assert scored == [ord(c) for c in "abcdefghij"]
    assert all(len(r.prefix) + len(r.continuation) - 1 <= 4 for r in asked.requests)


@pytest.mark.parametrize("length", [0, 1, 4, 5, 8, 9, 23])
def test_rolling_windows_equal_lm_evals(length: int) -> None:
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    ids = list(range(1, length + 1))
    theirs = [
        make_disjoint_window(w) for w in get_rolling_token_windows(ids, prefix_token=0, max_seq_len=4, context_len=1)
    ]
    assert [(list(a), list(b)) for a, b in rolling_windows(ids, 0, 4)] == [(list(a), list(b)) for a, b in theirs]


def test_keys_hold_what_a_response_depends_on() -> None:
    def key(fingerprint="f", repeat=0, text="a", **settings):
        ask = TextAsk(text, Generation(**settings))
        ((request,),) = [one.requests for one in requests_for(item(ask, repeat=repeat), Letters(), fingerprint)]
        return request.key

    assert key() == key()
    assert key() == key(repeat=1), "a greedy answer does not depend on the repeat"
    assert key() == key(seed=5), "a greedy answer does not depend on the seed"
    hot = {"temperature": 0.7}
    different = [
        key(),
        key("g"),
        key(text="b"),
        key(max_tokens=5),
        key(**hot),
        key(**hot, seed=5),
        key(**hot, repeat=1),
        key(stop=("x",)),
    ]
    assert len(set(different)) == len(different)


def test_prompt_key_sees_tokens_only() -> None:
    one = requests_for(item(TextAsk("a", Generation())), Letters(), "f")
    other = requests_for(item(TextAsk("a", Generation(max_tokens=9)), suite="t"), Letters(), "g")
    assert prompt_key(one) == prompt_key(other)
    assert prompt_key(one) != prompt_key(requests_for(item(TextAsk("b", Generation())), Letters(), "f"))


class AllRight:
    """Gives every answer full marks."""

    def grade(self, item, known) -> Graded:
        return Graded({"ok": 1.0}, {}, "", "")


@pytest.mark.parametrize(
    ("ask", "differs"),
    [
        (TextAsk("a long prompt", Generation()), True),
        (DialogueAsk((Message(role="user", content="a"),), (Message(role="user", content="b"),), Generation()), False),
    ],
    ids=["text", "dialogue"],
)
def test_a_prompt_that_was_cut_is_not_the_same_prompt(ask, differs) -> None:
    """Where a dialogue is cut depends on what the model said, so there it says nothing about the prompt."""
    one = item(ask)
    asked = requests_for(one, Letters(), "f")
    (request,) = asked[0].requests

    def key(truncated: int) -> str:
        answers = {request.key: Response(request.key, text="yes", truncated=truncated)}
        return sample_of(one, asked, answers, AllRight()).prompt_key

    assert key(0) == prompt_key(asked)
    assert (key(3) != key(0), key(3) != key(4)) == (differs, differs)
