"""Agreement of two raters on nominal labels: share of equal labels and Cohen's kappa, each with an interval.

Comes in: pairs of labels. Goes out: point values with two-sided intervals. Kappa: Cohen (1960); its large-sample
standard error for an interval: Fleiss, Cohen and Everitt (1969), eq. 13 as given in Agresti, Categorical Data
Analysis (3rd ed.), 11.5.4. The share of equal labels: Wilson's score interval (1927).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two raters agree; kappa and its bounds are None where it is not defined (both use one label only)."""

    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None


def agreement(first: Sequence[str], second: Sequence[str], *, level: float = 0.95) -> Agreement:
    """Return how far two raters agree.

    Args:
        first: The one rater's labels.
        second: The other's, in the same order.
        level: Confidence of the two-sided intervals.

    Raises:
        ValueError: no labels, or not one of each rater for every case.
    """
    if not first or len(first) != len(second):
        msg = f"expected as many labels of both raters, at least one; found {len(first)} and {len(second)}"
        raise ValueError(msg)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    n = len(first)
    equal = sum(a == b for a, b in zip(first, second, strict=True)) / n
    low, high = _wilson(equal, n, z)
    kappa, error = _kappa(Counter(zip(first, second, strict=True)), n)
    if kappa is None:
        return Agreement(n, equal, low, high, None, None, None)
    return Agreement(n, equal, low, high, kappa, max(-1.0, kappa - z * error), min(1.0, kappa + z * error))


def _wilson(share: float, n: int, z: float) -> tuple[float, float]:
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _kappa(counts: Counter[tuple[str, str]], n: int) -> tuple[float | None, float]:
    """Return kappa and its standard error, (None, 0) where chance alone would agree always."""
    labels = sorted({label for pair in counts for label in pair})
    rows = {a: sum(counts[a, b] for b in labels) / n for a in labels}
    columns = {b: sum(counts[a, b] for a in labels) / n for b in labels}
    observed = sum(counts[a, a] for a in labels) / n
    chance = sum(rows[a] * columns[a] for a in labels)
    if chance >= 1.0:
        return None, 0.0
    kappa = (observed - chance) / (1 - chance)
    same = sum(counts[a, a] / n * ((1 - chance) - (rows[a] + columns[a]) * (1 - observed)) ** 2 for a in labels)
    other = sum(counts[a, b] / n * (columns[a] + rows[b]) ** 2 for a in labels for b in labels if a != b)
    spread = same + (1 - observed) ** 2 * other - (observed * chance - 2 * chance + observed) ** 2
    return kappa, math.sqrt(max(0.0, spread) / n) / (1 - chance) ** 2
