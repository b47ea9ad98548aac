"""Two runs, gate by gate: by how much they differ.

Comes in: the candidate's `Run` and (for comparative gates) the baseline's, then `Gate`s. Goes out: a `Comparison` each;
"not comparable" is a value with a reason, never an exception and never a pass. What gates share (the runs by suite and
task, which samples belong together) is found once.

Signs: `difference` is candidate − reference as measured. For a metric where lower is better the gate reads it the
other way round (`Comparison.oriented`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from sfteval import stats
from sfteval.compare.drawn import bound_drawn, compare_drawn, draw_of
from sfteval.compare.flipped import Flips, JoinedFlips
from sfteval.compare.pairs import NotComparableError, guard_status, join, metric_of, name_of, pair, refuse
from sfteval.compare.parts import Parts
from sfteval.records import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sfteval.compare.pairs import Joined, Pairs
    from sfteval.records import Gate, Run

POWER = 0.90


def compare(
    gate: Gate, candidate: Run | None, reference: Run | None, *, gates_in_plan: int = 1, missing: str | None = None
) -> Comparison:
    """Compare one gate's samples; `Comparer` does the same for many gates.

    Args:
        gate: A single gate or a family.
        candidate: The candidate's run; None when it could not be made.
        reference: The baseline's run for comparative gates, else None.
        gates_in_plan: Comparative gates of the plan, for the Holm-corrected detectable drop.
        missing: Why the baseline is not there, when it is not.
    """
    return Comparer(candidate, reference, gates_in_plan=gates_in_plan, missing=missing).compare(gate)


class Comparer:
    """Compares the gates of two runs."""

    def __init__(
        self, candidate: Run | None, reference: Run | None, *, gates_in_plan: int = 1, missing: str | None = None
    ) -> None:
        """Take the runs; see `compare`."""
        self._candidate = None if candidate is None else Parts(candidate)
        self._reference = None if reference is None else Parts(reference)
        self._gates_in_plan = gates_in_plan
        self._missing = missing
        self._joined: dict[tuple[object, ...], Joined] = {}

    def compare(self, gate: Gate) -> Comparison:
        """Compare one gate's samples."""
        try:
            return self._compared(gate)
        except NotComparableError as reason:
            return Comparison(gate, not_comparable=str(reason))

    def by_tags(self, gate: Gate, tags: Iterable[str]) -> list[Comparison]:
        """Compare a gate on each value that some tags have among the candidate's samples of its suite and task."""
        part = None if self._candidate is None else self._candidate.part(replace(gate, slice=()))
        slices = [(tag, value) for tag in tags for value in part.tag_values(tag)] if part is not None else []
        return [self.compare(replace(gate, slice=(each,))) for each in slices]

    def _compared(self, gate: Gate) -> Comparison:
        if self._candidate is None:
            refuse("the candidate has no run")
        if not gate.comparative:
            return _single(gate, self._candidate)
        if self._reference is None:
            refuse(self._missing or f"there is no run of {gate.against} to compare with")
        if gate.members:
            members = [self._pairs(member, self._candidate, self._reference) for member in gate.members]
            return _family(gate, members, self._gates_in_plan)
        draw = draw_of(gate, self._candidate.run)
        if draw is not None and gate.slice:
            return _shown(gate, self._pairs(gate, self._candidate, self._reference))
        if draw is not None:
            joined = self._join(gate, self._candidate, self._reference)
            return compare_drawn(gate, joined, self._candidate.run, self._reference.run, draw)
        return _paired(gate, self._pairs(gate, self._candidate, self._reference), self._gates_in_plan)

    def _pairs(self, gate: Gate, candidate: Parts, reference: Parts) -> Pairs:
        return pair(gate, self._join(gate, candidate, reference), candidate.run, reference.run)

    def _join(self, gate: Gate, candidate: Parts, reference: Parts) -> Joined:
        tokens = gate.against == "previous"
        place = (gate.suite, gate.task, gate.slice, tokens)
        if place not in self._joined:
            self._joined[place] = join(candidate.part(gate), reference.part(gate), tokens=tokens)
        return self._joined[place]


def _single(gate: Gate, candidate: Parts) -> Comparison:
    """Floors and ceilings: the candidate alone."""
    metric, part = metric_of(gate, candidate.run), candidate.part(gate)
    if metric is None:
        refuse(f"the metric {gate.check!r} of {name_of(gate)} is not in the candidate's run")
    guard_status(gate, candidate.run, part, "candidate")
    values, present = part.scores(gate.check)
    if not present.any():
        refuse(f"zero samples of {name_of(gate)} are scored")
    draw = draw_of(gate, candidate.run)
    if draw is not None and not gate.slice:
        return bound_drawn(gate, part, metric, draw)
    scores, clusters = values[present], part.clusters[present]
    mean = stats.mean_bounds(scores, clusters=clusters, lower=metric.lower, upper=metric.upper, alpha=gate.alpha)
    return Comparison(gate, n=len(scores), candidate=mean.mean, low=mean.low, high=mean.high)


