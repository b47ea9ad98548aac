"""A difference that may be looked at after every sample.

In: paired differences, batch by batch, in an order drawn at random before any was seen. Out: bounds that hold at
all times at once, so that stopping as soon as a verdict is settled costs no error rate.

Betting confidence sequence (Waudby-Smith and Ramdas 2023, Journal of the Royal Statistical Society B 86,
1-27, arXiv:2010.09686): for each candidate mean on a grid, a gambler who bets that the truth is larger can
multiply his capital by 1 / alpha only with probability alpha if it is not. With a finite ``population``
the bets use the mean of what is left (without replacement), and the bounds meet when all has been seen.
"""

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfteval.stats.clusters import as_scores, check_alpha

CHUNK = 256
"""Samples whose bets are evaluated in one array operation."""
STAKE = 0.5
"""Largest share of the capital that can be lost on one sample."""

Floats = NDArray[np.float64]


@dataclass
class _Plan:
    """Running moments that the size of the next bet is computed from."""

    seen: int = 0
    total: float = 0.0
    squares: float = 0.0

    def bets(self, batch: Floats, alpha: float) -> Floats:
        """Return the bet on each sample, each computed from the samples before it, and move on."""
        times = self.seen + np.arange(1, len(batch) + 1)
        totals = self.total + np.cumsum(batch)
        deviations = (batch - (0.5 + totals) / (times + 1)) ** 2
        squares = self.squares + np.cumsum(deviations)
        before = np.concatenate([[self.squares], squares[:-1]])
        variances = (0.25 + before) / times
        self.seen, self.total, self.squares = int(times[-1]), float(totals[-1]), float(squares[-1])
        return np.asarray(np.sqrt(2 * log(1 / alpha) / (variances * times * np.log1p(times))))


class DifferenceSequence:
    """Bounds of the mean of bounded paired differences, valid whenever one looks.

    Attributes:
        n: samples seen.
        mean: mean of the differences seen, NaN before the first.
        low: lower bound; the probability that it ever exceeds the true mean is at most alpha.
        high: upper bound, likewise.
    """

    def __init__(
        self,
        *,
        lower: float = 0.0,
        upper: float = 1.0,
        alpha: float = 0.05,
        population: int | None = None,
        grid: int = 4001,
    ) -> None:
        """Start with nothing seen.

        Args:
            lower: smallest possible score of either model.
            upper: largest possible score.
            alpha: error rate of each bound over all times.
            population: number of samples in the whole benchmark when they are drawn without replacement;
                the bounds are then for the mean over the benchmark itself. None: an endless supply.
            grid: candidate means; bounds are rounded outwards to their spacing.

        Raises:
            ValueError: an argument outside its range.
        """
        check_alpha(alpha)
        if not lower < upper or grid < 3 or (population is not None and population < 1):
            raise ValueError(f"no sequence of {lower=}, {upper=}, {population=}, {grid=}")
        self._range, self._alpha, self._population = upper - lower, alpha, population
        self._low, self._high = 0.0, 1.0
        self._means = np.linspace(0.0, 1.0, grid)
        self._capital = np.zeros((2, grid))
        self._plan = _Plan()

    @property
    def n(self) -> int:
        """Samples seen."""
        return self._plan.seen

    @property
    def mean(self) -> float:
        """Mean of the differences seen."""
        return self._unscale(self._plan.total / self.n) if self.n else float("nan")

    @property
    def low(self) -> float:
        """Lower bound at level 1 - alpha over all times."""
        return self._unscale(self._low)

    @property
    def high(self) -> float:
        """Upper bound at level 1 - alpha over all times."""
        return self._unscale(self._high)

    def update(self, batch: ArrayLike) -> tuple[float, float]:
        """Add paired differences and return the bounds.

        Args:
            batch: differences, candidate minus reference, in the drawn order, shape (k,).

        Returns:
            The lower and the upper bound, each at level 1 - alpha over all times.

        Raises:
            ValueError: empty, NaN, out of range, or more samples than the population holds.
        """
        differences = as_scores(batch, "differences", -self._range, self._range)
        if self._population is not None and self.n + len(differences) > self._population:
            raise ValueError(f"{self.n + len(differences)} samples from a population of {self._population}")
        scaled = (differences + self._range) / (2 * self._range)
        for start in range(0, len(scaled), CHUNK):
            self._advance(scaled[start : start + CHUNK])
        return self.low, self.high

    def _unscale(self, value: float) -> float:
        return (2 * value - 1) * self._range

    def _advance(self, batch: Floats) -> None:
        centres = self._centres(batch)
        bets = self._plan.bets(batch, self._alpha)[:, None]
        with np.errstate(divide="ignore"):
            up = np.minimum(bets, STAKE / np.maximum(centres, 0.0))
            down = np.minimum(bets, STAKE / np.maximum(1 - centres, 0.0))
        moves = batch[:, None] - centres
        self._settle(np.stack([np.log1p(up * moves), np.log1p(-down * moves)]), centres)

    def _centres(self, batch: Floats) -> Floats:
        """Mean that each next sample would have if the grid's mean were true, shape (batch, grid)."""
        if self._population is None:
            return np.broadcast_to(self._means, (len(batch), len(self._means)))
        before = self._plan.seen + np.arange(len(batch))
        totals = self._plan.total + np.cumsum(batch) - batch
        left = (self._population - before)[:, None]
        return np.asarray((self._population * self._means - totals[:, None]) / left)

    def _settle(self, gains: Any, centres: Floats) -> None:
        """Add the log gains, move the bounds past every mean that was refuted, and drop those means."""
        # A mean that would need the remaining samples to lie outside [0, 1] is impossible, not just unlikely.
        gains[0][centres < 0], gains[1][centres < 0] = np.inf, 0.0
        gains[1][centres > 1], gains[0][centres > 1] = np.inf, 0.0
        paths = self._capital[:, None, :] + np.cumsum(gains, axis=1)
        refuted = (paths >= log(1 / self._alpha)).any(axis=1)
        certain_low, certain_high = self._certain()
        self._low = min(max([self._low, certain_low, *self._means[refuted[0]]]), certain_high)
        self._high = max(min([self._high, certain_high, *self._means[refuted[1]]]), certain_low)
        kept = (self._means > self._low) & (self._means < self._high)
        self._means, self._capital = self._means[kept], paths[:, -1, :][:, kept]

    def _certain(self) -> tuple[float, float]:
        """Bounds that the samples seen leave, whatever the rest of the population turns out to be."""
        if self._population is None:
            return 0.0, 1.0
        unseen = self._population - self.n
        return self._plan.total / self._population, (self._plan.total + unseen) / self._population
