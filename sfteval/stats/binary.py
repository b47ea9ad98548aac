"""Paired binary scores: exact one-sided tests of the difference, and McNemar's test.

In: the number of pairs, of gains (candidate 1, reference 0) and of losses (candidate 0, reference 1).
Out: p-values of "d >= null" and upper bounds of d = P(gain) - P(loss); the lower bound is the upper bound
of the table with gains and losses exchanged.

Up to `EXACT_DISCORDANT` discordant pairs the test is exact and unconditional: tables are ordered by the
score statistic of Tango (1998, Statistics in Medicine 17, 891-908), and the tail probability is maximised
over the unknown rate of discordance (Hsueh, Liu and Chen 2001, Biometrics 57, 478-483) inside its
Clopper-Pearson region, whose error rate is added to the p-value (Berger and Boos 1994, JASA 89, 1012-1016).
Beyond that the score statistic is referred to the normal distribution, half a pair nearer to the null.
Known gaps: no p-value is below `REGION_ERROR`; the p-value can fall and rise again within a small fraction
of a pair, which costs at most 0.07 points of coverage (complete enumeration at n = 10, 30 and 100).
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfteval.stats.onesided import tree_bound, tree_pvalue

EXACT_DISCORDANT = 200
"""Discordant pairs up to which tail probabilities are summed exactly."""
REGION_ERROR = 1e-6
"""Error rate of the region in which the discordance rate is searched."""
GRID = 40
"""Discordance rates at which the tail probability is evaluated."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedBinaryTest:
    """Test of "d >= null" on a paired 2x2 table; see `sfteval.stats.onesided.OneSidedTest`.

    Attributes:
        n: pairs.
        gains: pairs that only the candidate got right.
        losses: pairs that only the reference got right.
    """

    n: int
    gains: int
    losses: int

    def __post_init__(self) -> None:
        """Refuse a table that cannot exist."""
        if min(self.gains, self.losses) < 0 or self.gains + self.losses > self.n or self.n < 1:
            raise ValueError(f"not a paired table: n={self.n}, gains={self.gains}, losses={self.losses}")

    def pvalue(self, null: float) -> float:
        """Return the p-value of "d >= null"; at most alpha exactly when ``bound(alpha) < null``."""
        return tree_pvalue(self._tail, null)

    def bound(self, alpha: float) -> float:
        """Return the upper confidence bound of d at level 1 - alpha."""
        return tree_bound(self._tail, alpha)

    @property
    def method(self) -> str:
        """Name of the test that this table gets."""
        exact = self.gains + self.losses <= EXACT_DISCORDANT
        return "exact unconditional (Tango score order)" if exact else "score (Tango) with continuity correction"

    def _tail(self, null: float) -> float:
        if self.gains + self.losses <= EXACT_DISCORDANT:
            return exact_tail(self.n, self.gains, self.losses, null)
        return NormalDist().cdf(float(tango_score(self.n, self.gains, self.losses, null, shift=0.5)))


