"""Gaps, recall and canaries: exact values, and rows that cannot be judged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sfteval.checks import CHECK_TABLE, Answer, bind
from sfteval.checks.overfitting import Exposure, repeated
from sfteval.records import ChatAsk, Generation, Inquiry, Message, ReplyAsk, Response

ASKED = (Message(role="user", content="Question?"),)
HELD = (Message(role="user", content="Other?"),)
PAIR = {"heldout": {"messages": [{"role": "user", "content": "Other?"}], "reference": "two words"}}


def judged(check: dict, answer: Answer):
    return bind({"check": check}, Path())(answer)["check"]


def test_the_gap_is_a_difference_of_bits_per_byte() -> None:
    responses = {
        Inquiry(ReplyAsk(ASKED, "four")): (Response("", loglikelihood=-2 * math.log(2)),),
        Inquiry(ReplyAsk(HELD, "two words")): (Response("", loglikelihood=-18 * math.log(2)),),
    }
    answer = Answer("", messages=ASKED, reference="four", vars=PAIR, responses=responses)
    assert judged({"heldout_gap": True}, answer).score == pytest.approx(18 / 9 - 2 / 4)
    assert judged({"heldout_bits_per_byte": True}, answer).score == pytest.approx(2)
    assert judged({"bits_per_byte": True}, answer).score == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("reference", "said", "share"),
    [
        ("the key is under the mat", "I think the key is under a stone", 4 / 6),
        ("the key is under the mat", "the mat", 2 / 6),
        ("one, two", "one, two", 1.0),
        ("one", "", 0.0),
    ],
)
def test_recall_is_the_longest_run_of_words(reference: str, said: str, share: float) -> None:
    assert repeated(reference, said) == pytest.approx(share)


def test_recall_gap_takes_the_held_out_answer_off() -> None:
    responses = {
        Inquiry(ChatAsk(ASKED, Generation(max_tokens=32))): (Response("", text="one two three"),),
        Inquiry(ChatAsk(HELD, Generation(max_tokens=32))): (Response("", text="two birds"),),
    }
    answer = Answer("", messages=ASKED, reference="one two three", vars=PAIR, responses=responses)
    assert judged({"recall_gap": True, "max_tokens": 32}, answer).score == pytest.approx(0.5)
    assert judged({"recall": True, "max_tokens": 32}, answer).score == 1.0


def ranked(canary: float, others: list[float]) -> float | None:
    texts = {f"code {i}": value for i, value in enumerate(others)}
    responses = {
        Inquiry(ReplyAsk(ASKED, text)): (Response("", loglikelihood=value),)
        for text, value in {"canary": canary, **texts}.items()
    }
    answer = Answer("", messages=ASKED, reference="canary", vars={"alternatives": list(texts)}, responses=responses)
    return judged({"exposure": 7}, answer).score


def test_exposure_is_log2_of_number_over_rank() -> None:
    others = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0]
    assert ranked(-0.5, others) == 3.0  # first of eight
    assert ranked(-8.0, others) == 0.0  # last of eight
    assert ranked(-1.0, others) == pytest.approx(math.log2(8 / 1.5))  # ties count half
    assert ranked(math.nan, others) is None


def test_alternatives_are_the_same_digits_elsewhere_for_everybody() -> None:
    answer = Answer("", messages=ASKED, reference="Code 12-34.")
    first, again = (Exposure(exposure=63).alternatives(answer) for _ in range(2))
    assert first == again
    assert len(set(first)) == 63
    assert "Code 12-34." not in first
    assert all(len(text) == 11 and text[:5] == "Code " and text[7] == "-" for text in first)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"reference": "no digits"}, "a canary with 0 digits"),
        ({"reference": "code 7"}, "a canary with 1 digits"),
        ({"reference": "code 77", "vars": {"alternatives": ["code 77"]}}, "unfit alternatives"),
        ({"reference": "code 77"}, None),
    ],
)
def test_canaries_need_room(row: dict, found: str | None) -> None:
    faults = CHECK_TABLE.examine_row({"check": {"exposure": 15}}, row)
    assert [fault.found for fault in faults] == ([found] if found else [])
