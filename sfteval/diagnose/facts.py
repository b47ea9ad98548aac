"""Causes that stand in the models' records.

Comes in: a `Case`. Goes out: causes with weight 1 where a fact explains every symptom (so that it comes first), with
the share of what they explain or less where they are circumstances that may have nothing to do with it.
"""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING

from sfteval import stats
from sfteval.diagnose.behaviour import LEVEL, SHARE, one_each
from sfteval.records import MERGE_TOLERANCE, Cause

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sfteval.records import Case, Pair

INERT = 0.99
"""Share of equal answers from which a candidate counts as its own base."""
ENOUGH = 20
"""Answers below which agreement may be chance, unless the weights are the same."""
PRECISION, ENGINE = 0.5, 0.1
"""Weights of what differs between the two models and cannot be tied to any sample: behind what can."""
DTYPE = re.compile(r"b?float\d+$")
STORED = re.compile(r"(I?Q\d|TQ\d|B?F16|MXFP|NVFP|type-)")


def factual(case: Case) -> tuple[Cause, ...]:
    """Return what explains every symptom, the most certain first."""
    return (*_same_as_base(case), *template(case), *_merged(case))


def circumstantial(case: Case) -> tuple[Cause, ...]:
    """Return what explains a drop and leaves no trace in single answers."""
    return (*_leaked(case), *_precision(case))


def noise(case: Case) -> Iterator[Cause]:
    """Nothing is proven either way: the interval holds no change."""
    if case.demand == "no_regression" and -inf < case.low <= 0 <= case.high < inf:
        within = f"[{100 * case.low:+.1f}, {100 * case.high:+.1f}]"
        says = f"the change lies within {within} points, which holds no change at all"
        yield Cause("sampling_noise", says, 0.5, ())


def _same_as_base(case: Case) -> Iterator[Cause]:
    """The candidate answers as its base does, so a gain that is asked for, or was there before, cannot be there."""
    equal, of = case.facts.like_base
    if not of or equal < INERT * of or (of < ENOUGH and not case.facts.same_weights):
        return
    what = "the same weights" if case.facts.same_weights else "an adapter" if case.facts.adapter else "other weights"
    says = f"{equal} of {of} answers are base's own, from {what}: the training changed nothing"
    yield Cause("adapter_inert", says, 1.0, ids(case.objected))


def template(case: Case) -> Iterator[Cause]:
    """The chat template that the answers were asked with is not the one of the training."""
    trained, used = case.facts.trained_template, case.facts.used_template
    if trained and used and trained != used and case.facts.generates:
        says = f"trained with chat template {trained[:12]}, evaluated with {used[:12]}"
        yield Cause("template_mismatch", says, 1.0, ids(case.objected))


def _merged(case: Case) -> Iterator[Cause]:
    merged = case.facts.merged
    if merged is None:
        return
    said = []
    if merged.difference is not None and not merged.difference.same:
        largest, spread = merged.difference.max_abs_logit_difference, merged.difference.logit_spread
        limit = f"more than {MERGE_TOLERANCE:g} of their spread {spread:.3g}"
        said.append(f"the merged weights' logits differ from the adapter's by up to {largest:.3g}, {limit}")
    if merged.measured is False:
        said.append("the weights are not those that were compared with the adapter when merging")
    if merged.of_reference and case.high < 0:
        said.append("the reference is the adapter itself, and answers otherwise")
    if said:
        yield Cause("merged_differs", "; ".join(said), 1.0, ids(case.objected))


def _precision(case: Case) -> Iterator[Cause]:
    """The weights of one side are rounded in another way; behind what shows in nearly every answer."""
    ours, theirs = (_rounding(numerics) for numerics in case.facts.numerics)
    if ours and theirs and ours != theirs and case.high < 0:
        says = f"computed in {' from '.join(ours)}, the reference in {' from '.join(theirs)}"
        yield Cause("numerics_drift", says, PRECISION, ids(case.objected))


def engine(case: Case) -> Iterator[Cause]:
    """The two were answered by different engines, and nothing else about their numerics is known to differ."""
    ours, theirs = case.facts.numerics
    if ours and theirs and ours != theirs and case.high < 0 and not tuple(_precision(case)):
        yield Cause("numerics_drift", f"answered by {ours}, the reference by {theirs}", ENGINE, ids(case.objected))


def _rounding(numerics: str) -> tuple[str, ...]:
    """Return (dtype,) or (dtype, what a GGUF file is stored in) of `dtype/engine[/stored]`, () if it says neither."""
    dtype, *rest = numerics.split("/")
    stored = tuple(part for part in rest if STORED.match(part))
    return (dtype, *stored) if DTYPE.match(dtype) else ()


def _leaked(case: Case) -> Iterator[Cause]:
    """The reference had learned samples of the suite: its score was too high, and this drop is none."""
    leaked = case.facts.overlap
    worse = one_each(pair for pair in case.pairs if pair.change < 0)
    hit = [pair for pair in worse if pair.sample_id in leaked]
    if not hit or len(hit) < SHARE * len(worse):
        return
    units = one_each(case.pairs)
    among = sum(pair.sample_id in leaked for pair in units)
    others = len(units) - among
    chance = stats.fisher_more(len(hit), among - len(hit), len(worse) - len(hit), others - (len(worse) - len(hit)))
    if others and chance > LEVEL:
        return
    says = f"{len(hit)} of {len(worse)} worsened samples stood in the reference's training data, not in this one's"
    yield Cause("contamination", says, len(hit) / len(worse), ids(hit))


def ids(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Return the ids of the first twenty."""
    return tuple(pair.sample_id for pair in pairs[:20])
