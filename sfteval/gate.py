"""From comparisons to verdicts: a total function without I/O.

Comes in: every comparison of a release (all evidence is in). Goes out: one `Verdict` per gate.

One error rate for a release: Holm's step-down over every comparative gate of the plan controls false FAILs; gates that
were not selected count with p = 1. PASS needs a gate's own one-sided bound, uncorrected: what must be proven must all
be proven (intersection-union; Berger 1982). Holm 1979, Scand. J. Statist. 6:65.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from sfteval import stats
from sfteval.records import Comparison, Gate, Verdict, VerdictKind

if TYPE_CHECKING:
    from collections.abc import Sequence


def judge(comparisons: Sequence[Comparison], *, gates_in_plan: int) -> tuple[Verdict, ...]:
    """Return the verdict of each comparison, in order.

    Args:
        comparisons: Everything that was compared; all evidence of the release.
        gates_in_plan: Comparative gates of the plan before any selection (at least those compared).
    """
    tested = [c for c in comparisons if c.p_value is not None]
    adjusted = stats.holm([c.p_value for c in tested if c.p_value is not None], total=max(gates_in_plan, len(tested)))
    corrected = {id(c): p for c, p in zip(tested, adjusted, strict=True)}
    return tuple(_verdict(c, corrected.get(id(c))) for c in comparisons)


def settled(comparison: Comparison, *, gates_in_plan: int) -> bool:
    """Say of a sequential suite's gate whether more samples would be wasted: its verdict stands, or cannot come.

    Args:
        comparison: On the samples so far.
        gates_in_plan: Comparative gates of the plan; a FAIL must stand whatever the others' p-values turn out to be.
    """
    if comparison.not_comparable is not None or comparison.exhausted or comparison.n == comparison.population:
        return True
    adjusted = min(1.0, (1.0 if comparison.p_value is None else comparison.p_value) * max(1, gates_in_plan))
    return _DEMANDS[comparison.gate.demand](comparison, adjusted)[0] in (VerdictKind.PASS, VerdictKind.FAIL)


def not_judged(gate: Gate, reason: str) -> Verdict:
    """Return the verdict of a gate whose baseline was declared absent; shown, and fails nothing."""
    return Verdict(gate, VerdictKind.NOT_JUDGED, (reason,), Comparison(gate), blocks=False)


def _verdict(comparison: Comparison, adjusted: float | None) -> Verdict:
    gate = comparison.gate
    broken = comparison.not_comparable
    if broken is None and gate.comparative and (comparison.low is None or comparison.high is None):
        broken = "nothing was compared: there are no bounds of the difference"
    if broken is not None:
        return Verdict(gate, VerdictKind.NOT_COMPARABLE, (broken,), comparison, blocks=True)
    kind, reason = _DEMANDS[gate.demand](comparison, adjusted)
    proof = gate.proof == "required" or not gate.comparative
    blocks = kind is VerdictKind.FAIL or (kind is VerdictKind.INCONCLUSIVE and proof)
    reasons = [reason]
    if comparison.population:
        reasons.append(f"{comparison.n} of {comparison.population} samples were needed; the bounds are of all of them")
    if comparison.missing:
        reasons.append(f"{comparison.missing} samples are not on both sides and were left out")
    return Verdict(gate, kind, tuple(reasons), comparison, blocks)


def _no_regression(c: Comparison, adjusted: float | None) -> tuple[VerdictKind, str]:
    low, high = c.oriented
    margin = c.gate.threshold
    if high < -margin and _proven(c, adjusted):
        return VerdictKind.FAIL, f"a drop larger than {margin:.3g} is proven: it is at least {-high:.3g}"
    if low >= -margin:
        return VerdictKind.PASS, f"a drop larger than {margin:.3g} is excluded"
    if high < -margin and c.population:
        return VerdictKind.INCONCLUSIVE, (
            f"on this benchmark the drop is larger than {margin:.3g}, but an unchanged model could show it by chance"
        )
    if high < -margin:
        return VerdictKind.INCONCLUSIVE, (
            f"a drop larger than {margin:.3g} shows in this gate alone, but not after the correction for all gates"
        )
    return VerdictKind.INCONCLUSIVE, f"a drop of up to {-low:.3g} could still hide{_more(c)}"


def _improves(c: Comparison, adjusted: float | None) -> tuple[VerdictKind, str]:
    low, high = c.oriented
    wanted = c.gate.threshold
    if low > wanted:
        return VerdictKind.PASS, f"a gain larger than {wanted:.3g} is proven: it is at least {low:.3g}"
    if high < wanted and _proven(c, adjusted):
        return VerdictKind.FAIL, f"a gain of {wanted:.3g} is excluded: it is at most {high:.3g}"
    return VerdictKind.INCONCLUSIVE, f"a gain larger than {wanted:.3g} is not proven: it could be {low:.3g} only"


def _at_least(c: Comparison, adjusted: float | None) -> tuple[VerdictKind, str]:
    del adjusted
    low, high = _mean(c)
    return _level(c, low >= c.gate.threshold, high >= c.gate.threshold, ("floor", "above", "below"))


def _at_most(c: Comparison, adjusted: float | None) -> tuple[VerdictKind, str]:
    del adjusted
    low, high = _mean(c)
    return _level(c, high <= c.gate.threshold, low <= c.gate.threshold, ("ceiling", "below", "above"))


def _level(c: Comparison, surely: bool, possibly: bool, words: tuple[str, str, str]) -> tuple[VerdictKind, str]:
    """Return the verdict on a floor or ceiling: its name, and the words for the right side and the wrong one."""
    name, right, wrong = words
    wanted = f"the {name} {c.gate.threshold:.3g}"
    if surely:
        return VerdictKind.PASS, f"{_value(c)} is at or {right} {wanted}"
    if possibly:
        low, high = _mean(c)
        return VerdictKind.INCONCLUSIVE, f"{_value(c)} so far, in all {low:.3g} to {high:.3g}: {wanted} is in between"
    return VerdictKind.FAIL, f"{_value(c)} is {wrong} {wanted}"


def _mean(c: Comparison) -> tuple[float, float]:
    """Return the bounds of the mean that a floor or ceiling is about: the suite's own, known if it was all answered."""
    if c.candidate is None:
        return nan, nan
    if c.population is None or c.low is None or c.high is None:
        return c.candidate, c.candidate
    return c.low, c.high


def _value(c: Comparison) -> str:
    return "no value" if c.candidate is None else f"{c.candidate:.3g}"


_DEMANDS = {"no_regression": _no_regression, "improves": _improves, "at_least": _at_least, "at_most": _at_most}


def _proven(c: Comparison, adjusted: float | None) -> bool:
    return adjusted is not None and adjusted <= c.gate.alpha


def _more(c: Comparison) -> str:
    """Say how many more samples would settle it, if nothing is worse and the scores differ as much as they did."""
    return f"; about {c.lacking} more samples would exclude it if nothing changed" if c.lacking else ""
