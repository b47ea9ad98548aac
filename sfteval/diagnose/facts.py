"""Causes that are facts about the two models: they explain every symptom, so they come first.

Comes in: a `Case`. Goes out: causes with weight 1 (proven), or with the share of what they explain.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from sfteval.records import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sfteval.records import Case, Pair

INERT = 0.99
"""Share of equal answers from which a candidate counts as its own base."""
MERGED = 0.01
"""Difference of logits between adapter and merged weights that fp32 rounding does not make."""


def factual(case: Case) -> tuple[Cause, ...]:
    """Return the causes that stand in the runs' records, the most certain first."""
    return (*_same_as_base(case), *_template(case), *_merged(case), *_numerics(case), *_overlap(case), *_noise(case))


def _same_as_base(case: Case) -> Iterator[Cause]:
    """A gain was asked for, and the candidate answers as its base does."""
    known = [pair for pair in case.pairs if pair.reference is not None]
    equal = [pair for pair in known if _equal(pair)]
    if case.demand != "improves" or not known or len(equal) < INERT * len(known):
        return
    what = "the same weights" if case.facts.same_model else "an adapter" if case.facts.adapter else "other weights"
    says = f"{len(equal)} of {len(known)} answers are the reference's own, from {what}: the training changed nothing"
    yield Cause("adapter_inert", says, 1.0, _ids(equal))


def _equal(pair: Pair) -> bool:
    return pair.change == 0 and pair.reference is not None and pair.candidate.text == pair.reference.text


def _template(case: Case) -> Iterator[Cause]:
    trained, used = case.facts.trained_template, case.facts.used_template
    if trained and used and trained != used and case.facts.generates:
        says = f"trained with chat template {trained[:12]}, evaluated with {used[:12]}"
        yield Cause("template_mismatch", says, 1.0, _ids(_worse(case)))


def _merged(case: Case) -> Iterator[Cause]:
    difference = case.facts.merged_difference
    if difference is not None and difference > MERGED:
        says = f"the merged weights' logits differ from the adapter's by up to {difference:.3g}"
        yield Cause("merged_differs", says, 1.0, _ids(_worse(case)))


def _numerics(case: Case) -> Iterator[Cause]:
    ours, theirs = case.facts.numerics
    if ours and theirs and ours != theirs:
        yield Cause("numerics_drift", f"evaluated in {ours}, the reference in {theirs}", 1.0, _ids(_worse(case)))


def _overlap(case: Case) -> Iterator[Cause]:
    if case.facts.overlap:
        says = f"{case.facts.overlap} samples of this suite stood in the reference's training data, not in this one's"
        yield Cause("contamination", says, case.facts.overlap / len(case.pairs), ())


def _noise(case: Case) -> Iterator[Cause]:
    """Nothing is proven either way: the interval holds no change."""
    if case.demand == "no_regression" and -inf < case.low <= 0 <= case.high < inf:
        within = f"[{100 * case.low:+.1f}, {100 * case.high:+.1f}]"
        says = f"the change lies within {within} points, which holds no change at all"
        yield Cause("sampling_noise", says, 0.5, ())


def _worse(case: Case) -> list[Pair]:
    return [pair for pair in case.pairs if pair.change < 0]


def _ids(pairs: list[Pair]) -> tuple[str, ...]:
    return tuple(pair.sample_id for pair in pairs[:20])
