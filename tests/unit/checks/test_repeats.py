"""pass@k and pass^k equal the share of k-subsets that pass, over every way to draw them."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from sfteval.checks import Answer, Outcome, bind, bind_repeats
from sfteval.checks.repeats import pass_all, pass_at

CASES = [(n, c, k) for n in range(1, 8) for c in range(n + 1) for k in range(1, n + 1)]


@pytest.mark.parametrize(("n", "c", "k"), CASES)
def test_estimates_are_means_over_all_draws(n: int, c: int, k: int) -> None:
    draws = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)
    assert pass_all(n, c, k) == pytest.approx(sum(map(all, draws)) / len(draws), abs=1e-12)


CHECKS = {"brief": {"max_words": 1}, "at": {"pass_at": "brief", "k": 2}, "every": {"pass_all": "brief", "k": 2}}


def test_repeats_of_a_prompt() -> None:
    judge = bind_repeats(CHECKS, Path())
    found = judge([{"brief": Outcome(score)} for score in (1.0, 0.0, 0.5, 1.0)])
    assert found["at"] == Outcome(1 - 1 / 6, "2 of 4 repeats pass")
    assert found["every"] == Outcome(1 / 6, "2 of 4 repeats pass")


def test_a_missing_repeat_leaves_the_prompt_without_a_score() -> None:
    found = bind_repeats(CHECKS, Path())([{"brief": Outcome(1.0)}, {"brief": Outcome(None)}, {"brief": Outcome(1.0)}])
    assert found["at"] == Outcome(None, "2 of 3 repeats have a score", unknowable=True)


def test_one_answer_alone_says_nothing_about_two() -> None:
    outcomes = bind(CHECKS, Path())(Answer("word"))
    assert outcomes["at"] == Outcome(None, "1 of 2 repeats have a score", unknowable=True)


def test_suites_without_such_checks_get_nothing() -> None:
    assert bind_repeats({"brief": {"max_words": 1}}, Path())([{"brief": Outcome(1.0)}]) == {}
