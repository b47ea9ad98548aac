"""The two one-sided tests of a weighted mean of independent values.

In: values with their weights and, if known, the floor and the ceiling of each. Out: a test that the mean is
small and a test that it is large, which together give bounds and p-values.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfteval.stats.bounded import BoundedMeanTest
from sfteval.stats.onesided import OneSidedTest
from sfteval.stats.unbounded import unbounded_test

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MeanTests:
    """Both sides of the evidence about a mean.

    Attributes:
        below: test of "mean >= null", small when the mean is small.
        above: test of "-mean >= null", small when the mean is large.
    """

    below: OneSidedTest
    above: OneSidedTest

    @property
    def method(self) -> str:
        """Name of the method, for reports."""
        return self.below.method

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return the lower and the upper bound of the mean, each at level 1 - alpha."""
        return -self.above.bound(alpha), self.below.bound(alpha)


def bounded_mean_tests(values: Floats, weights: Floats, floors: Floats, ceilings: Floats) -> MeanTests:
    """Test a weighted mean of bounded values; see `sfteval.stats.bounded`.

    Args:
        values: independent values, shape (k,).
        weights: positive weight of each, shape (k,).
        floors: smallest possible value at each place, shape (k,).
        ceilings: largest possible value at each place, shape (k,).
    """
    below = BoundedMeanTest.of(values, weights, ceilings)
    return MeanTests(below, BoundedMeanTest.of(-values, weights, -floors))


def unbounded_mean_tests(values: Floats, weights: Floats, strata: Floats | None = None) -> MeanTests:
    """Test a weighted mean of values without bounds; see `sfteval.stats.unbounded`.

    Args:
        values: independent values, shape (k,).
        weights: positive weight of each, shape (k,).
        strata: number of each value's stratum, shape (k,); None when there is one.
    """
    shares = weights / weights.sum()
    mean = float(shares @ values)
    codes = np.zeros(len(values), dtype=np.intp) if strata is None else strata.astype(np.intp)
    centres = np.bincount(codes, weights=shares * values) / np.bincount(codes, weights=shares)
    influences = shares * (values - centres[codes])
    below = unbounded_test(mean, influences, shares, len(centres))
    return MeanTests(below, unbounded_test(-mean, -influences, shares, len(centres)))
