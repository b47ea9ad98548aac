"""What the pages are made of, gathered by `pipeline.site`: plain frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Place = tuple[str, str, str]
"""Suite, task ("" for suites with samples), check."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one run against another run, on paired samples.

    `low` and `high` bound now − before; None where too few samples say nothing. `gains` and `losses` count samples
    whose score rose and fell.
    """

    n: int
    before: float
    now: float
    low: float | None
    high: float | None
    higher: bool = True
    gains: int = 0
    losses: int = 0

    @property
    def change(self) -> float:
        """Now − before, as measured."""
        return self.now - self.before

    @property
    def better(self) -> float:
        """The change with better as positive."""
        return self.change if self.higher else -self.change

    @property
    def word(self) -> str:
        """`better` or `worse` where the bounds exclude no change, else `open`."""
        low, high = (self.low, self.high) if self.higher else (_minus(self.high), _minus(self.low))
        if low is not None and low > 0:
            return "better"
        return "worse" if high is not None and high < 0 else "open"


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


@dataclass(frozen=True, slots=True)
class RunCard:
    """One run: its manifest as plain data, the runs it is compared with, its promotion, and whether it is a base."""

    id: str
    manifest: Mapping[str, Any]
    base: str | None
    previous: str | None
    promoted: Mapping[str, Any] | None
    checkpoint: bool

    @property
    def suites(self) -> list[str]:
        """Names of the suites that the run answered."""
        return list(self.manifest["suites"])

    @property
    def model(self) -> str:
        """The reference that a person gave."""
        return str(self.manifest["model"]["reference"])

    @property
    def name(self) -> str:
        """The model's name without its folders."""
        parts = [part for part in self.model.removesuffix("/checkpoint").replace("\\", "/").split("/") if part]
        return parts[-1] if parts else self.model


@dataclass(frozen=True, slots=True)
class Site:
    """Everything but the samples.

    Attributes:
        runs: Complete runs, oldest first.
        releases: By run id: `exit_code` and `gates` (rows of `report.rows`).
        means: run, suite, task, check, n, mean.
        columns: Places of the dashboard, general benchmarks first.
        general: Suites that measure what the base model knew before.
        cells: Change against base, by (run, place).
        steps: Change against the checkpoint before, bounds corrected for the number of looks.
        trainings: path, name, runs, data (the training manifest), decision (what the hook kept, and why), looks (rows
            of step, name, difference, low, high, budget).
        problems: What is wrong with other runs of the store.
    """

    runs: Sequence[RunCard]
    releases: Mapping[str, Mapping[str, Any]]
    means: Sequence[Mapping[str, Any]]
    columns: Sequence[Place]
    general: frozenset[str]
    cells: Mapping[tuple[str, Place], Cell]
    steps: Mapping[tuple[str, Place], Cell]
    trainings: Sequence[Mapping[str, Any]]
    problems: Sequence[str]

    @property
    def checkpoints(self) -> list[RunCard]:
        """Runs that are nobody's base, oldest first."""
        return [run for run in self.runs if run.checkpoint]

    def run(self, run_id: str) -> RunCard | None:
        """Return a run's card, None if the store does not hold it."""
        return next((card for card in self.runs if card.id == run_id), None)

    def mean_change(self, run_id: str, *, general: bool) -> float | None:
        """Return a run's mean change against base (better positive) over general benchmarks, or over the rest."""
        found = [
            self.cells[run_id, place].better
            for place in self.columns
            if (place[0] in self.general) == general and (run_id, place) in self.cells
        ]
        return sum(found) / len(found) if found else None
