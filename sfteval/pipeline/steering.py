"""When a sequential suite may stop: base answers beside the candidate, and gates are looked at after each batch.

Comes in: the candidate's samples so far. Goes out: the tasks of the suite whose gates are all settled. Base's samples
of the suite are put into its own run, as many as the candidate has.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sfteval.compare import Comparer
from sfteval.gate import settled
from sfteval.pipeline.evaluate import Evaluation
from sfteval.records import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sfteval.pipeline.evaluate import Look
    from sfteval.records import Comparison, Gate, Item, Role, Sample


@dataclass(frozen=True)
class Steering:
    """What decides when enough was answered.

    Attributes:
        gates: The selected gates.
        gates_in_plan: Comparative gates of the plan.
        base: Base's evaluation, still open; or its stored run; None where no gate asks for it.
        previous: The last release's run.
        without: Takes quarantined samples out of a run.
    """

    gates: Sequence[Gate]
    gates_in_plan: int
    base: Evaluation | Run | None
    previous: Run | None
    without: Callable[[Run], Run]

    @contextmanager
    def suite(self, name: str) -> Iterator[Look]:
        """Yield what is asked after each batch of a suite: (the candidate's run so far, the new items) → settled tasks.

        At the end base's samples of the suite are stored.
        """
        follower = self.base
        if not isinstance(follower, Evaluation) or name not in follower.suite_names:
            stored = follower if isinstance(follower, Run) else None
            yield lambda run, _items: self._settled(name, run, stored)
            return
        with follower.leased(name):
            samples: list[Sample] = []

            def look(run: Run, items: Sequence[Item]) -> set[str]:
                samples.extend(follower.answer_items(name, items, "base"))
                return self._settled(name, run, follower.so_far(name, samples))

            yield look
            follower.put(name, samples)

    def _settled(self, suite: str, candidate: Run, base: Run | None) -> set[str]:
        runs: dict[Role, Run | None] = {"base": base, "previous": self.previous}
        ours = self.without(candidate)
        comparers: dict[str | None, Comparer] = {None: Comparer(ours, None)}
        for role, run in runs.items():
            theirs = None if run is None else self.without(run)
            comparers[role] = Comparer(ours, theirs, gates_in_plan=self.gates_in_plan)
        mine = [gate for gate in self.gates if gate.suite == suite]
        open_tasks = {g.task for g in mine if not self._is_settled(comparers[g.against].compare(g))}
        return {sample.task for sample in candidate.samples} - open_tasks

    def _is_settled(self, comparison: Comparison) -> bool:
        return settled(comparison, gates_in_plan=self.gates_in_plan)
