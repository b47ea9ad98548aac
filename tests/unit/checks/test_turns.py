"""Checks over turns see every answer of a conversation; the others see the last one."""

from __future__ import annotations

from pathlib import Path

from sfteval.checks import Answer, bind

CHECKS = {
    "brief": {"max_words": 2},
    "low": {"lowercase": True},
    "both": {"all_of": ["brief", "low"]},
    "always": {"every_turn": "both"},
    "first": {"at_turn": "low", "turn": 1},
    "third": {"at_turn": "low", "turn": 3},
    "fine": {"any_of": ["always", "first"]},
}


def test_every_turn_and_one_turn() -> None:
    answer = Answer("Far too many words", earlier=(Answer("yes"), Answer("NO")))
    outcomes = bind(CHECKS, Path())(answer)
    assert {name: each.score for name, each in outcomes.items()} == {
        "brief": 0.0,
        "low": 0.0,
        "both": 0.0,
        "always": 0.0,
        "first": 1.0,
        "third": 0.0,
        "fine": 1.0,
    }
    assert outcomes["always"].evidence.startswith("1 of 3 turns pass; turn 2: all of: 1 of 2 pass, not low; turn 3:")


def test_a_turn_that_never_came_is_no_score() -> None:
    outcome = bind(CHECKS, Path())(Answer("yes"))["third"]
    assert (outcome.score, outcome.evidence, outcome.unknowable) == (None, "the conversation has 1 answers", False)
