"""Which samples of two runs can be compared: pairing and the comparability guard.

Comes in: two parts of runs. Goes out: `Joined` (which samples belong together, once for all gates on them), and per
gate `Pairs`, or `NotComparableError` with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.compare.parts import Floats, Part, Rows
    from sfteval.records import Gate, MetricInfo, Run, Sample

MAX_MISSING = 0.10


class NotComparableError(Exception):
    """Internal: carries the reason from where it is found to `compare`, which makes it a value."""


@dataclass(frozen=True)
class Joined:
    """The samples of two parts that belong together.

    Attributes:
        candidate: The candidate's part.
        reference: The baseline's.
        ours: Positions in the candidate's part of the samples that both have, asked alike; rising.
        theirs: Their partners' positions in the baseline's part.
        changed: Positions (ours, theirs) of samples that were asked differently.
        gone: Positions in the candidate's part of samples that the baseline does not have.
        extra: Samples that only the baseline has.
    """

    candidate: Part
    reference: Part
    ours: Rows
    theirs: Rows
    changed: Sequence[tuple[int, int]]
    gone: Sequence[int]
    extra: int

    @property
    def lost(self) -> int:
        """Samples that cannot be compared."""
        return len(self.changed) + len(self.gone) + self.extra


@dataclass(frozen=True)
class Pairs:
    """Paired scores of one gate, oriented so that higher is better, in the order of the candidate's samples.

    Attributes:
        joined: Where they come from.
        rows: Positions of the pairs in `joined.ours`.
        candidate: The candidate's scores, shape (pairs,).
        reference: The baseline's, shape (pairs,).
        metric: What the scores are.
        missing: Samples that were left out.
    """

    joined: Joined
    rows: Rows
    candidate: Floats
    reference: Floats
    metric: MetricInfo
    missing: int

    @property
    def sign(self) -> float:
        """Factor from oriented scores back to measured ones."""
        return 1.0 if self.metric.higher_is_better else -1.0

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Range of the oriented scores."""
        low, high = self.metric.lower, self.metric.upper
        if self.metric.higher_is_better:
            return low, high
        return (None if high is None else -high), (None if low is None else -low)

    @property
    def clusters(self) -> Rows | None:
        """Number of each pair's cluster, None where every pair is its own."""
        if not self.joined.candidate.is_clustered:
            return None
        numbers = self.cluster_numbers
        return numbers if len(np.unique(numbers)) < len(numbers) else None

    @property
    def cluster_numbers(self) -> Rows:
        """Number of each pair's cluster, the same for the same prompt under another check."""
        return self.joined.candidate.clusters[self.joined.ours[self.rows]]

    @property
    def cluster_names(self) -> list[str]:
        """Name of each pair's cluster, the same for the same prompt in another suite."""
        names = self.joined.candidate.cluster_names
        return [names[at] for at in self.joined.ours[self.rows]]


def join(candidate: Part, reference: Part, *, tokens: bool) -> Joined:
    """Find the samples that belong together.

    Args:
        candidate: The candidate's part.
        reference: The baseline's part.
        tokens: Also ask for equal prompt token ids (against `previous`).
    """
    there = {place: at for at, place in enumerate(reference.places)}
    ours: list[int] = []
    theirs: list[int] = []
    changed: list[tuple[int, int]] = []
    gone: list[int] = []
    for at, place in enumerate(candidate.places):
        other = there.pop(place, None)
        if other is None:
            gone.append(at)
        elif _differs(candidate, at, reference, other, tokens=tokens):
            changed.append((at, other))
        else:
            ours.append(at)
            theirs.append(other)
    found = np.array(ours, dtype=np.intp), np.array(theirs, dtype=np.intp)
    return Joined(candidate, reference, *found, changed, gone, len(there))


def _differs(ours: Part, at: int, theirs: Part, other: int, *, tokens: bool) -> bool:
    """Say whether two samples of one id were asked differently: messages, and against previous also token ids."""
    if ours.keys[at] != theirs.keys[other]:
        return True
    here, there = ours.prompt_keys[at], theirs.prompt_keys[other]
    return tokens and bool(here and there) and here != there  # imported results hold no token ids


def pair(gate: Gate, joined: Joined, candidate: Run, reference: Run) -> Pairs:
    """Pair the scores of one single gate, after the comparability guard. Raises NotComparableError."""
    metric = same_metric(gate, candidate, reference)
    require_samples(gate, joined, reference)
    guard_share(gate, joined, reference)
    guard_status(gate, candidate, joined.candidate, "candidate")
    guard_status(gate, reference, joined.reference, str(gate.against))
    return scored_pairs(gate, joined, metric, joined.lost)