def score_bounds(n: int, gains: int, losses: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return one-sided bounds of d by Tango's score with continuity correction: for pictures of many tables.

    Gates use `PairedBinaryTest`, which is exact for small tables and a hundred times slower.

    Args:
        n: pairs.
        gains: pairs that only the candidate got right.
        losses: pairs that only the reference got right.
        alpha: error rate of each bound.
    """

    def upper(up: int, down: int) -> float:
        return tree_bound(lambda null: NormalDist().cdf(float(tango_score(n, up, down, null, shift=0.5))), alpha)

    return -upper(losses, gains), upper(gains, losses)


def tango_score(n: int, gains: Any, losses: Any, null: float, *, shift: float = 0.0) -> Floats:
    """Return Tango's (1998) score statistic of d = null, standard normal under it.

    Args:
        n: pairs.
        gains: number, or array, of gains.
        losses: number, or array, of losses; broadcasts with ``gains``.
        null: hypothesised difference in (-1, 1).
        shift: added to gains - losses (0.5 is the conservative continuity correction for "d >= null").

    Returns:
        (gains - losses + shift - n null) / sqrt(n (rate - null^2)), where ``rate`` is the maximum likelihood
        estimate of the discordance rate given d = null; 0 where numerator and variance vanish.
    """
    b, c = np.asarray(gains, dtype=float), np.asarray(losses, dtype=float)
    linear = -b - c + (2 * n - b + c) * null
    constant = c * null * (1 - null)
    loss_rate = (np.sqrt(linear * linear + 8 * n * constant) - linear) / (4 * n)
    loss_rate = np.maximum(loss_rate, max(0.0, -null))
    variance = n * np.maximum(2 * loss_rate + null - null * null, 0.0)
    distance = b - c + shift - n * null
    scale = np.sqrt(np.maximum(variance, 1e-300))
    return np.where(np.abs(distance) < 1e-12, 0.0, distance / scale)


@lru_cache(maxsize=65536)
def exact_tail(n: int, gains: int, losses: int, null: float) -> float:
    """Return the exact unconditional p-value of "d >= null".

    Args:
        n: pairs.
        gains: pairs that only the candidate got right.
        losses: pairs that only the reference got right.
        null: hypothesised difference in (-1, 1).

    Returns:
        `REGION_ERROR` plus the largest probability, over the discordance rates of the region, of a table
        whose score is no larger than the observed one; at most 1. Above one half, the probability at the
        likeliest rate.
    """
    lowest, highest = _rate_region(n, gains + losses)
    lowest = max(lowest, null)  # d >= null needs that much discordance
    if lowest > highest:
        return REGION_ERROR
    # Where d = null leaves only losses, or only gains, the probability has a kink.
    kink = min(max(lowest, abs(null)), highest)
    rates = np.append(np.linspace(sqrt(lowest), sqrt(highest), GRID) ** 2, kink)
    likeliest = max(min(max((gains + losses) / n, abs(null)), highest), lowest)
    losses_listed = np.arange(_likely_maximum(n, float(max(kink, highest))) + 1.0)
    score = float(tango_score(n, gains, losses, null))
    edge = _rejection_edge(n, losses_listed, null, score + 1e-9)
    # A p-value above one half decides nothing, so one rate is enough to show that it is.
    largest = _region_probability(n, edge, null, np.array([likeliest]))
    if largest < 0.5:
        largest = max(largest, _region_probability(n, edge, null, rates))
    return min(1.0, REGION_ERROR + largest)


def _rate_region(n: int, discordant: int) -> tuple[float, float]:
    """Clopper-Pearson interval of the discordance rate at level 1 - `REGION_ERROR`."""
    from scipy.special import betaincinv

    tail = REGION_ERROR / 2
    low = 0.0 if discordant == 0 else float(betaincinv(discordant, n - discordant + 1, tail))
    high = 1.0 if discordant == n else float(betaincinv(discordant + 1, n - discordant, 1 - tail))
    return low, high


def _likely_maximum(n: int, rate: float) -> int:
    """Bound a binomial count up to a probability below 1e-12 (Bernstein's inequality)."""
    depth = 28.0
    spread = sqrt(2 * n * rate * (1 - rate) * depth + (depth / 3) ** 2) + depth / 3
    return min(n, ceil(n * rate + spread))


def _rejection_edge(n: int, losses: Floats, null: float, score: float) -> Floats:
    """For each number of losses, find the most gains whose score is still at most ``score`` (-1: none)."""
    low, high = np.full_like(losses, -1.0), n - losses
    for _ in range(n.bit_length() + 1):
        middle = np.ceil((low + high) / 2)
        inside = (tango_score(n, np.maximum(middle, 0.0), losses, null) <= score) & (middle > low)
        low, high = np.where(inside, middle, low), np.where(inside, high, np.maximum(middle - 1, low))
    return low


def _region_probability(n: int, edge: Floats, null: float, rates: Floats) -> float:
    """Largest probability, over the discordance rates, of {gains <= edge[losses]} when d >= null.

    At a rate too small for d = null, d is as small as the rate allows. Losses that are not listed in
    ``edge``, or too unlikely to matter, count as inside.
    """
    from scipy.special import betainc, gammaln, xlog1py, xlogy

    gain_rates = np.clip((rates + null) / 2, 0.0, rates)[:, None]
    loss_rates = rates[:, None] - gain_rates
    losses, rest = np.arange(len(edge)), n - np.arange(len(edge))
    choose = gammaln(n + 1) - gammaln(losses + 1) - gammaln(rest + 1)
    mass = np.exp(choose + xlogy(losses, loss_rates) + xlog1py(rest, -loss_rates))
    inside = np.where(edge < 0, 0.0, 1.0) * np.ones_like(loss_rates)
    row, column = np.nonzero((mass > 1e-14) & (edge >= 0) & (edge < rest))
    failure = np.clip(1 - gain_rates / np.maximum(1 - loss_rates, 1e-300), 0.0, 1.0)[row, 0]
    inside[row, column] = betainc(rest[column] - edge[column], edge[column] + 1, failure)
    left_out = np.maximum(1 - mass.sum(axis=1), 0.0)
    return float(((mass * inside).sum(axis=1) + left_out).max())


def mcnemar_midp(gains: int, losses: int) -> float:
    """Return the two-sided McNemar mid-p value of equal error rates.

    Args:
        gains: pairs that only the candidate got right.
        losses: pairs that only the reference got right.

    Returns:
        Twice the smaller one-sided mid-p value, at most 1 (Fagerland, Lydersen and Laake 2013, BMC Medical
        Research Methodology 13:91). 1 when no pair is discordant.
    """
    return min(1.0, 2 * min(mcnemar_midp_drop(gains, losses), mcnemar_midp_drop(losses, gains)))


def mcnemar_midp_drop(gains: int, losses: int) -> float:
    """Return the one-sided McNemar mid-p value of "no drop"; exchange the arguments for "no gain".

    Given the discordant pairs, gains are binomial with probability one half: P(fewer) + P(as many) / 2.
    """
    from scipy.special import bdtr

    if min(gains, losses) < 0:
        raise ValueError(f"counts must not be negative: gains={gains}, losses={losses}")
    discordant = gains + losses
    up_to = float(bdtr(gains, discordant, 0.5))
    fewer = float(bdtr(gains - 1, discordant, 0.5)) if gains else 0.0
    return (up_to + fewer) / 2
