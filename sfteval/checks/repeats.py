"""Checks over all repeats of one prompt (`n:` of a suite): at least one of k passes, all of k pass.

Comes in: the outcome of one sibling in each of the n repeats. Goes out: one outcome for the prompt. Both are the
unbiased estimates from n answers of which c pass: pass@k = 1 − C(n−c, k)/C(n, k) (Chen et al. 2021, "Evaluating Large
Language Models Trained on Code", arXiv:2107.03374, eq. 1) and pass^k = C(c, k)/C(n, k) (Yao et al. 2024, τ-bench,
arXiv:2406.12045). A repeat passes at a score of 1.
"""

from __future__ import annotations

import functools
from math import comb
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from sfteval.checks.answer import Answer, Outcome, unknowable
from sfteval.checks.kinds import CheckKind, Context, Judge, Params, prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

K = Annotated[int, Field(ge=1)]


class OverRepeats(Params):
    """A check on the repeats of a prompt."""

    k: K

    def spans(self) -> Literal["", "turns", "repeats"]:
        """Return that all repeats are looked at."""
        return "repeats"


class PassAt(OverRepeats):
    """At least one of k repeats passes the named check: the unbiased pass@k of the prompt's n repeats."""

    pass_at: str

    def siblings(self) -> tuple[str, ...]:
        """Return the check that each repeat must pass."""
        return (self.pass_at,)


class PassAll(OverRepeats):
    """All of k repeats pass the named check: the unbiased pass^k of the prompt's n repeats."""

    pass_all: str

    def siblings(self) -> tuple[str, ...]:
        """Return the check that each repeat must pass."""
        return (self.pass_all,)


def pass_at(n: int, c: int, k: int) -> float:
    """Return the chance that at least one of k answers, drawn from n of which c pass, passes."""
    return 1.0 - comb(n - c, k) / comb(n, k)


def pass_all(n: int, c: int, k: int) -> float:
    """Return the chance that all of k answers, drawn from n of which c pass, pass."""
    return comb(c, k) / comb(n, k)


def _estimate(estimate: Callable[[int, int, int], float], params: OverRepeats, _: Context) -> Judge:
    def judge(_: Answer, repeats: Mapping[str, Outcome]) -> Outcome:
        scores = [outcome.score for outcome in repeats.values()]
        known = [score for score in scores if score is not None]
        if len(known) < len(scores) or len(known) < params.k:
            return unknowable(f"{len(known)} of {max(len(scores), params.k)} repeats have a score")
        passing = sum(score >= 1.0 for score in known)
        return Outcome(estimate(len(known), passing, params.k), f"{passing} of {len(known)} repeats pass")

    return judge


KINDS: tuple[CheckKind, ...] = (
    prepared(
        PassAt,
        functools.partial(_estimate, pass_at),
        {"pass_at": "brief", "k": 1},
        passing="a few words",
        failing="Far too many words of them",
    ),
    prepared(
        PassAll,
        functools.partial(_estimate, pass_all),
        {"pass_all": "brief", "k": 1},
        passing="a few words",
        failing="Far too many words of them",
    ),
)
"""The examples assume one repeat and the sibling `brief: {max_words: 3}`."""
