"""Mean of bounded scores without normality: Gaffke's bound.

In: independent values (cluster means), their weights, and the ceiling that no value can exceed.
Out: p-values of "mean >= null" and upper bounds of the mean.

Gaffke (2005, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
variable"; studied as a confidence bound by Learned-Miller and Thomas 2019, arXiv:1905.06208) adds one
value at the ceiling and weights the n + 1 values by a uniform draw from the simplex; the p-value is the
probability that the weighted mean reaches the null value. On binary data that is the Clopper-Pearson
bound, on large samples the normal one, so nothing is paid for holding at n = 3. That it covers at every n
is proven for two-point distributions and conjectured in general; no counterexample is known. Betting
bounds, which are proven, are about 1.5 times as wide; `sfteval.stats.finite` has them.

The simplex draw is a ratio of exponentials, so the p-value is P(sum_k E_k a_k (x_k - null) >= 0) with E_k
standard exponential: a sum whose cumulants are known. The saddlepoint formula of Lugannani and Rice (1980,
Advances in Applied Probability 12, 475-490) gives it without simulation, in any order of the samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from sfteval.stats.onesided import falling_root

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BoundedMeanTest:
    """Test of "weighted mean >= null"; see `sfteval.stats.onesided.OneSidedTest`.

    Attributes:
        values: distinct values, shape (k,).
        weights: positive weight of one occurrence of each value, shape (k,).
        counts: occurrences of each value, shape (k,).
        ceilings: largest possible value at each place, shape (k,).
    """

    values: Floats
    weights: Floats
    counts: Floats
    ceilings: Floats
    method = "Gaffke (bounded, no normality)"

    @classmethod
    def of(cls, values: Floats, weights: Floats, ceilings: Floats) -> "BoundedMeanTest":
        """Build the test from independent values, their weights and ceilings, each of shape (n,).

        Values that share weight and ceiling are counted, not repeated: a family of binary scores has a handful.
        """
        if (weights == weights[0]).all() and (ceilings == ceilings[0]).all():
            distinct, counts = np.unique(values, return_counts=True)
            same = np.ones(len(distinct))
            return cls(distinct, weights[0] * same, counts.astype(float), ceilings[0] * same)
        codes = np.zeros(len(values), dtype=np.intp)
        for place in (weights, ceilings, values):
            found, code = np.unique(place, return_inverse=True)
            codes = codes * len(found) + code
        _, first, counts = np.unique(codes, return_index=True, return_counts=True)
        return cls(values[first], weights[first], counts.astype(float), ceilings[first])

    def pvalue(self, null: float) -> float:
        """Return the p-value of "mean >= null"."""
        endpoint = float(np.max(self.weights * (self.ceilings - null)))
        if endpoint <= 0:
            return float(self.values.min() >= null)
        terms = np.append(self.weights * (self.values - null), endpoint)
        return exponential_sum_tail(terms, np.append(self.counts, 1.0))

    def bound(self, alpha: float) -> float:
        """Return the upper confidence bound of the mean at level 1 - alpha."""
        from scipy.special import ndtri

        level = float(ndtri(alpha))

        def excess(null: float) -> float:
            return min(max(float(ndtri(self.pvalue(null))), -39.0), 39.0) - level  # finite for the secant

        low, high = self._bracket(excess, level)
        width = float(self.ceilings.max() - self.values.min())
        return falling_root(excess, low, high, 1e-11 * width)

    def _bracket(self, excess: Callable[[float], float], level: float) -> tuple[float, float]:
        """Enclose the bound, starting from the normal approximation."""
        shares = self.weights * self.counts / (self.weights @ self.counts)
        mean, ceiling = float(shares @ self.values), float(self.ceilings.max())
        spread = float(shares * self.weights @ (self.values - mean) ** 2) / float(self.weights @ self.counts)
        endpoint = float(np.max(self.weights * (self.ceilings - mean))) / float(self.weights @ self.counts)
        low = mean if excess(mean) > 0 else float(self.values.min())
        step = 1.05 * (sqrt(spread) * -level + endpoint)
        high = min(mean + step, ceiling)
        while high < ceiling and excess(high) > 0:
            low, step = high, 2 * step
            high = min(mean + step, ceiling)
        return low, high


def exponential_sum_tail(terms: Floats, counts: Floats) -> float:
    """Return P(sum_k terms_k G_k >= 0) for independent gamma variables G_k of shape ``counts_k``.

    Args:
        terms: coefficients, shape (k,).
        counts: gamma shapes, shape (k,); 1 is an exponential.

    Returns:
        The saddlepoint approximation of Lugannani and Rice; 1 when no coefficient is negative, 0 when none
        is positive.
    """
    from scipy.special import ndtr

    terms = terms / np.abs(terms).max()
    if terms.min() >= 0:
        return 1.0
    if terms.max() <= 0:
        return 0.0
    saddle, ratios = _saddlepoint(terms, counts)
    curvature = float(counts @ ratios**2)
    exponent = float(counts @ np.log1p(-saddle * terms))
    signed = float(np.copysign(sqrt(max(2 * exponent, 0.0)), saddle))
    density = exp(-signed * signed / 2) / sqrt(2 * pi)
    if abs(signed) < 1e-3:
        correction = -float(counts @ ratios**3) / (3 * curvature**1.5)
    else:
        correction = 1 / (saddle * sqrt(curvature)) - 1 / signed
    return float(min(1.0, max(0.0, ndtr(-signed) + density * correction)))


def _saddlepoint(terms: Floats, counts: Floats) -> tuple[float, Floats]:
    """Solve sum_k counts_k terms_k / (1 - t terms_k) = 0 for t; also return the ratios terms / (1 - t terms)."""
    low, high = 1 / float(terms.min()), 1 / float(terms.max())
    point = 0.0
    ratios = terms
    for _ in range(100):
        ratios = terms / (1 - point * terms)
        slope, curvature = float(counts @ ratios), float(counts @ ratios**2)
        if slope > 0:
            high = point
        else:
            low = point
        step = -slope / curvature
        if abs(step) * sqrt(curvature) < 1e-9:
            break
        # Newton, kept inside the bracket: half way to the pole where it would leave it.
        point = point + step if low < point + step < high else (low + high) / 2
    return point, ratios
