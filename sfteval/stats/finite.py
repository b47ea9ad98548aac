"""The mean of a finite benchmark, from a part of it that grows block by block.

In: scores (or paired differences) in the order in which they were drawn, the ends of the blocks in which they came,
the size of the whole benchmark. Out: evidence about the mean over the *whole* benchmark that holds whenever one looks,
so that stopping as soon as a question is settled costs no error rate; and the same for the endless supply of which the
benchmark is a sample.

Betting without replacement (Waudby-Smith and Ramdas 2020, NeurIPS 33, arXiv:2006.04347; 2023, JRSS B 86, 1-27): against
"the mean is at most null" a gambler stakes a share of his capital on each score being above what the rest must average
if the null were true. If it is, his capital exceeds 1 / alpha with probability at most alpha (Ville). What is new here
is whom he bets like: one gambler per *end value* of the benchmark (null plus a few of its standard errors), each of
whom always bets for the rest of the benchmark that this end leaves, so stakes grow as the rest shrinks. That is the
likelihood-ratio boundary of a bridge; a mixture of constant stakes needs about 8 % more samples near the margin.

Blocks may be stratified (`proportional_blocks`): within a block stake and null mean stay fixed. Draws without
replacement are negatively associated (Joag-Dev and Proschan 1983, Annals of Statistics 11, 286-295), so the block's
product of rising factors has at most the product of their means, and that is at most exp(sum of expected counts times
(stratum mean - null mean)) = 1 when the expected counts are proportional to what is left of each stratum.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, floor, inf, log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfteval.stats.clusters import as_scores, check_alpha

Floats = NDArray[np.float64]

ENDS = np.array([1.5, 3.0, 6.0, 9.0])
"""Ends that are bet on, in standard errors of the whole benchmark's mean above the null."""
TRUST = np.array([2.0, 2.0, 3.0, 2.0]) / 9.0
"""Share of the capital on each."""
STAKE = 0.9
"""Largest share of the capital that can be lost on one score."""
PRIOR = 4.0
"""Scores' worth of prior variance (a quarter of the half range, squared), so that the first stakes are small."""
SETTLED = 0.02
"""Error rate at which a question about the whole benchmark counts as settled; below every gate's alpha."""


@dataclass(frozen=True)
class FiniteEstimate:
    """The mean of a benchmark of which a part was seen.

    Attributes:
        n: scores seen.
        population: scores of the whole benchmark.
        mean: mean of those seen.
        low: lower bound of the whole benchmark's mean; at any time wrong with probability at most alpha.
        high: upper bound, likewise.
    """

    n: int
    population: int
    mean: float
    low: float
    high: float
    method: str = "betting on a finite benchmark (anytime-valid)"


def evidence_above(
    values: ArrayLike,
    ends: Sequence[int],
    nulls: ArrayLike,
    *,
    population: int,
    lower: float,
    upper: float,
    replaced: bool = False,
) -> Floats:
    """Return how strongly the scores speak against "the mean is at most null", for each null value.

    Args:
        values: scores in drawn order, shape (n,).
        ends: number of scores seen at the end of each block, rising, the last one n.
        nulls: null values, shape (k,).
        population: scores of the whole benchmark; also the horizon that the stakes aim at.
        lower: smallest possible score.
        upper: largest possible score.
        replaced: True tests the mean of the endless supply instead of the benchmark's own.

    Returns:
        Natural log of the largest capital after any block, shape (k,); ``exp(-x)`` is an anytime-valid p-value.
        Infinite where the null is impossible, whatever the rest holds.

    Raises:
        ValueError: scores out of range, more than the population, or ends that do not fit.
    """
    array = as_scores(values, "values", lower, upper)
    _check_ends(ends, len(array), population)
    bets = Bets(np.atleast_1d(np.asarray(nulls, dtype=float)), population, lower, upper, replaced)
    for start, end in pairwise([0, *ends]):
        bets.place(array[start:end])
    return bets.best


def _check_ends(ends: Sequence[int], n: int, population: int) -> None:
    if not ends or ends[-1] != n or any(b <= a for a, b in pairwise([0, *ends])):
        raise ValueError(f"blocks must be filled and end at the {n} scores, found {list(ends)[-3:]}")
    if n > population:
        raise ValueError(f"{n} scores from a population of {population}")


