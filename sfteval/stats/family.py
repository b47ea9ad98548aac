"""The difference over a family of suites or benchmarks: a weighted mean over strata.

In: one `Stratum` of paired scores per suite or benchmark. Out: the weighted mean of the strata's
differences with one-sided bounds, and its p-value.

The strata are fixed, their samples random: each independent unit (a sample, or a cluster of them) adds
weight / samples-of-its-stratum to the mean, and one test of that weighted sum is made for the whole family
(`sfteval.stats.bounded`, or `sfteval.stats.unbounded` when a stratum has no bounds). One test of the sum,
rather than a sum of bounds, keeps the family as sharp as one suite of the same size. Differences between
strata count as spread, which errs on the safe side and, with differences of a few points, costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfteval.stats.clusters import Clusters, Units, check_alpha, group, paired_scores
from sfteval.stats.means import MeanTests, bounded_mean_tests, unbounded_mean_tests
from sfteval.stats.paired import PairedEstimate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stratum:
    """The paired scores of one suite or benchmark.

    Attributes:
        candidate: the candidate's scores, shape (n,).
        reference: the reference's scores on the same samples, shape (n,).
        clusters: name of each sample's cluster, length n, distinct from other strata's by nature; None when
            samples are independent.
        weight: positive weight in the family; weights are normalised.
        lower: smallest possible score; None (with ``upper`` None) when scores are unbounded.
        upper: largest possible score.
    """

    candidate: ArrayLike
    reference: ArrayLike
    clusters: Clusters | None = None
    weight: float = 1.0
    lower: float | None = 0.0
    upper: float | None = 1.0


def stratified_difference(strata: Sequence[Stratum], alpha: float = 0.05) -> PairedEstimate:
    """Estimate the weighted mean of the strata's differences.

    Args:
        strata: the family's members, at least one.
        alpha: error rate of each one-sided bound.

    Returns:
        The estimate; ``n`` and ``clusters`` are totals, ``reference`` and ``candidate`` weighted means.

    Raises:
        ValueError: no strata, a weight that is not positive, or scores that `paired_difference` refuses.
    """
    check_alpha(alpha)
    members = _members(strata)
    tests = _tests(members)
    low, high = tests.bounds(alpha)
    return PairedEstimate(
        n=sum(len(member.new) for member in members),
        clusters=sum(len(member.units.means) for member in members),
        reference=sum(member.weight * float(member.old.mean()) for member in members),
        candidate=sum(member.weight * float(member.new.mean()) for member in members),
        difference=sum(member.weight * float((member.new - member.old).mean()) for member in members),
        low=low,
        high=high,
        alpha=alpha,
        method=f"{tests.method}, {len(members)} strata",
    )


def stratified_drop_pvalue(strata: Sequence[Stratum], margin: float) -> float:
    """Return the p-value of "the family's difference is at least -margin".

    A small value proves a drop larger than ``margin``; it is at most alpha exactly when the upper bound of
    `stratified_difference` at that alpha lies below -margin. Errors as there.
    """
    return _tests(_members(strata)).below.pvalue(-margin)


@dataclass(frozen=True)
class _Member:
    new: Floats
    old: Floats
    units: Units
    weight: float
    spread: float | None


def _members(strata: Sequence[Stratum]) -> list[_Member]:
    if not strata or not all(0 < stratum.weight < np.inf for stratum in strata):
        raise ValueError("a family needs at least one stratum, and positive weights")
    total = sum(stratum.weight for stratum in strata)
    return [_member(stratum, stratum.weight / total) for stratum in strata]


def _member(stratum: Stratum, weight: float) -> _Member:
    lower, upper = stratum.lower, stratum.upper
    new, old = paired_scores(stratum.candidate, stratum.reference, lower, upper)
    spread = None if lower is None or upper is None else upper - lower
    return _Member(new, old, group(new - old, stratum.clusters), weight, spread)


def _tests(members: list[_Member]) -> MeanTests:
    values = np.concatenate([member.units.means for member in members])
    weights = np.concatenate([member.weight / len(member.new) * member.units.sizes for member in members])
    counts = [len(member.units.means) for member in members]
    spreads = [member.spread for member in members if member.spread is not None]
    if len(spreads) == len(members):
        spread = np.repeat(np.array(spreads), counts)
        return bounded_mean_tests(values, weights, -spread, spread)
    return unbounded_mean_tests(values, weights, np.repeat(np.arange(float(len(members))), counts))
