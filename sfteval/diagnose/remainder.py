"""What is left when a drop is proven and nothing is broken in form: length, forgetting, or the content itself.

Comes in: a `Case` for which nothing else was found. Goes out: at most one cause.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from sfteval.diagnose.behaviour import more_rise
from sfteval.diagnose.facts import ids
from sfteval.records import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.records import Case, Pair

MOST = 0.5
"""Share of the worsened answers that must be sound in form for their content to be the cause."""
DRIFT = 2.0
"""Answers that are this many times longer or shorter (median of the worsened samples) have drifted."""


def remaining(case: Case) -> tuple[Cause, ...]:
    """Return the one cause that is left, if a drop is proven."""
    worse = [pair for pair in case.pairs if pair.change < 0 and pair.reference is not None]
    comparative = case.demand in ("no_regression", "improves")
    if not worse or not comparative or case.high >= 0 or not _proven(case):
        return ()
    if case.facts.general or not case.facts.generates:
        return (_forgetting(case, worse),) if case.facts.general else ()
    return _drifted(worse) or _wrong(case, worse)


def _proven(case: Case) -> bool:
    """Return whether more samples fell than rose, as surely as a symptom must be: a gate's own bound is one of many."""
    return more_rise([(pair.unit, -pair.change) for pair in case.pairs if pair.reference is not None])


def _drifted(worse: Sequence[Pair]) -> tuple[Cause, ...]:
    """Return length drift where most worsened answers are much longer, or much shorter, than the reference's."""
    ratios = [(p.candidate.words + 1) / (p.reference.words + 1) for p in worse if p.reference is not None]
    ratio = float(median(ratios))
    if 1 / DRIFT < ratio < DRIFT:
        return ()
    word = f"{ratio:.1f} times as long as" if ratio >= DRIFT else f"{1 / ratio:.1f} times shorter than"
    far = [pair for pair, r in zip(worse, ratios, strict=True) if (r >= DRIFT if ratio >= DRIFT else r <= 1 / DRIFT)]
    says = f"the worsened answers are {word} the reference's (median)"
    return (Cause("length_drift", says, len(far) / len(worse), ids(far)),)


def _wrong(case: Case, worse: Sequence[Pair]) -> tuple[Cause, ...]:
    """Return wrong content where most worsened answers keep the reference's form."""
    sound = [pair for pair in worse if _sound(pair)]
    if len(sound) < MOST * len(worse):
        return ()
    says = f"{len(sound)} of {len(worse)} worsened answers keep the reference's form; their content differs"
    if case.facts.held_out is not None and case.facts.held_out[1] > case.facts.held_out[0]:
        before, after = case.facts.held_out
        says += f"; the held-out loss rose in training, {before:.3g} to {after:.3g}: overfitting"
    return (Cause("content_wrong", says, len(sound) / len(worse), ids(sound)),)


def _sound(pair: Pair) -> bool:
    """Return whether the candidate's answer has the reference's form and another text."""
    ours, theirs = pair.candidate, pair.reference
    if theirs is None or ours.text == theirs.text:
        return False
    return (ours.finish, ours.wrapping, ours.loop, ours.empty) == (theirs.finish, theirs.wrapping, False, False)


def _forgetting(case: Case, worse: Sequence[Pair]) -> Cause:
    """The model knows less of what its base knew."""
    fallen = sorted(case.facts.drops.items(), key=lambda drop: drop[1])
    named = ", ".join(f"{name} {100 * drop:+.1f}" for name, drop in fallen)
    rest = f"; proven to fall: {named}" if named else "; no other benchmark is proven to fall"
    says = f"a drop of at least {-100 * case.high:.1f} points with nothing broken in form{rest}"
    return Cause("general_forgetting", says, 1.0, ids(worse))