class Bets:
    """The gamblers' capital against each null value; `evidence_above` block by block, with its arguments.

    Attributes:
        best: natural log of the largest capital so far, shape (nulls,).
    """

    def __init__(self, nulls: Floats, population: int, lower: float, upper: float, replaced: bool = False) -> None:
        """Start with nothing seen."""
        self._nulls, self._population, self._replaced = nulls, population, replaced
        self._lower, self._range = lower, upper - lower
        self._capital = np.tile(np.log(TRUST), (len(nulls), 1))
        self._seen, self._total, self._squares = 0, 0.0, 0.0
        self.best = np.zeros(len(nulls))

    def place(self, block: Floats) -> None:
        """Bet on one block; stakes depend on the blocks before it only."""
        left = self._population - self._seen
        means = self._nulls if self._replaced else (self._population * self._nulls - self._total) / left
        stakes = self._stakes(means, self._population / (self._population if self._replaced else left))
        scores, counts = np.unique(block, return_counts=True)
        moves = scores[None, :] - means[:, None]
        with np.errstate(invalid="ignore"):
            gains = np.log1p(np.maximum(stakes[:, :, None] * moves[:, None, :], -1 + 1e-12)) @ counts
        self._capital += np.where(np.isfinite(stakes), gains, 0.0)
        self._seen += len(block)
        self._total += float(block.sum())
        centred = block - self._lower - self._range / 2
        self._squares += float(centred @ centred)
        peak = self._capital.max(axis=1)
        capital = peak + np.log(np.exp(self._capital - peak[:, None]).sum(axis=1))
        self.best = np.maximum(self.best, capital)
        if not self._replaced:
            least = self._total + (self._population - self._seen) * self._lower
            self.best = np.where(self._population * self._nulls < least - 1e-9 * self._population, inf, self.best)

    def _stakes(self, means: Floats, growth: float) -> Floats:
        """Kelly's stake, to second order, of each gambler against each null mean of the rest, shape (nulls, ends)."""
        half = self._range / 2
        weight = self._seen + PRIOR
        centre = (self._total - self._seen * (self._lower + half)) / weight
        variance = max((self._squares + PRIOR * (half / 2) ** 2) / weight - centre**2, 1e-3 * half**2)
        gains = ENDS * growth * np.sqrt(variance / self._population)
        most = STAKE / np.maximum(means - self._lower, 1e-9 * self._range)
        stakes = np.minimum(gains / (variance + gains**2), most[:, None])
        return np.where((means >= self._lower + self._range)[:, None], 0.0, stakes)


def finite_pvalue(
    values: ArrayLike,
    ends: Sequence[int],
    null: float,
    *,
    population: int,
    lower: float,
    upper: float,
    replaced: bool = False,
) -> float:
    """Return the anytime-valid p-value of "the mean is at least null"; arguments as for `evidence_above`."""
    negated = -np.asarray(values, dtype=float)
    found = evidence_above(negated, ends, [-null], population=population, lower=-upper, upper=-lower, replaced=replaced)
    return exp(-float(found[0]))


def finite_mean(  # noqa: PLR0913 - what is known of the scores, then of the question
    values: ArrayLike,
    ends: Sequence[int],
    *,
    population: int,
    lower: float,
    upper: float,
    alpha: float = SETTLED,
    replaced: bool = False,
    grid: int = 801,
) -> FiniteEstimate:
    """Bound the mean of the whole benchmark (or, ``replaced``, of the endless supply).

    Args:
        values: scores in drawn order, shape (n,).
        ends: number of scores seen at the end of each block.
        population: scores of the whole benchmark.
        lower: smallest possible score.
        upper: largest possible score.
        alpha: error rate of each bound over all times.
        replaced: True bounds the mean of the endless supply.
        grid: null values that are tried; bounds are rounded outwards to their spacing.

    Returns:
        The estimate; when all of the benchmark was seen its mean is known, and both bounds are that mean.

    Raises:
        ValueError: as `evidence_above`, or alpha outside (0, 0.5].
    """
    check_alpha(alpha)
    array = as_scores(values, "values", lower, upper)
    mean = float(array.mean())
    if len(array) == population and not replaced:
        return FiniteEstimate(len(array), population, mean, mean, mean)
    nulls = np.linspace(lower, upper, grid)
    above = evidence_above(array, ends, nulls, population=population, lower=lower, upper=upper, replaced=replaced)
    below = evidence_above(-array, ends, -nulls, population=population, lower=-upper, upper=-lower, replaced=replaced)
    refuted_low, refuted_high = nulls[above >= log(1 / alpha)], nulls[below >= log(1 / alpha)]
    low = float(refuted_low.max()) if len(refuted_low) else lower
    high = float(refuted_high.min()) if len(refuted_high) else upper
    return FiniteEstimate(len(array), population, mean, min(low, high), max(low, high))


def proportional_blocks(order: Sequence[int], strata: Sequence[Hashable], *, blocks: int, seed: int) -> list[list[int]]:
    """Draw a whole benchmark into blocks, each stratum in proportion.

    Args:
        order: all positions in random order, drawn before any score was seen.
        strata: stratum of each position, length n.
        blocks: number of blocks, about equally large.
        seed: of the draw.

    Returns:
        The positions of each block's samples. Expected counts are exactly proportional to what is left of each
        stratum, rounded up or down independently at random, which is what the bets need.
    """
    rng = np.random.default_rng(seed)
    waiting: dict[Hashable, list[int]] = {}
    for position in reversed(order):
        waiting.setdefault(strata[position], []).append(position)
    drawn: list[list[int]] = []
    for left in range(blocks, 0, -1):
        block: list[int] = []
        for name in sorted(waiting, key=repr):
            expected = len(waiting[name]) / left
            count = floor(expected) + int(rng.random() < expected - floor(expected))
            block += [waiting[name].pop() for _ in range(count)]
        if block:
            drawn.append([block[i] for i in rng.permutation(len(block))])
    return drawn
