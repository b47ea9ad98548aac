"""The difference over a family of suites or benchmarks: a weighted mean over strata.

In: one `Stratum` of paired scores per suite or benchmark. Out: the weighted mean of the strata's
differences with one-sided bounds, and its p-value.

The strata are fixed, their samples random: each independent unit (a sample, or a cluster of them) adds
weight / samples-of-its-stratum to the mean, and one test of that weighted sum is made for the whole family. Several
checks of the same answers are strata of one `place`: what they say of one prompt is one unit, since they rise and fall
together, and counted apart they would make the bounds too narrow by up to the square root of their number. The test is
one of bounded means (`sfteval.stats.bounded`; `sfteval.stats.unbounded` when a stratum has none). One test of the sum,
rather than a sum of bounds, keeps the family as sharp as one suite of the same size. Differences between
strata count as spread, which errs on the safe side and, with differences of a few points, costs nothing.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfteval.stats.changes import Changes
from sfteval.stats.clusters import Clusters, check_alpha, cluster_codes, group, paired_scores
from sfteval.stats.means import MeanTests, bounded_mean_tests, unbounded_mean_tests
from sfteval.stats.paired import PairedEstimate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stratum:
    """The paired scores of one suite or benchmark.

    Attributes:
        candidate: the candidate's scores, shape (n,).
        reference: the reference's scores on the same samples, shape (n,).
        clusters: name of each sample's cluster, length n; None when samples are independent.
        place: where the samples are from: in strata of one place, clusters of one name are one; None for a place of
            its own.
        weight: positive weight in the family; weights are normalised.
        lower: smallest possible score; None (with ``upper`` None) when scores are unbounded.
        upper: largest possible score.
    """

    candidate: ArrayLike
    reference: ArrayLike
    clusters: Clusters | None = None
    place: Hashable = None
    weight: float = 1.0
    lower: float | None = 0.0
    upper: float | None = 1.0


class Family:
    """The strata, checked and grouped once for every question about them; it answers as `Paired` does.

    Args:
        strata: the family's members, at least one.

    Raises:
        ValueError: no strata, a weight that is not positive, strata that share a place and do not name their
            clusters, or scores that `Paired` refuses.
    """

    def __init__(self, strata: Sequence[Stratum]) -> None:
        """Check the strata and group their samples."""
        places = _members(strata)
        self._members = [member for members in places.values() for member in members]
        self._units = _units(places)
        self._tests = self._units.tests

    def difference(self, alpha: float = 0.05) -> PairedEstimate:
        """Estimate the weighted mean of the strata's differences.

        Args:
            alpha: error rate of each one-sided bound.

        Returns:
            The estimate; ``n`` and ``clusters`` are totals, ``reference`` and ``candidate`` weighted means.

        Raises:
            ValueError: alpha outside (0, 0.5].
        """
        check_alpha(alpha)
        low, high = self._tests.bounds(alpha)
        return PairedEstimate(
            n=sum(len(member.new) for member in self._members),
            clusters=len(self._units.values),
            reference=sum(member.weight * float(member.old.mean()) for member in self._members),
            candidate=sum(member.weight * float(member.new.mean()) for member in self._members),
            difference=sum(member.weight * float((member.new - member.old).mean()) for member in self._members),
            low=low,
            high=high,
            alpha=alpha,
            method=f"{self._tests.method}, {len(self._members)} strata",
        )

    def drop_pvalue(self, margin: float) -> float:
        """Return the p-value of "the family's difference is at least -margin".

        A small value proves a drop larger than ``margin``; it is at most alpha exactly when the upper bound of
        `difference` at that alpha lies below -margin.
        """
        return self._tests.below.pvalue(-margin)

    @property
    def changes(self) -> Changes:
        """How the family's pairs differ, which says what their comparison can show."""
        return Changes.of(self._units.values, self._units.weights, self._units.reaches)


def stratified_difference(strata: Sequence[Stratum], alpha: float = 0.05) -> PairedEstimate:
    """Return `Family.difference`, where it is the only question; arguments and errors as there."""
    return Family(strata).difference(alpha)