def scored_pairs(gate: Gate, joined: Joined, metric: MetricInfo, missing: int, used: int | None = None) -> Pairs:
    """Return the pairs that are scored on both sides; one that only one side scored is missing.

    Args:
        gate: The gate.
        joined: The samples that belong together.
        metric: Of the gate.
        missing: Samples that are missing already.
        used: Only the first so many of the candidate's samples; None for all.
    """
    new, has_new = joined.candidate.scores(gate.check)
    old, has_old = joined.reference.scores(gate.check)
    inside = np.ones(len(joined.ours), dtype=bool) if used is None else joined.ours < used
    mine, others = has_new[joined.ours], has_old[joined.theirs]
    rows = np.flatnonzero(mine & others & inside)
    if not len(rows):
        refuse(f"zero samples of {name_of(gate)} are scored on both sides")
    alone = (mine != others) & inside
    one_sided = int(np.count_nonzero(alone))
    errored = joined.candidate.is_errored[joined.ours] | joined.reference.is_errored[joined.theirs]
    unscored, total = int(np.count_nonzero(alone & ~errored)), len(rows) + one_sided + missing
    if unscored and unscored + missing > MAX_MISSING * total:
        said = f"{unscored} of {total} samples of {name_of(gate)} have a score for {gate.check!r} on one side only"
        refuse(f"{said}, and {missing} are missing (allowed: {MAX_MISSING:.0%})")
    sign = 1.0 if metric.higher_is_better else -1.0
    scores = sign * new[joined.ours[rows]], sign * old[joined.theirs[rows]]
    return Pairs(joined, rows, *scores, metric, missing + one_sided)


def refuse(reason: str) -> NoReturn:
    """Raise NotComparableError."""
    raise NotComparableError(reason)


def name_of(gate: Gate) -> str:
    """Return what a gate judges, in words."""
    name = f"{gate.suite}/{gate.task}" if gate.task else gate.suite
    return name + "".join(f" ({tag}={value})" for tag, value in gate.slice)


def metric_of(gate: Gate, run: Run) -> MetricInfo | None:
    """Return what the run says about the gate's metric."""
    return run.manifest.metrics.get(f"{gate.suite}/{gate.task}/{gate.check}")


def same_metric(gate: Gate, candidate: Run, reference: Run) -> MetricInfo:
    """Return the gate's metric if both runs have it in one version. Raises NotComparableError."""
    ours, theirs = metric_of(gate, candidate), metric_of(gate, reference)
    if ours is None:
        refuse(f"the metric {gate.check!r} of {name_of(gate)} is not in the candidate's run")
    if theirs is None:
        refuse(f"the metric {gate.check!r} of {name_of(gate)} is not in the run of {gate.against}")
    if ours.version != theirs.version:
        versions = f"version {ours.version} here and version {theirs.version} in the run of {gate.against}"
        refuse(f"{gate.check!r} is {versions}: its kind, parameters, files or members differ")
    return ours


def require_samples(gate: Gate, joined: Joined, reference: Run) -> None:
    """Raise NotComparableError where a side has no samples at all."""
    if not len(joined.candidate):
        refuse(f"the candidate's run has no samples of {name_of(gate)}")
    if not len(joined.reference):
        refuse(f"the run of {gate.against} ({reference.manifest.run_id}) has no samples of {name_of(gate)}")


def guard_share(gate: Gate, joined: Joined, reference: Run) -> None:
    """Raise NotComparableError when too many samples are missing or were asked differently."""
    total = len(joined.ours) + joined.lost
    if joined.lost <= MAX_MISSING * total:
        return
    reason = f"{joined.lost} of {total} samples of {name_of(gate)} are missing or differ (allowed: {MAX_MISSING:.0%})"
    if joined.changed:
        ours, theirs = joined.changed[0]
        reason += "; " + _first_difference(joined.candidate.sample(ours), joined.reference.sample(theirs))
    drawn = reference.manifest.extra.get("draws", {}).get(f"{gate.suite}/{gate.task}")
    if drawn is not None and len(joined.reference) < drawn["population"]:
        reason += (
            f"; the run of {gate.against} is of a sequential suite and stopped after {len(joined.reference)} of "
            f"{drawn['population']} samples"
        )
    refuse(reason)


def _first_difference(ours: Sample, theirs: Sample) -> str:
    at = next((i for i, (a, b) in enumerate(zip(ours.prompt, theirs.prompt, strict=False)) if a != b), None)
    if at is None:
        at = min(len(ours.prompt), len(theirs.prompt))
    if ours.prompt == theirs.prompt and ours.truncated != theirs.truncated:
        return f"first in {ours.sample_id!r}: {ours.truncated} tokens cut from the left here, {theirs.truncated} there"
    if ours.prompt == theirs.prompt:
        return f"first in {ours.sample_id!r}: same text, other token ids, settings, reference or variables"
    start = max(0, at - 20)
    here, there = ours.prompt[start : at + 40], theirs.prompt[start : at + 40]
    return f"first in {ours.sample_id!r} at character {at}: {here!r} here, {there!r} there"


def guard_status(gate: Gate, run: Run, part: Part, side: str) -> None:
    """Raise NotComparableError for too many errored samples, or a score that is not a finite number."""
    cap = float(run.manifest.extra.get("max_errored", {}).get(gate.suite, 0.0))
    if len(part.errored) > cap * len(part):
        first = part.sample(part.errored[0])
        share = f"{len(part.errored)} of {len(part)} samples of {name_of(gate)} errored on the {side} (cap {cap:.0%})"
        refuse(f"{share}; first: {first.sample_id!r}: {first.error}")
    values, present = part.scores(gate.check)
    strange = np.flatnonzero(present & ~np.isfinite(values))
    if len(strange):
        at = int(strange[0])
        refuse(f"{part.places[at][0]!r} of {name_of(gate)} scored {values[at]} on the {side}")
