"""What evaluations during a training found: one `Look` per step that was evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sfteval.records.verdict import Demand

State = Literal["broken", "inside", "over", "better", "open"]


@dataclass(frozen=True, slots=True)
class GateLook:
    """One gate on the live model, paired with base on the same samples.

    Attributes:
        gate: `path::id` of the gate.
        demand: `no_regression` (a budget) or `improves` (a target).
        threshold: Its margin, or the gain that is asked for.
        n: Samples compared.
        base: Mean score of base.
        now: Mean score of the live model.
        difference: now minus base, better as positive.
        low: Lower bound of the difference at the level that is corrected for all looks and budgets.
        high: Upper bound, likewise.
        state: For a budget `broken` (a drop beyond the margin is proven), `over` (the mean drop is, unproven) or
            `inside`; for a target `better` (the gain is proven) or `open`.
    """

    gate: str
    demand: Demand
    threshold: float
    n: int
    base: float
    now: float
    difference: float
    low: float
    high: float
    state: State


@dataclass(frozen=True, slots=True)
class Look:
    """One evaluation of the live model.

    Attributes:
        step: Optimiser steps taken.
        gates: Budgets, then targets.
        target: What the kept checkpoint is chosen by: mean difference over the targets; None without targets.
        inside: True when no budget is broken or over.
        best: True when this is the best checkpoint inside every budget so far.
        seconds: What the evaluation took.
    """

    step: int
    gates: tuple[GateLook, ...]
    target: float | None
    inside: bool
    best: bool
    seconds: float

    @property
    def broken(self) -> tuple[GateLook, ...]:
        """Budgets of which it is proven that they are broken."""
        return tuple(gate for gate in self.gates if gate.state == "broken")