def stratified_drop_pvalue(strata: Sequence[Stratum], margin: float) -> float:
    """Return `Family.drop_pvalue`, where it is the only question; arguments and errors as there."""
    return Family(strata).drop_pvalue(margin)


def stratified_changes(strata: Sequence[Stratum]) -> Changes:
    """Return `Family.changes`, where it is the only question; errors as there."""
    return Family(strata).changes


@dataclass(frozen=True)
class _Member:
    new: Floats
    old: Floats
    clusters: Clusters | None
    weight: float
    reach: float


@dataclass(frozen=True)
class _Units:
    """The independent units of a family, each array of shape (units,).

    Attributes:
        values: mean difference.
        weights: weight in the family; their sum is 1.
        reaches: largest possible difference, infinite where a stratum has no bounds.
        places: number of the place.
    """

    values: Floats
    weights: Floats
    reaches: Floats
    places: Floats

    @property
    def tests(self) -> MeanTests:
        """Both one-sided tests of the weighted mean."""
        if np.isfinite(self.reaches).all():
            return bounded_mean_tests(self.values, self.weights, -self.reaches, self.reaches)
        return unbounded_mean_tests(self.values, self.weights, self.places)


def _members(strata: Sequence[Stratum]) -> dict[Hashable, list[_Member]]:
    """Return the strata by place."""
    if not strata or not all(0 < stratum.weight < np.inf for stratum in strata):
        raise ValueError("a family needs at least one stratum, and positive weights")
    total = sum(stratum.weight for stratum in strata)
    places: dict[Hashable, list[_Member]] = {}
    for number, stratum in enumerate(strata):
        own = ("stratum", number) if stratum.place is None else ("place", stratum.place)
        places.setdefault(own, []).append(_member(stratum, stratum.weight / total))
    return places


def _member(stratum: Stratum, weight: float) -> _Member:
    lower, upper = stratum.lower, stratum.upper
    new, old = paired_scores(stratum.candidate, stratum.reference, lower, upper)
    reach = np.inf if lower is None or upper is None else upper - lower
    return _Member(new, old, stratum.clusters, weight, reach)


def _units(places: dict[Hashable, list[_Member]]) -> _Units:
    found = [_alone(*members) if len(members) == 1 else _together(members) for members in places.values()]
    numbers = np.repeat(np.arange(float(len(found))), [len(values) for values, _, _ in found])
    values, weights, reaches = (np.concatenate(each) for each in zip(*found, strict=True))
    return _Units(values, weights, reaches, numbers)


def _alone(member: _Member) -> tuple[Floats, Floats, Floats]:
    """Return value, weight and reach of the units of a stratum that shares its samples with no other."""
    units = group(member.new - member.old, member.clusters)
    weights = member.weight / len(member.new) * units.sizes
    return units.means, weights, np.full(len(weights), member.reach)


def _together(members: list[_Member]) -> tuple[Floats, Floats, Floats]:
    """Return value, weight and reach of the units that several strata share."""
    names = [member.clusters for member in members if member.clusters is not None]
    if [len(each) for each in names] != [len(member.new) for member in members]:
        raise ValueError("strata of one place need the name of each sample's cluster")
    numbered = all(isinstance(each, np.ndarray) and each.dtype.kind in "iu" for each in names)
    joined = np.concatenate([np.asarray(each) for each in names]) if numbered else [n for each in names for n in each]
    codes = cluster_codes(joined)
    shares = np.concatenate([np.full(len(member.new), member.weight / len(member.new)) for member in members])
    steps = np.concatenate([member.new - member.old for member in members])
    reaches = np.concatenate([np.full(len(member.new), member.reach) for member in members])
    weights = np.bincount(codes, weights=shares).astype(np.float64)
    reach = np.bincount(codes, weights=shares * reaches) / weights
    return np.clip(np.bincount(codes, weights=shares * steps) / weights, -reach, reach), weights, reach
