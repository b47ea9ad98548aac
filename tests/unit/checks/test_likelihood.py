"""Choices and bits per byte from log-likelihoods: exact values, ties, what was never asked, what a row lacks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sfteval.checks import CHECK_TABLE, Answer, Asking, bind
from sfteval.checks.likelihood import scored
from sfteval.records import Message, ReplyAsk

ASKED = (Message(role="user", content="Which?"),)


def judged(check: dict, answer: Answer):
    return bind({"check": check}, Path())(answer)["check"]


def test_bits_per_byte_counts_utf8_bytes() -> None:
    outcome = judged({"bits_per_byte": True}, scored([("süß", -10 * math.log(2))], "süß", {}))
    assert outcome.score == pytest.approx(10 / 5)  # three letters, five bytes
    assert outcome.evidence == "2.0000 bits per byte of 'süß'"


def test_of_several_references_the_cheapest_counts() -> None:
    answer = scored([("ab", -2 * math.log(2)), ("abcd", -2 * math.log(2))], ["ab", "abcd"], {})
    assert judged({"bits_per_byte": True}, answer).score == pytest.approx(0.5)


def test_per_byte_can_turn_a_choice() -> None:
    values = [("no", -2.0), ("certainly", -3.0)]
    answer = scored(values, "certainly", {"options": ["no", "certainly"]})
    assert judged({"choice": True}, answer).score == 0.0
    assert judged({"choice": True, "per": "byte"}, answer).score == 1.0
    assert (
        judged({"choice": ["no", "certainly"]}, answer).evidence
        == "'no' -2.000, 'certainly' -3.000 (nats), expected 'certainly'"
    )


def test_options_that_tie_share_the_point() -> None:
    answer = scored([("a", -1.0), ("b", -1.0)], "b", {"options": ["a", "b"]})
    assert judged({"choice": True}, answer).score == 0.5


@pytest.mark.parametrize("check", [{"choice": ["a", "b"]}, {"bits_per_byte": True}])
def test_what_was_never_asked_is_not_judged(check: dict) -> None:
    outcome = judged(check, Answer("a", messages=ASKED, reference="a"))
    assert outcome.score is None
    assert not outcome.unknowable
    assert "needs a model's own scores" in outcome.evidence


def test_a_nan_is_no_choice() -> None:
    answer = scored([("a", math.nan), ("b", -1.0)], "b", {"options": ["a", "b"]})
    assert judged({"choice": True}, answer).score is None


def test_asks_are_shared_and_nothing_is_generated() -> None:
    checks = {"a": {"choice": ["x", "y"]}, "b": {"choice": ["y", "z"]}, "c": {"bits_per_byte": True, "ends": True}}
    asking = Asking(checks)
    assert not asking.reads_answer
    assert asking.asks(Answer("", messages=ASKED, reference="x")) == (
        ReplyAsk(ASKED, "x"),
        ReplyAsk(ASKED, "y"),
        ReplyAsk(ASKED, "z"),
        ReplyAsk(ASKED, "x", ends=True),
    )
    assert Asking({**checks, "d": {"max_words": 3}}).reads_answer


@pytest.mark.parametrize(
    ("check", "row", "found"),
    [
        ({"choice": True}, {"reference": "a"}, "no options to choose from"),
        ({"choice": True}, {"reference": "a", "vars": {"options": ["a", "a"]}}, "unfit options"),
        ({"choice": ["a", "b"]}, {"reference": "c"}, "'c'"),
        ({"bits_per_byte": True}, {"reference": {"x": 1}}, "a reference that does not fit"),
        ({"bits_per_byte": True}, {}, "no 'reference'"),
        ({"bits_per_byte": True}, {"reference": "a", "turns": ["Why?"]}, "a conversation with the model's own answers"),
    ],
)
def test_rows_that_cannot_be_scored(check: dict, row: dict, found: str) -> None:
    assert [fault.found for fault in CHECK_TABLE.examine_row({"check": check}, row)] == [found]


def test_no_combination_of_scores_without_bounds() -> None:
    checks = {"cost": {"bits_per_byte": True}, "all": {"all_of": ["cost"]}}
    (fault,) = CHECK_TABLE.examine(checks, Path())
    assert (fault.found, fault.expected) == ("'cost', whose scores have no bounds", "a check whose scores lie in 0…1")
