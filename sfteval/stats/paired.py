"""The difference between two models on the same samples.

In: one score per sample of the candidate and of the reference, in the same order, and optionally the
cluster (prompt) of each sample. Out: the estimated difference with one-sided bounds, and p-values that
invert them: ``drop_pvalue(margin) <= alpha`` exactly when ``high < -margin`` at that alpha.

Three methods: scores in [0, 1] that are all 0 or 1 get the exact paired binary test
(`sfteval.stats.binary`); other bounded scores, and several samples per cluster, get Gaffke's bound on the
cluster means (`sfteval.stats.bounded`); scores without bounds get the skewness-adjusted cluster-robust t
(`sfteval.stats.unbounded`), which is silent below 20 clusters.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfteval.stats.binary import PairedBinaryTest
from sfteval.stats.changes import Changes
from sfteval.stats.clusters import Clusters, Units, check_alpha, group, paired_scores
from sfteval.stats.means import MeanTests, bounded_mean_tests, unbounded_mean_tests

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedEstimate:
    """An estimated difference, candidate minus reference.

    Attributes:
        n: paired samples.
        clusters: independent clusters among them.
        reference: mean score of the reference.
        candidate: mean score of the candidate.
        difference: mean of the paired differences.
        low: one-sided lower bound of the difference at level 1 - alpha.
        high: one-sided upper bound at level 1 - alpha; [low, high] together have level 1 - 2 alpha.
        alpha: error rate of each bound.
        method: name of the method, for reports.
    """

    n: int
    clusters: int
    reference: float
    candidate: float
    difference: float
    low: float
    high: float
    alpha: float
    method: str


def paired_difference(
    candidate: ArrayLike,
    reference: ArrayLike,
    *,
    clusters: Clusters | None = None,
    lower: float | None = 0.0,
    upper: float | None = 1.0,
    alpha: float = 0.05,
) -> PairedEstimate:
    """Estimate how much better the candidate is than the reference.

    Args:
        candidate: the candidate's scores, shape (n,).
        reference: the reference's scores on the same samples, shape (n,).
        clusters: name of each sample's cluster, length n; None when samples are independent. Clusters
            count by their number of samples, so the estimate is the mean over samples.
        lower: smallest possible score; None (with ``upper`` None) when scores are unbounded.
        upper: largest possible score.
        alpha: error rate of each one-sided bound.

    Returns:
        The estimate; its bounds are infinite when unbounded scores are too few to judge.

    Raises:
        ValueError: unequal lengths, no samples, NaN, scores outside their bounds, alpha outside (0, 0.5].
    """
    check_alpha(alpha)
    new, old = paired_scores(candidate, reference, lower, upper)
    units = group(new - old, clusters)
    tests = _tests(new, old, units, lower, upper)
    low, high = tests.bounds(alpha)
    return PairedEstimate(
        n=len(new),
        clusters=len(units.means),
        reference=float(old.mean()),
        candidate=float(new.mean()),
        difference=float((new - old).mean()),
        low=low,
        high=high,
        alpha=alpha,
        method=tests.method,
    )


def drop_pvalue(
    candidate: ArrayLike,
    reference: ArrayLike,
    *,
    margin: float,
    clusters: Clusters | None = None,
    lower: float | None = 0.0,
    upper: float | None = 1.0,
) -> float:
    """Return the p-value of "the difference is at least -margin".

    A small value proves a drop larger than ``margin``. It is at most alpha exactly when the upper bound of
    `paired_difference` at that alpha lies below -margin. Arguments and errors as there.
    """
    new, old = paired_scores(candidate, reference, lower, upper)
    return _tests(new, old, group(new - old, clusters), lower, upper).below.pvalue(-margin)


def gain_pvalue(
    candidate: ArrayLike,
    reference: ArrayLike,
    *,
    by: float,
    clusters: Clusters | None = None,
    lower: float | None = 0.0,
    upper: float | None = 1.0,
) -> float:
    """Return the p-value of "the difference is at most ``by``".

    A small value proves a gain larger than ``by``. It is at most alpha exactly when the lower bound of
    `paired_difference` at that alpha lies above ``by``. Arguments and errors as there.
    """
    new, old = paired_scores(candidate, reference, lower, upper)
    return _tests(new, old, group(new - old, clusters), lower, upper).above.pvalue(-by)


def paired_changes(
    candidate: ArrayLike,
    reference: ArrayLike,
    *,
    clusters: Clusters | None = None,
    lower: float | None = 0.0,
    upper: float | None = 1.0,
) -> Changes:
    """Return how the pairs differ, which says what their comparison can show.

    Arguments and errors as for `paired_difference`.
    """
    new, old = paired_scores(candidate, reference, lower, upper)
    units = group(new - old, clusters)
    reach = inf if lower is None or upper is None else upper - lower
    binary = _exact(new, old, units, lower, upper)
    return Changes.of(units.means, units.sizes, np.full(len(units.means), reach), binary=binary)


def _tests(new: Floats, old: Floats, units: Units, lower: float | None, upper: float | None) -> MeanTests:
    n = len(new)
    if lower is None or upper is None:
        return unbounded_mean_tests(units.means, units.sizes)
    if _exact(new, old, units, lower, upper):
        gains, losses = int(np.count_nonzero(new > old)), int(np.count_nonzero(new < old))
        return MeanTests(PairedBinaryTest(n, gains, losses), PairedBinaryTest(n, losses, gains))
    spread = np.full(len(units.means), upper - lower)
    return bounded_mean_tests(units.means, units.sizes, -spread, spread)


def _exact(new: Floats, old: Floats, units: Units, lower: float | None, upper: float | None) -> bool:
    """Say whether the exact test is made: single samples that score 0 or 1."""
    return len(units.means) == len(new) and (lower, upper) == (0.0, 1.0) and _binary(new) and _binary(old)


def _binary(scores: Floats) -> bool:
    return bool(((scores == 0) | (scores == 1)).all())
