"""Gates of sequential suites: the verdict on a whole benchmark of which a part was answered.

Comes in: a gate and runs whose samples stand in the order in which they were drawn; the candidate's manifest says how
large the benchmark is and where the draw's blocks end (`DRAWS`). Goes out: a `Comparison` whose bounds are of the whole
benchmark and hold whenever one looks (`sfteval.stats.finite`).

What `no_regression` asks here: PASS, when a drop larger than the margin over the whole benchmark is excluded; FAIL,
when it is certain *and* an unchanged model would show a drop only with probability alpha (after Holm), so that a
benchmark's own noise blocks nobody. `improves` is judged on the endless supply of such samples. A baseline that stopped
earlier than the candidate is compared as far as it goes: that is a stopping time of the same draw. Samples that are
missing on one side are left out, and the benchmark counts as smaller in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sfteval import stats
from sfteval.compare.flipped import Flips
from sfteval.compare.pairs import (
    MAX_MISSING,
    guard_share,
    guard_status,
    name_of,
    refuse,
    require_samples,
    same_metric,
    scored_pairs,
)
from sfteval.records import Comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.compare.pairs import Joined, Pairs
    from sfteval.compare.parts import Floats, Part, Rows
    from sfteval.records import Gate, MetricInfo, Run

DRAWS = "draws"
"""Key in a manifest's `extra`: "suite/task" → {"population": samples of the benchmark, "ends": [ends of blocks]}."""


@dataclass(frozen=True, slots=True)
class Draw:
    """How much of a benchmark a run holds, and in which blocks it was drawn."""

    population: int
    ends: tuple[int, ...]

    @property
    def whole(self) -> bool:
        """True when every sample was answered."""
        return self.ends[-1] >= self.population


def draw_of(gate: Gate, run: Run) -> Draw | None:
    """Return the draw behind a gate's samples, None for suites that are answered in full."""
    found = run.manifest.extra.get(DRAWS, {}).get(f"{gate.suite}/{gate.task}")
    return None if found is None else Draw(int(found["population"]), tuple(found["ends"]))


def compare_drawn(gate: Gate, joined: Joined, candidate: Run, reference: Run, draw: Draw) -> Comparison:
    """Compare a comparative gate of a sequential suite. Raises NotComparableError."""
    metric = same_metric(gate, candidate, reference)
    require_samples(gate, joined, reference)
    used = _reach(gate, joined, reference, draw)
    guard_status(gate, candidate, joined.candidate, "candidate")
    guard_status(gate, reference, joined.reference, str(gate.against))
    lost = sum(at < used for at, _ in joined.changed) + sum(at < used for at in joined.gone)
    pairs = scored_pairs(gate, joined, metric, lost, used)
    kept = joined.ours[pairs.rows]
    population = _in_proportion(draw.population, len(kept), used)
    estimate, p_value = _judged(gate, pairs, _ends_within(draw.ends, kept), population)
    low, high = sorted((pairs.sign * estimate.low, pairs.sign * estimate.high))
    flips = Flips(pairs)
    return Comparison(
        gate,
        n=len(kept),
        reference=pairs.sign * float(pairs.reference.mean()),
        candidate=pairs.sign * float(pairs.candidate.mean()),
        difference=pairs.sign * estimate.mean,
        low=low,
        high=high,
        p_value=p_value,
        missing=pairs.missing,
        flips=flips,
        worse=flips.worse,
        higher_is_better=metric.higher_is_better,
        population=population,
        exhausted=used < len(joined.candidate),
    )


def bound_drawn(gate: Gate, part: Part, metric: MetricInfo, draw: Draw) -> Comparison:
    """Bound the candidate's mean over the whole benchmark, for floors and ceilings. Raises NotComparableError."""
    lower, upper = _bounded(gate, metric.lower, metric.upper)
    values, present = part.scores(gate.check)
    scored = np.flatnonzero(present)
    population = _in_proportion(draw.population, len(scored), len(part))
    mean = stats.finite_mean(
        values[scored],
        _ends_within(draw.ends, scored),
        population=population,
        lower=lower,
        upper=upper,
        alpha=min(stats.SETTLED, gate.alpha),
    )
    return Comparison(gate, n=mean.n, candidate=mean.mean, low=mean.low, high=mean.high, population=population)


def _reach(gate: Gate, joined: Joined, reference: Run, draw: Draw) -> int:
    """Return how many of the candidate's samples the baseline can be compared on: all, or up to where it stopped."""
    other = draw_of(gate, reference)
    lost = np.zeros(len(joined.candidate), dtype=bool)
    lost[[at for at, _ in joined.changed] + list(joined.gone)] = True
    counts = np.cumsum(lost)
    stopped = other is not None and not other.whole
    reached = int(np.flatnonzero(~lost)[-1]) + 1 if stopped and not lost.all() else len(lost)
    if reached == len(lost) and counts[-1] <= MAX_MISSING * len(lost):
        return len(lost)
    fitting = [end for end in draw.ends if end <= reached and counts[end - 1] <= MAX_MISSING * end]
    if not stopped or not fitting:
        guard_share(gate, joined, reference)
        refuse(f"the runs share too few of the first samples of {name_of(gate)}")
    return fitting[-1]


def _in_proportion(population: int, kept: int, used: int) -> int:
    """Return the benchmark's size without what was left out; rounded up, so that it is never seen before its end."""
    return -(-population * kept // used)


def _ends_within(ends: Sequence[int], kept: Rows) -> list[int]:
    """Return the blocks' ends among the samples that were kept (rising positions), blocks without any left out."""
    counts = np.searchsorted(kept, np.array(ends), side="left")
    return [int(count) for count in np.unique(counts) if count > 0]


def _bounded(gate: Gate, lower: float | None, upper: float | None) -> tuple[float, float]:
    if lower is None or upper is None:
        refuse(f"{gate.check!r} of {name_of(gate)} has no bounds, and a sequential suite needs them")
    return lower, upper


def _judged(gate: Gate, pairs: Pairs, ends: list[int], population: int) -> tuple[stats.FiniteEstimate, float]:
    lower, upper = _bounded(gate, *pairs.bounds)
    spread, differences = upper - lower, pairs.candidate - pairs.reference
    finite = _Finite(differences, ends, population, spread)
    if gate.demand == "improves":
        return finite.estimate(gate.alpha, replaced=True), finite.pvalue(gate.threshold, replaced=True)
    estimate = finite.estimate(min(stats.SETTLED, gate.alpha), replaced=False)
    certain = finite.pvalue(-gate.threshold, replaced=False)
    return estimate, max(certain, finite.pvalue(0.0, replaced=True))


@dataclass(frozen=True)
class _Finite:
    """Differences in drawn order with what the tests of their mean need."""

    differences: Floats
    ends: list[int]
    population: int
    spread: float

    def estimate(self, alpha: float, *, replaced: bool) -> stats.FiniteEstimate:
        """Bound their mean."""
        return stats.finite_mean(
            self.differences,
            self.ends,
            population=self.population,
            lower=-self.spread,
            upper=self.spread,
            alpha=alpha,
            replaced=replaced,
        )

    def pvalue(self, null: float, *, replaced: bool) -> float:
        """Test "the mean is at least null"; known when all is seen."""
        if len(self.differences) == self.population and not replaced:
            return 1.0 if float(self.differences.mean()) >= null else 0.0
        return stats.finite_pvalue(
            self.differences,
            self.ends,
            null,
            population=self.population,
            lower=-self.spread,
            upper=self.spread,
            replaced=replaced,
        )
