"""What a comparison can show, from how its independent units differ.

In: the differences of the units (samples, or means of clusters) with their weights, or what is expected of them before
anything was run. Out: the smallest drop that is detected, and the number of units at which an unchanged model passes.

Whatever `sfteval.stats.paired` tests with is asked what it would say. Binary pairs: the normal approximation of the
score test (`sfteval.stats.power`). Bounded scores and clusters: Gaffke's test of a sample of three values (fallen by
the usual change, unchanged, risen by it) with the mean absolute and the mean squared difference of the data, whose mean
lies one `power` quantile of its own error on the unlucky side. A drop leaves their variance as it is, or adds falls of
the usual size, whichever is more. Scores without bounds: Student's t.
Units of unequal weight count as (sum of weights)^2 / (sum of squared weights) of them (Kish 1965, Survey Sampling,
section 11.7).

Measured power where 0.9 is asked for (800 comparisons each, alpha 0.05 and 0.0025): graded scores of 30 to 400 samples
0.88 to 0.97, a family 0.93, scores without bounds 0.86 to 0.88, prompts whose answers are all alike 0.94 to 0.99. Known
gap: a drop that adds spread of its own is found less surely, 0.75 to 0.85 for four sampled answers to each of 40 to 300
prompts.
"""

from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sfteval.stats.bounded import BoundedMeanTest
from sfteval.stats.power import samples_to_pass, smallest_detectable_drop
from sfteval.stats.unbounded import FEWEST_DISTINCT, FEWEST_UNITS, away_from_mode

Floats = NDArray[np.float64]
STEPS = 22
"""Halvings of the range of drops: answers are good to a millionth of the score's range."""
MOST_UNITS = 2**40
"""More units than that are none at all."""


@dataclass(frozen=True)
class Changes:
    """How the independent units of a comparison differ, in the unit of the score.

    Attributes:
        units: effective number of independent units.
        share: effective share of units that differ, (mean |d|)^2 / mean d^2: for binary pairs the discordance.
        size: usual size of a change, mean d^2 / mean |d|: for binary pairs 1.
        reach: largest possible change; infinite for scores without bounds.
        heaviest: the most that one unit can move the mean, in changes of `reach` of an effective unit.
        binary: The units are single samples that score 0 or 1, so that the exact test judges them.
    """

    units: float
    share: float
    size: float
    reach: float = 1.0
    heaviest: float = 1.0
    binary: bool = False

    @classmethod
    def of(cls, values: Floats, weights: Floats, reaches: Floats, *, binary: bool = False) -> Self:
        """Measure the changes of units.

        Args:
            values: difference of each unit, shape (units,).
            weights: positive weight of each, shape (units,).
            reaches: largest possible difference of each, shape (units,); infinite where scores have no bounds.
            binary: see the class.
        """
        squares = weights**2 / float(weights @ weights)
        units = float(weights.sum()) ** 2 / float(weights @ weights)
        reach = float(reaches.max())
        heaviest = float((weights * reaches).max()) * units / float(weights.sum()) / reach if reach < inf else 1.0
        if reach == inf and away_from_mode(values) < FEWEST_DISTINCT:
            return cls(units, 1.0, inf, reach)
        change, square = float(squares @ np.abs(values)), float(squares @ values**2)
        return cls.expected(units, change, square, reach=reach, heaviest=heaviest, binary=binary)

    @classmethod
    def expected(
        cls,
        units: float,
        change: float,
        square: float,
        *,
        reach: float = 1.0,
        heaviest: float = 1.0,
        binary: bool = False,
    ) -> Self:
        """Return the changes with a mean absolute and a mean squared difference; at least one unit changes wholly."""
        if square <= 0:
            return cls(units, 1 / units, reach, reach, heaviest, binary)
        share = min(max(change**2 / square, 1 / units), 1.0)
        return cls(units, share, min(square / change, reach), reach, heaviest, binary)

    @property
    def square(self) -> float:
        """Mean squared difference."""
        return self.share * self.size**2

    def detectable_drop(self, *, alpha: float = 0.05, power: float = 0.8, margin: float = 0.0) -> float:
        """Return the smallest true drop that these units prove to exceed the margin.

        Args:
            alpha: one-sided error rate of the gate, already divided among the gates if they share it.
            power: probability with which the drop is to be proven.
            margin: drop that is tolerated, at least 0.

        Returns:
            The drop as a positive difference of mean scores; infinity when so few units cannot prove any.
        """
        if margin >= self.reach:
            return inf
        if self.binary:
            n = round(self.units)
            return smallest_detectable_drop(n, discordance=self.share, alpha=alpha, power=power, margin=margin)
        if self.reach == inf:
            return margin + self._error(self.units, alpha, power)
        if not self._proves(self.units, -self.reach, -margin, alpha, power):
            return inf
        low, high = margin, self.reach
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._proves(self.units, -middle, -margin, alpha, power) else (middle, high)
        return high

    def units_to_pass(self, margin: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
        """Return how many units an unchanged model needs to pass `no_regression`.

        Args:
            margin: drop that is tolerated, above 0; the gate passes when a larger one is excluded.
            alpha: one-sided error rate of the gate.
            power: probability with which an unchanged model is to pass.

        Returns:
            The number; 1 where the margin is larger than any drop, None where no number is known to be enough.
        """
        if margin >= self.reach:
            return 1
        if self.binary:
            return samples_to_pass(margin, discordance=self.share, alpha=alpha, power=power)
        if self.size == inf:
            return None
        high = 1
        while not self._excludes(high, margin, alpha, power):
            high *= 2
            if high > MOST_UNITS:
                return None
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._excludes(middle, margin, alpha, power) else (middle, high)
        return high

    def _excludes(self, units: float, margin: float, alpha: float, power: float) -> bool:
        if self.reach == inf:
            return self._error(units, alpha, power) <= margin
        return self._proves(units, 0.0, margin, alpha, power)

    def _error(self, units: float, alpha: float, power: float) -> float:
        """Distance from the null at which Student's t proves a mean of unbounded scores to differ from it."""
        from scipy.special import stdtrit

        if units < FEWEST_UNITS:
            return inf
        quantiles = -float(stdtrit(units - 1, alpha)) + NormalDist().inv_cdf(power)
        return quantiles * sqrt(self.square / units)

    def _proves(self, units: float, mean: float, null: float, alpha: float, power: float) -> bool:
        """Say whether Gaffke's test proves the mean to be below the null in all but the unluckiest samples."""
        size, share = self._with_drop(-mean)
        unlucky = mean + NormalDist().inv_cdf(power) * sqrt(max(share * size**2 - mean**2, 0.0) / units)
        if unlucky >= null:
            return False
        net = unlucky / size
        share = max(share, abs(net))
        counts = units * np.array([(share - net) / 2, 1 - share, (share + net) / 2])
        kept = counts > 0
        ceilings = np.full(int(kept.sum()), null + self.heaviest * (self.reach - null))
        values = np.array([-size, 0.0, size])[kept]
        return BoundedMeanTest(values, np.ones(len(values)), counts[kept], ceilings).pvalue(null) <= alpha

    def _with_drop(self, drop: float) -> tuple[float, float]:
        """Return size and share of changes that average to a drop and vary about it no less than they do now."""
        if drop <= 0:
            return self.size, self.share
        square = max(self.square + drop**2, drop * self.size)
        size = min(self.reach, sqrt(square / self.share), square / drop)
        return size, min(square / size**2, 1.0)