def _paired(gate: Gate, pairs: Pairs, gates_in_plan: int) -> Comparison:
    ours, theirs, clusters, (lower, upper) = pairs.candidate, pairs.reference, pairs.clusters, pairs.bounds
    paired = stats.Paired(ours, theirs, clusters=clusters, lower=lower, upper=upper)
    estimate, p_value = paired.difference(gate.alpha), paired.drop_pvalue(_fail_margin(gate))
    low, high = sorted((pairs.sign * estimate.low, pairs.sign * estimate.high))
    changes, flips = paired.changes, Flips(pairs)
    return Comparison(
        gate,
        n=estimate.n,
        reference=pairs.sign * estimate.reference,
        candidate=pairs.sign * estimate.candidate,
        difference=pairs.sign * estimate.difference,
        low=low,
        high=high,
        p_value=p_value,
        detectable=_detectable(gate, changes, gates_in_plan),
        lacking=_lacking(gate, estimate, changes),
        missing=pairs.missing,
        flips=flips,
        worse=flips.worse,
        higher_is_better=pairs.metric.higher_is_better,
    )


def _shown(gate: Gate, pairs: Pairs) -> Comparison:
    """Return a slice of a sequential suite: means only, since when to stop was not decided for it."""
    flips = Flips(pairs)
    return Comparison(
        gate,
        n=len(pairs.candidate),
        reference=pairs.sign * float(pairs.reference.mean()),
        candidate=pairs.sign * float(pairs.candidate.mean()),
        difference=pairs.sign * float(np.mean(pairs.candidate - pairs.reference)),
        missing=pairs.missing,
        flips=flips,
        worse=flips.worse,
        higher_is_better=pairs.metric.higher_is_better,
    )


def _fail_margin(gate: Gate) -> float:
    """Return the drop that FAIL proves: beyond the margin, or for `improves` a gain that stays below `by`."""
    return gate.threshold if gate.demand == "no_regression" else -gate.threshold


def _detectable(gate: Gate, changes: stats.Changes, gates_in_plan: int) -> float | None:
    if gate.demand != "no_regression":
        return None
    return changes.detectable_drop(alpha=gate.alpha / max(1, gates_in_plan), power=POWER, margin=gate.threshold)


def _lacking(gate: Gate, estimate: stats.PairedEstimate, changes: stats.Changes) -> int | None:
    """Return how many more samples would exclude a drop if nothing changed; None where it is settled, or unknowable."""
    settled = estimate.low >= -gate.threshold or estimate.high < -gate.threshold
    if gate.demand != "no_regression" or gate.threshold <= 0 or settled:
        return None
    needed = changes.units_to_pass(gate.threshold, alpha=gate.alpha)
    return None if needed is None else max(0, ceil(needed * estimate.n / changes.units) - estimate.n)


def _family(gate: Gate, members: list[Pairs], gates_in_plan: int) -> Comparison:
    """Weighted mean of the members' paired differences.

    The variants of one matrix are one stratum together; checks of the same answers are strata of one place.
    """
    together: dict[tuple[str, ...] | int, list[tuple[Gate, Pairs]]] = {}
    for index, (member, pairs) in enumerate(zip(gate.members, members, strict=True)):
        variants = (member.group, member.task, member.check) if member.group else index
        together.setdefault(variants, []).append((member, pairs))
    places = Counter(_place(each[0][0]) for each in together.values())
    strata = [_stratum(each, shares=places[_place(each[0][0])] > 1) for each in together.values()]
    family = stats.Family(strata)
    estimate, p_value, changes = family.difference(gate.alpha), family.drop_pvalue(gate.threshold), family.changes
    flips = JoinedFlips([Flips(pairs) for pairs in members])
    return Comparison(
        gate,
        n=estimate.n,
        reference=estimate.reference,
        candidate=estimate.candidate,
        difference=estimate.difference,
        low=estimate.low,
        high=estimate.high,
        p_value=p_value,
        detectable=_detectable(gate, changes, gates_in_plan),
        lacking=_lacking(gate, estimate, changes),
        missing=sum(pairs.missing for pairs in members),
        flips=flips,
        worse=flips.worse,
    )


def _place(member: Gate) -> tuple[str, str]:
    """Return what gates on the same answers have in common."""
    return member.group or member.suite, member.task


def _stratum(members: list[tuple[Gate, Pairs]], *, shares: bool) -> stats.Stratum:
    """Return one member, or the variants of one suite, whose answers to one prompt are one cluster.

    `shares` says that another stratum judges the same answers.
    """
    gate, first = members[0]
    (lower, upper), place = first.bounds, _place(gate) if shares else None
    if not gate.group:
        clusters = first.cluster_numbers if shares else first.clusters
        return stats.Stratum(first.candidate, first.reference, clusters, place, gate.weight, lower, upper)
    candidate = np.concatenate([pairs.candidate for _, pairs in members])
    reference = np.concatenate([pairs.reference for _, pairs in members])
    names = [name for _, pairs in members for name in pairs.cluster_names]
    return stats.Stratum(candidate, reference, names, place, gate.weight, lower, upper)
