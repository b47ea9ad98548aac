"""Gates, comparisons and verdicts: from planned question to answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from sfteval.errors import EXIT_BROKE, EXIT_DO_NOT_SHIP, EXIT_OPEN, EXIT_SHIP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.records.diagnosis import Cause
    from sfteval.records.evidence import Item
    from sfteval.records.suite import Baseline, Families, Proof, Suite

Role = Literal["base", "candidate", "previous"]
Demand = Literal["no_regression", "improves", "at_least", "at_most"]


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate of a plan: what one pytest item judges.

    Attributes:
        id: Name inside its file, `[a-z0-9_-]+`, no numbers from the gate in it.
        path: Suite file as collected, relative to the root.
        line: 1-based line of the gate in its file.
        suite: Suite name ("" for a family).
        task: lm-eval task as listed, "" for suites with samples.
        check: Check or metric.
        demand: Which demand is made; `threshold` is its margin, gain, floor or ceiling.
        against: Baseline of a comparative demand, None for floors and ceilings.
        members: For a family: the gates whose samples it pools; empty otherwise.
        weight: How much it counts in its family.
        group: What the variants of one suite (`matrix`) share: they are asked the same samples, so that a family counts
            them as one member. "" for a suite without a matrix.
        slice: (tag, value) pairs: only samples with all of them are judged; empty for the whole suite.
    """

    id: str
    path: str
    line: int
    suite: str
    task: str
    check: str
    demand: Demand
    threshold: float
    against: Baseline | None
    proof: Proof
    alpha: float
    members: tuple[Gate, ...] = ()
    slice: tuple[tuple[str, str], ...] = ()
    weight: float = 1.0
    group: str = ""

    @property
    def node(self) -> str:
        """`path::id`, as pytest shows it."""
        return f"{self.path}::{self.id}"

    @property
    def comparative(self) -> bool:
        """True when a baseline is needed."""
        return self.against is not None


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """One loaded suite (or `families.yaml`): the author's words, its gates, and its content's hash.

    A file with a `matrix` holds several suites. `unmet` says what a suite requires and does not find: such a suite has
    no samples, and `suite.requires.missing` says what becomes of its gates. `trained` says that its samples are rows
    that a training is meant to see (`samples: {train: …}`).
    """

    path: Path
    suite: Suite | Families
    gates: tuple[Gate, ...]
    fingerprint: str
    unmet: tuple[str, ...] = ()
    trained: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What must be judged: suites in order, all gates (before any selection), and the items of each suite."""

    suites: tuple[SuiteFile, ...]
    gates: tuple[Gate, ...]
    items: tuple[Item, ...]
    fingerprint: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample whose score differs between the two runs."""

    sample_id: str
    suite: str
    task: str
    prompt: str
    reference_output: str
    candidate_output: str
    reference_score: float
    candidate_score: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate against one baseline on paired samples, for one gate.

    `low` and `high` are one-sided bounds at the gate's level; `p_value` is that of the proof which the demand asks
    for (a drop beyond the margin, or a gain beyond `by`). `missing` counts samples that only one side has or whose
    prompt differs. `detectable` is the smallest true drop that would FAIL with 90 % power at the corrected level,
    `lacking` how many more samples an unchanged model would need to pass, where that is asked.
    `not_comparable` holds the reason when there is nothing to compare; then all figures are None. `flips` are all
    samples whose score differs, the largest drop first; `worse` says how many of them are drops. `population` is set
    for sequential suites: the samples of the whole benchmark, which the bounds are of; `exhausted` then says that the
    baseline holds no more samples to go on with.
    """

    gate: Gate
    n: int = 0
    reference: float | None = None
    candidate: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    detectable: float | None = None
    lacking: int | None = None
    missing: int = 0
    flips: Sequence[Flip] = ()
    not_comparable: str | None = None
    higher_is_better: bool = True
    worse: int = 0
    population: int | None = None
    exhausted: bool = False

    @property
    def oriented(self) -> tuple[float, float]:
        """The bounds of the difference with better as positive, whichever way the metric runs."""
        low, high = self.low or 0.0, self.high or 0.0
        return (low, high) if self.higher_is_better else (-high, -low)


class VerdictKind(StrEnum):
    """The five answers."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_COMPARABLE = "NOT_COMPARABLE"
    NOT_JUDGED = "NOT_JUDGED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one gate. `blocks` says whether it keeps the release from shipping.

    `accepted` says by whom and until when an objection is accepted; then it does not block. `diagnosis` holds the
    causes of an objection, the best supported first.
    """

    gate: Gate
    kind: VerdictKind
    reasons: tuple[str, ...]
    comparison: Comparison
    blocks: bool
    accepted: str = ""
    diagnosis: tuple[Cause, ...] = ()

    @property
    def shortfall(self) -> float | None:
        """How far the gate falls short, in the metric's unit: below its baseline, its gain, floor or ceiling."""
        comparison, gate = self.comparison, self.gate
        if not gate.comparative:
            if comparison.candidate is None:
                return None
            short = gate.threshold - comparison.candidate
            return max(0.0, short if gate.demand == "at_least" else -short)
        if comparison.difference is None:
            return None
        better = comparison.difference if comparison.higher_is_better else -comparison.difference
        return max(0.0, (gate.threshold if gate.demand == "improves" else 0.0) - better)

    @property
    def exit_code(self) -> int:
        """The exit code that this verdict alone asks for."""
        return _CODES.get(self.kind, EXIT_SHIP) if self.blocks else EXIT_SHIP


_CODES = {
    VerdictKind.FAIL: EXIT_DO_NOT_SHIP,
    VerdictKind.INCONCLUSIVE: EXIT_OPEN,
    VerdictKind.NOT_COMPARABLE: EXIT_BROKE,
}


def finite(value: float | None) -> float | None:
    """Return a bound that JSON can hold; None where there is none, or where too few samples leave it infinite."""
    return value if value is not None and math.isfinite(value) else None


def worst(codes: Sequence[int]) -> int:
    """Return the code that wins: 21 over 1, 1 over 20."""
    return next((code for code in (EXIT_BROKE, EXIT_DO_NOT_SHIP, EXIT_OPEN) if code in codes), EXIT_SHIP)


def release_code(judged: Sequence[tuple[str, int]]) -> int:
    """Return a release's exit code from (verdict, its code) pairs; nothing judged at all is 21."""
    if all(kind == VerdictKind.NOT_JUDGED for kind, _ in judged):
        return EXIT_BROKE
    return worst([code for _, code in judged])
