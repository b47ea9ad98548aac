"""One-sided tests of a mean, and how a bound is read off a test.

In: a p-value as a function of the null value, for the hypothesis "the mean is at least this null value".
Out: the upper confidence bound and the p-value that belong together, so that for every level
``p <= alpha`` exactly when ``bound(alpha) < null``. Lower bounds are upper bounds of the negated data.

A p-value that depends on a data-dependent ordering of tables need not fall monotonically in the null
value. The bound is therefore defined by a walk down one fixed dyadic tree over [-1, 1], and the p-value is
defined as the smallest level at which that walk ends below the null value; the two agree by construction.
"""

from collections.abc import Callable
from typing import Protocol

LEVELS = 24
"""Depth of the tree: bounds are rounded outwards to a multiple of 2 / 2**24, about 1e-7."""


class OneSidedTest(Protocol):
    """Evidence that a mean is small: a p-value per null value, and the bound it inverts to."""

    @property
    def method(self) -> str:
        """Name of the method, for reports."""
        ...

    def pvalue(self, null: float) -> float:
        """Return the p-value of the hypothesis "mean >= null"."""
        ...

    def bound(self, alpha: float) -> float:
        """Return the upper confidence bound of the mean at level 1 - alpha."""
        ...


def tree_bound(pvalue: Callable[[float], float], alpha: float) -> float:
    """Walk the tree to the upper bound at level 1 - alpha.

    Args:
        pvalue: p-value of "mean >= null" for a null value in (-1, 1).
        alpha: one-sided error rate.

    Returns:
        The upper end of the leaf reached: 1.0 when no null value on the way was rejected.
    """
    low, high = -1.0, 1.0
    for _ in range(LEVELS):
        middle = (low + high) / 2
        if pvalue(middle) <= alpha:
            high = middle
        else:
            low = middle
    return high


def tree_pvalue(pvalue: Callable[[float], float], null: float) -> float:
    """Return the smallest level at which `tree_bound` lies below the null value.

    On the path to the leaf that holds ``null``, a split below it must be rejected *or* lead on to a
    rejection further down; a split at or above it must be rejected *and* lead on to one.
    """
    low, high = -1.0, 1.0
    path: list[tuple[bool, float]] = []
    for _ in range(LEVELS):
        middle = (low + high) / 2
        below = middle < null
        path.append((below, pvalue(middle)))
        low, high = (middle, high) if below else (low, middle)
    level = 0.0 if high < null else 1.0
    for below, value in reversed(path):
        level = min(value, level) if below else max(value, level)
    return level


def falling_root(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """Find where a non-increasing function reaches zero, rounded to the side where it is <= 0.

    Args:
        function: non-increasing, positive at ``low``, at most zero at ``high``; finite values.
        low: where the function is positive.
        high: where it is not.
        tolerance: width at which the bracket is narrow enough.

    Returns:
        The upper end of the last bracket.
    """
    at_low, at_high = function(low), function(high)
    for _ in range(200):
        if high - low <= tolerance or at_high == 0:
            break
        share = min(max(at_low / (at_low - at_high), 0.01), 0.99)
        middle = low + share * (high - low)
        value = function(middle)
        # Illinois: halving the value kept at a stale end keeps the secant from creeping.
        if value > 0:
            low, at_low, at_high = middle, value, at_high / 2
        else:
            high, at_high, at_low = middle, value, at_low / 2
    return high
