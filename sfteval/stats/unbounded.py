"""Mean of scores without known bounds: a t test adjusted for skewness, robust to clusters.

In: an estimate and the influence of each independent unit (cluster) on it. Out: p-values and upper bounds.

Without bounds no method holds for every distribution (Bahadur and Savage 1956, Annals of Mathematical
Statistics 27, 1115-1122): one rare, huge value can always be missing from the sample. This one takes the
more cautious of Student's t and its monotone transform in which the first-order effect of skewness vanishes
(Hall 1992, Journal of the Royal Statistical Society B 54, 221-228), with the variance between clusters
(Liang and Zeger 1986, Biometrika 73, 13-22). It refuses to say anything on fewer than `FEWEST_UNITS`
clusters, or when fewer than `FEWEST_DISTINCT` of them differ from the commonest one.
"""

from dataclasses import dataclass
from math import cbrt, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from sfteval.stats.onesided import OneSidedTest

FEWEST_UNITS = 20
"""Independent units below which the bounds are infinite."""
FEWEST_DISTINCT = 10
"""Units that must differ from the commonest value, or the variance says too little about the tail."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SilentTest:
    """The answer when there are too few units: every p-value is 1 and every bound infinite."""

    method = "none (too few independent samples without bounds)"

    def pvalue(self, null: float) -> float:
        """Return 1."""
        return 1.0

    def bound(self, alpha: float) -> float:
        """Return infinity."""
        return inf


@dataclass(frozen=True)
class SkewnessAdjustedTest:
    """Test of "mean >= null"; see `sfteval.stats.onesided.OneSidedTest`.

    Attributes:
        estimate: estimated mean.
        error: its standard error.
        lean: skewness of the influences over the square root of their number.
        freedom: degrees of freedom of the standard error.
    """

    estimate: float
    error: float
    lean: float
    freedom: float
    method = "skewness-adjusted t (Hall 1992), cluster-robust"

    def pvalue(self, null: float) -> float:
        """Return the p-value of "mean >= null"."""
        from scipy.special import stdtr

        plain, slope = (self.estimate - null) / self.error, self.lean / 3
        adjusted = ((1 + slope * plain) ** 3 - 1) / (3 * slope) if abs(slope) > 1e-9 else plain
        return float(stdtr(self.freedom, max(plain, adjusted + self.lean / 6)))

    def bound(self, alpha: float) -> float:
        """Return the upper confidence bound of the mean at level 1 - alpha."""
        from scipy.special import stdtrit

        plain, slope = float(stdtrit(self.freedom, alpha)), self.lean / 3
        adjusted = plain - self.lean / 6
        adjusted = (cbrt(1 + 3 * slope * adjusted) - 1) / slope if abs(slope) > 1e-9 else adjusted
        return self.estimate - self.error * min(plain, adjusted)


def unbounded_test(estimate: float, influences: Floats, shares: Floats, strata: int = 1) -> OneSidedTest:
    """Choose the test of a mean of unbounded scores.

    Args:
        estimate: the weighted mean.
        influences: share times (value minus the mean of its stratum) of each unit, shape (units,).
        shares: weight of each unit in the estimate, shape (units,), summing to 1.
        strata: means that were subtracted to get the influences.

    Returns:
        `SkewnessAdjustedTest`, or `SilentTest` when there are too few units to judge their spread.
    """
    units = len(influences)
    effective = 1 / float(shares @ shares)
    if min(units, round(effective)) - strata + 1 < FEWEST_UNITS or away_from_mode(influences) < FEWEST_DISTINCT:
        return SilentTest()
    square = float(influences @ influences)
    skewness = float(np.sum(influences**3)) / square**1.5 * sqrt(units)
    error = sqrt(square * units / (units - strata))
    return SkewnessAdjustedTest(estimate, error, skewness / sqrt(units), min(units, effective) - strata)


def away_from_mode(values: Floats) -> int:
    """Return how many values differ from the commonest one."""
    return len(values) - int(np.unique(np.round(values, 12), return_counts=True)[1].max())
