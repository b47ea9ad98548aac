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
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfteval.stats.binary import PairedBinaryTest
from sfteval.stats.changes import Changes
from sfteval.stats.clusters import Clusters, check_alpha, group, paired_scores
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


class Paired:
    """Two models' scores on the same samples, checked and grouped once for every question about them.

    Args:
        candidate: the candidate's scores, shape (n,).
        reference: the reference's scores on the same samples, shape (n,).
        clusters: name of each sample's cluster, length n; None when samples are independent. Clusters
            count by their number of samples, so the estimate is the mean over samples.
        lower: smallest possible score; None (with ``upper`` None) when scores are unbounded.
        upper: largest possible score.

    Raises:
        ValueError: unequal lengths, no samples, NaN, scores outside their bounds.
    """

    def __init__(
        self,
        candidate: ArrayLike,
        reference: ArrayLike,
        *,
        clusters: Clusters | None = None,
        lower: float | None = 0.0,
        upper: float | None = 1.0,
    ) -> None:
        """Check the scores and group them."""
        self._new, self._old = new, old = paired_scores(candidate, reference, lower, upper)
        self._units = group(new - old, clusters)
        self._reach = inf if lower is None or upper is None else upper - lower
        single = len(self._units.means) == len(new) and (lower, upper) == (0.0, 1.0)
        # Single samples that score 0 or 1: the exact test is made.
        self._exact = single and _binary(new) and _binary(old)
        self._tests = self._made()

    def _made(self) -> MeanTests:
        means, sizes = self._units.means, self._units.sizes
        if self._reach == inf:
            return unbounded_mean_tests(means, sizes)
        if self._exact:
            n, gains, losses = len(means), int(np.count_nonzero(means > 0)), int(np.count_nonzero(means < 0))
            return MeanTests(PairedBinaryTest(n, gains, losses), PairedBinaryTest(n, losses, gains))
        spread = np.full(len(means), self._reach)
        return bounded_mean_tests(means, sizes, -spread, spread)

    def difference(self, alpha: float = 0.05) -> PairedEstimate:
        """Estimate how much better the candidate is than the reference.

        Args:
            alpha: error rate of each one-sided bound.

        Returns:
            The estimate; its bounds are infinite when unbounded scores are too few to judge.

        Raises:
            ValueError: alpha outside (0, 0.5].
        """
        check_alpha(alpha)
        low, high = self._tests.bounds(alpha)
        return PairedEstimate(
            n=len(self._new),
            clusters=len(self._units.means),
            reference=float(self._old.mean()),
            candidate=float(self._new.mean()),
            difference=float((self._new - self._old).mean()),
            low=low,
            high=high,
            alpha=alpha,
            method=self._tests.method,
        )

    def drop_pvalue(self, margin: float) -> float:
        """Return the p-value of "the difference is at least -margin".

        A small value proves a drop larger than ``margin``. It is at most alpha exactly when the upper bound of
        `difference` at that alpha lies below -margin.
        """
        return self._tests.below.pvalue(-margin)

    def gain_pvalue(self, by: float) -> float:
        """Return the p-value of "the difference is at most ``by``".

        A small value proves a gain larger than ``by``. It is at most alpha exactly when the lower bound of
        `difference` at that alpha lies above ``by``.
        """
        return self._tests.above.pvalue(-by)

    @property
    def changes(self) -> Changes:
        """How the pairs differ, which says what their comparison can show."""
        reaches = np.full(len(self._units.means), self._reach)
        return Changes.of(self._units.means, self._units.sizes, reaches, binary=self._exact)


class Kind(TypedDict, total=False):
    """What `Paired` has to know of scores."""

    clusters: Clusters | None
    lower: float | None
    upper: float | None


def paired_difference(
    candidate: ArrayLike, reference: ArrayLike, *, alpha: float = 0.05, **kind: Unpack[Kind]
) -> PairedEstimate:
    """Return `Paired.difference`, where it is the only question; arguments and errors as there."""
    return Paired(candidate, reference, **kind).difference(alpha)


def drop_pvalue(candidate: ArrayLike, reference: ArrayLike, *, margin: float, **kind: Unpack[Kind]) -> float:
    """Return `Paired.drop_pvalue`, where it is the only question; arguments and errors as there."""
    return Paired(candidate, reference, **kind).drop_pvalue(margin)


def gain_pvalue(candidate: ArrayLike, reference: ArrayLike, *, by: float, **kind: Unpack[Kind]) -> float:
    """Return `Paired.gain_pvalue`, where it is the only question; arguments and errors as there."""
    return Paired(candidate, reference, **kind).gain_pvalue(by)


def paired_changes(candidate: ArrayLike, reference: ArrayLike, **kind: Unpack[Kind]) -> Changes:
    """Return `Paired.changes`, where it is the only question; arguments and errors as there."""
    return Paired(candidate, reference, **kind).changes


def _binary(scores: Floats) -> bool:
    return bool(((scores == 0) | (scores == 1)).all())
