"""What a watched training has come to: plain data that every checkpoint holds, so that a resumed one knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.records import GateLook


@dataclass(slots=True)
class Progress:
    """How far it is.

    `saved_bests` are the best steps that the newest two checkpoints know: to these a resumed training must be able to
    go back, whatever was found better since.
    """

    base_run: str = ""
    done: int = 0
    best: int | None = None
    best_target: float | None = None
    best_scores: dict[str, float] = field(default_factory=dict)
    since_best: int = 0
    looks_seconds: float = 0.0
    base_seconds: float = 0.0
    training_seconds: float = 0.0
    why: str = ""
    saved_bests: list[int | None] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Share of the training's time that looks took."""
        return self.looks_seconds / max(self.training_seconds, 1e-9)

    @property
    def wanted(self) -> set[int]:
        """Steps whose weights may still be gone back to."""
        return {step for step in (*self.saved_bests, self.best) if step is not None}

    def weigh(self, step: int, found: Sequence[GateLook]) -> tuple[float | None, bool, bool]:
        """Take a look's gates; return its targets' mean gain, if it is inside every budget, if it is the best.

        The best is inside every budget and gains more than the best before; without targets, the latest one inside.
        """
        inside = not any(gate.state in ("broken", "over") for gate in found)
        gains = [gate.difference for gate in found if gate.demand == "improves"]
        target = sum(gains) / len(gains) if gains else None
        best = inside and (target is None or self.best_target is None or target > self.best_target)
        if best:
            self.best, self.best_target, self.since_best = step, target, 0
            self.best_scores = {gate.gate: gate.now for gate in found}
        else:
            self.since_best += 1
        return target, inside, best

    def saved(self) -> None:
        """Take note of a checkpoint that holds all this."""
        self.saved_bests = [*self.saved_bests[-1:], self.best]
