"""Two runs, one gate: what can be compared, and by how much they differ.

Comes in: a `Gate`, the candidate's `Run` and (for comparative gates) the baseline's. Goes out: a `Comparison`; "not
comparable" is a value with a reason, never an exception and never a pass.

Signs: `difference` is candidate − reference as measured. For a metric where lower is better the gate reads it the
other way round (`Comparison.oriented`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from sfteval import stats
from sfteval.records import Comparison, Flip, MetricInfo, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.records import Gate, Run, Sample

MAX_MISSING = 0.10
POWER = 0.80


@dataclass(frozen=True, slots=True)
class Pairs:
    """Paired samples of one gate and one suite, in order of the candidate's samples."""

    candidate: tuple[Sample, ...]
    reference: tuple[Sample, ...]
    check: str
    metric: MetricInfo
    missing: int

    def scores(self, side: Sequence[Sample]) -> list[float]:
        """Return the oriented scores (higher is better) of one side."""
        sign = 1.0 if self.metric.higher_is_better else -1.0
        return [sign * sample.scores[self.check] for sample in side]

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Range of the oriented scores."""
        low, high = self.metric.lower, self.metric.upper
        if self.metric.higher_is_better:
            return low, high
        return (None if high is None else -high), (None if low is None else -low)

    @property
    def clusters(self) -> list[str]:
        """Cluster of each pair."""
        return [f"{s.suite}/{s.task}/{s.cluster or s.sample_id}" for s in self.candidate]


class NotComparableError(Exception):
    """Internal: carries the reason from where it is found to `compare`, which makes it a value."""


def compare(
    gate: Gate, candidate: Run | None, reference: Run | None, *, gates_in_plan: int = 1, missing: str | None = None
) -> Comparison:
    """Compare one gate's samples.

    Args:
        gate: A single gate or a family.
        candidate: The candidate's run; None when it could not be made.
        reference: The baseline's run for comparative gates, else None.
        gates_in_plan: Comparative gates of the plan, for the Holm-corrected detectable drop.
        missing: Why the baseline is not there, when it is not.
    """
    try:
        if candidate is None:
            _refuse("the candidate has no run")
        if not gate.comparative:
            return _single(gate, candidate)
        if reference is None:
            _refuse(missing or f"there is no run of {gate.against} to compare with")
        if gate.members:
            return _family(gate, candidate, reference, gates_in_plan)
        return _paired(gate, pair(gate, candidate, reference), gates_in_plan)
    except NotComparableError as reason:
        return Comparison(gate, not_comparable=str(reason))


def pair(gate: Gate, candidate: Run, reference: Run) -> Pairs:
    """Pair the samples of one single gate, after the comparability guard."""
    metric = _same_metric(gate, candidate, reference)
    ours, theirs = _samples(gate, candidate), _samples(gate, reference)
    if not ours:
        _refuse(f"the candidate's run has no samples of {_name(gate)}")
    if not theirs:
        _refuse(f"the run of {gate.against} ({reference.manifest.run_id}) has no samples of {_name(gate)}")
    by_id = {_place(sample): sample for sample in theirs}
    same, changed, gone = [], [], 0
    for sample in ours:
        other = by_id.pop(_place(sample), None)
        if other is None:
            gone += 1
        elif _differs(gate, sample, other):
            changed.append((sample, other))
        else:
            same.append((sample, other))
    _guard_share(gate, len(same), changed, gone + len(by_id))
    missing = gone + len(by_id) + len(changed)
    kept = [(a, b) for a, b in same if gate.check in a.scores and gate.check in b.scores]
    _guard_status(gate, candidate, ours, "candidate")
    _guard_status(gate, reference, theirs, str(gate.against))
    if not kept:
        _refuse(f"zero samples of {_name(gate)} are scored on both sides")
    return Pairs(tuple(a for a, _ in kept), tuple(b for _, b in kept), gate.check, metric, missing)


def _refuse(reason: str) -> NoReturn:
    raise NotComparableError(reason)


def _name(gate: Gate) -> str:
    name = f"{gate.suite}/{gate.task}" if gate.task else gate.suite
    return name + "".join(f" ({tag}={value})" for tag, value in gate.slice)


def _place(sample: Sample) -> tuple[str, int]:
    return sample.sample_id, sample.repeat


def _samples(gate: Gate, run: Run) -> list[Sample]:
    mine = [s for s in run.samples if s.suite == gate.suite and s.task == gate.task]
    return [s for s in mine if all(s.tags.get(tag) == value for tag, value in gate.slice)] if gate.slice else mine


def metric_of(gate: Gate, run: Run) -> MetricInfo | None:
    """Return what the run says about the gate's metric."""
    return run.manifest.metrics.get(f"{gate.suite}/{gate.task}/{gate.check}")


