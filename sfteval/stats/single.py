"""The mean score of one model, with one-sided bounds, for floors and ceilings.

In: one score per sample. Out: the mean with bounds. Binary scores get the exact bounds of Clopper and
Pearson (1934, Biometrika 26, 404-413), bounded scores and clusters Gaffke's (`sfteval.stats.bounded`),
unbounded ones the skewness-adjusted t (`sfteval.stats.unbounded`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfteval.stats.clusters import Clusters, Units, as_scores, check_alpha, group
from sfteval.stats.means import MeanTests, bounded_mean_tests, unbounded_mean_tests

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MeanEstimate:
    """A model's mean score.

    Attributes:
        n: samples.
        clusters: independent clusters among them.
        mean: mean over samples.
        low: one-sided lower bound at level 1 - alpha.
        high: one-sided upper bound at level 1 - alpha; [low, high] together have level 1 - 2 alpha.
        alpha: error rate of each bound.
        method: name of the method, for reports.
    """

    n: int
    clusters: int
    mean: float
    low: float
    high: float
    alpha: float
    method: str


@dataclass(frozen=True)
class ProportionTest:
    """Exact binomial test of "proportion >= null"; see `sfteval.stats.onesided.OneSidedTest`.

    Attributes:
        n: samples.
        successes: samples that scored 1.
    """

    n: int
    successes: int
    method = "exact binomial (Clopper-Pearson)"

    def pvalue(self, null: float) -> float:
        """Return the p-value of "proportion >= null"."""
        from scipy.special import bdtr

        return float(bdtr(self.successes, self.n, min(max(null, 0.0), 1.0)))

    def bound(self, alpha: float) -> float:
        """Return the upper confidence bound of the proportion at level 1 - alpha."""
        from scipy.special import betaincinv

        if self.successes == self.n:
            return 1.0
        return float(betaincinv(self.successes + 1, self.n - self.successes, 1 - alpha))


@dataclass(frozen=True)
class NegatedProportionTest:
    """Exact binomial test of "-proportion >= null", the same test on the failures.

    Attributes:
        n: samples.
        successes: samples that scored 1.
    """

    n: int
    successes: int
    method = ProportionTest.method

    def pvalue(self, null: float) -> float:
        """Return the p-value of "-proportion >= null"."""
        return ProportionTest(self.n, self.n - self.successes).pvalue(1 + null)

    def bound(self, alpha: float) -> float:
        """Return the upper confidence bound of -proportion at level 1 - alpha."""
        return ProportionTest(self.n, self.n - self.successes).bound(alpha) - 1


def mean_bounds(
    scores: ArrayLike,
    *,
    clusters: Clusters | None = None,
    lower: float | None = 0.0,
    upper: float | None = 1.0,
    alpha: float = 0.05,
) -> MeanEstimate:
    """Estimate one model's mean score.

    Args:
        scores: one score per sample, shape (n,).
        clusters: name of each sample's cluster, length n; None when samples are independent.
        lower: smallest possible score; None (with ``upper`` None) when scores are unbounded.
        upper: largest possible score.
        alpha: error rate of each one-sided bound.

    Returns:
        The estimate; its bounds are infinite when unbounded scores are too few to judge.

    Raises:
        ValueError: no samples, NaN, scores outside their bounds, alpha outside (0, 0.5].
    """
    check_alpha(alpha)
    array = as_scores(scores, "scores", lower, upper)
    units = group(array, clusters)
    tests = _tests(array, units, lower, upper)
    low, high = tests.bounds(alpha)
    return MeanEstimate(len(array), len(units.means), float(array.mean()), low, high, alpha, tests.method)


def _tests(scores: Floats, units: Units, lower: float | None, upper: float | None) -> MeanTests:
    n = len(scores)
    if lower is None or upper is None:
        return unbounded_mean_tests(units.means, units.sizes)
    if len(units.means) == n and (lower, upper) == (0.0, 1.0) and ((scores == 0) | (scores == 1)).all():
        successes = int(scores.sum())
        return MeanTests(ProportionTest(n, successes), NegatedProportionTest(n, successes))
    each = np.ones_like(units.means)
    return bounded_mean_tests(units.means, units.sizes, lower * each, upper * each)