def _same_metric(gate: Gate, candidate: Run, reference: Run) -> MetricInfo:
    ours, theirs = metric_of(gate, candidate), metric_of(gate, reference)
    if ours is None:
        _refuse(f"the metric {gate.check!r} of {_name(gate)} is not in the candidate's run")
    if theirs is None:
        _refuse(f"the metric {gate.check!r} of {_name(gate)} is not in the run of {gate.against}")
    if ours.version != theirs.version:
        _refuse(f"{gate.check!r} is version {ours.version} here and {theirs.version} in the run of {gate.against}")
    return ours


def _differs(gate: Gate, ours: Sample, theirs: Sample) -> bool:
    """Say whether two samples of one id were asked differently: messages, and against previous also token ids."""
    if ours.key != theirs.key:
        return True
    known = ours.prompt_key and theirs.prompt_key  # imported results hold no token ids
    return gate.against == "previous" and bool(known) and ours.prompt_key != theirs.prompt_key


def _guard_share(gate: Gate, same: int, changed: list[tuple[Sample, Sample]], missing: int) -> None:
    lost, total = len(changed) + missing, same + len(changed) + missing
    if lost <= MAX_MISSING * total:
        return
    reason = f"{lost} of {total} samples of {_name(gate)} are missing or differ (allowed: {MAX_MISSING:.0%})"
    if changed:
        reason += "; " + _first_difference(*changed[0])
    _refuse(reason)


def _first_difference(ours: Sample, theirs: Sample) -> str:
    at = next((i for i, (a, b) in enumerate(zip(ours.prompt, theirs.prompt, strict=False)) if a != b), None)
    if at is None:
        at = min(len(ours.prompt), len(theirs.prompt))
    if ours.prompt == theirs.prompt:
        return f"first in {ours.sample_id!r}: same text, other token ids or settings"
    start = max(0, at - 20)
    here, there = ours.prompt[start : at + 40], theirs.prompt[start : at + 40]
    return f"first in {ours.sample_id!r} at character {at}: {here!r} here, {there!r} there"


def _guard_status(gate: Gate, run: Run, samples: Sequence[Sample], side: str) -> None:
    errored = [s for s in samples if s.status is Status.ERRORED]
    cap = float(run.manifest.extra.get("max_errored", {}).get(gate.suite, 0.0))
    if len(errored) > cap * len(samples):
        first = errored[0]
        share = f"{len(errored)} of {len(samples)} samples of {_name(gate)} errored on the {side} (cap {cap:.0%})"
        _refuse(f"{share}; first: {first.sample_id!r}: {first.error}")
    for sample in samples:
        score = sample.scores.get(gate.check)
        if score is not None and not math.isfinite(score):
            _refuse(f"{sample.sample_id!r} of {_name(gate)} scored {score} on the {side}")


def _single(gate: Gate, candidate: Run) -> Comparison:
    """Floors and ceilings: the candidate alone."""
    metric = metric_of(gate, candidate)
    if metric is None:
        _refuse(f"the metric {gate.check!r} of {_name(gate)} is not in the candidate's run")
    samples = _samples(gate, candidate)
    _guard_status(gate, candidate, samples, "candidate")
    scored = [s for s in samples if gate.check in s.scores]
    if not scored:
        _refuse(f"zero samples of {_name(gate)} are scored")
    scores = [s.scores[gate.check] for s in scored]
    clusters = [s.cluster or s.sample_id for s in scored]
    mean = stats.mean_bounds(scores, clusters=clusters, lower=metric.lower, upper=metric.upper, alpha=gate.alpha)
    return Comparison(gate, n=len(scores), candidate=mean.mean, low=mean.low, high=mean.high)


def _paired(gate: Gate, pairs: Pairs, gates_in_plan: int) -> Comparison:
    ours, theirs = pairs.scores(pairs.candidate), pairs.scores(pairs.reference)
    clusters, (lower, upper) = pairs.clusters, pairs.bounds
    estimate = stats.paired_difference(ours, theirs, clusters=clusters, lower=lower, upper=upper, alpha=gate.alpha)
    p_value = stats.drop_pvalue(ours, theirs, margin=_fail_margin(gate), clusters=clusters, lower=lower, upper=upper)
    discordance = sum(a != b for a, b in zip(ours, theirs, strict=True)) / len(ours)
    sign = 1.0 if pairs.metric.higher_is_better else -1.0
    low, high = sorted((sign * estimate.low, sign * estimate.high))
    return Comparison(
        gate,
        n=estimate.n,
        reference=sign * estimate.reference,
        candidate=sign * estimate.candidate,
        difference=sign * estimate.difference,
        low=low,
        high=high,
        p_value=p_value,
        detectable=None if lower is None else _detectable(gate, estimate.n, discordance, gates_in_plan),
        missing=pairs.missing,
        flips=flips(pairs),
        higher_is_better=pairs.metric.higher_is_better,
    )


def _fail_margin(gate: Gate) -> float:
    """Return the drop that FAIL proves: beyond the margin, or for `improves` a gain that stays below `by`."""
    return gate.threshold if gate.demand == "no_regression" else -gate.threshold


def _detectable(gate: Gate, n: int, discordance: float, gates_in_plan: int) -> float | None:
    if gate.demand != "no_regression" or gate.threshold >= 1:
        return None
    alpha = gate.alpha / max(1, gates_in_plan)
    return stats.smallest_detectable_drop(
        n, discordance=max(discordance, 1.0 / n), alpha=alpha, power=POWER, margin=gate.threshold
    )


def _family(gate: Gate, candidate: Run, reference: Run, gates_in_plan: int) -> Comparison:
    """Weighted mean of the members' paired differences; each member is a stratum of equal weight."""
    members = [pair(member, candidate, reference) for member in gate.members]
    strata = [_stratum(pairs) for pairs in members]
    estimate = stats.stratified_difference(strata, alpha=gate.alpha)
    p_value = stats.stratified_drop_pvalue(strata, margin=gate.threshold)
    changed = tuple(flip for pairs in members for flip in flips(pairs))
    discordance = len(changed) / max(1, estimate.n)
    return Comparison(
        gate,
        n=estimate.n,
        reference=estimate.reference,
        candidate=estimate.candidate,
        difference=estimate.difference,
        low=estimate.low,
        high=estimate.high,
        p_value=p_value,
        detectable=_detectable(gate, estimate.n, discordance, gates_in_plan),
        missing=sum(pairs.missing for pairs in members),
        flips=changed,
    )


def _stratum(pairs: Pairs) -> stats.Stratum:
    lower, upper = pairs.bounds
    return stats.Stratum(
        candidate=pairs.scores(pairs.candidate),
        reference=pairs.scores(pairs.reference),
        clusters=pairs.clusters,
        weight=1.0,
        lower=lower,
        upper=upper,
    )


def flips(pairs: Pairs) -> tuple[Flip, ...]:
    """Return the samples whose scores differ, the largest drop first."""
    sign = 1.0 if pairs.metric.higher_is_better else -1.0
    both = zip(pairs.candidate, pairs.reference, strict=True)
    changed = [(a, b) for a, b in both if a.scores[pairs.check] != b.scores[pairs.check]]
    changed.sort(key=lambda ab: (sign * (ab[0].scores[pairs.check] - ab[1].scores[pairs.check]), ab[0].sample_id))
    return tuple(
        Flip(a.sample_id, a.suite, a.task, a.prompt, b.output, a.output, b.scores[pairs.check], a.scores[pairs.check])
        for a, b in changed
    )
