"""A release: candidate, base and previous on one plan, judged when all evidence is in.

Comes in: suite files, the selected gates, and the settings a person gave. Goes out: one `Verdict` per selected gate.
`base` is read from the store when its responses are known; `previous` is always read, never recomputed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sfteval.compare import compare
from sfteval.errors import BaselineMissingError, InputError
from sfteval.gate import judge, not_judged
from sfteval.pipeline.diagnosing import with_causes
from sfteval.pipeline.evaluate import Evaluated, Evaluation, silent
from sfteval.pipeline.models import Models
from sfteval.pipeline.planning import plan_files
from sfteval.pipeline.settings import DEFAULT_PREVIOUS, NO_PREVIOUS, Settings, no_candidate
from sfteval.records import Suite, Waivers
from sfteval.store import RunStore
from sfteval.waivers import check_waivers, read_waivers, with_waivers, without_quarantined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sfteval.pipeline.evaluate import Watch
    from sfteval.pipeline.planning import Planned
    from sfteval.records import Comparison, Gate, Role, Run, SuiteFile, Verdict


class Release:
    """Gathers the evidence once, then answers for every selected gate."""

    def __init__(
        self, files: Sequence[SuiteFile], selected: Sequence[Gate], settings: Settings, watch: Watch = silent
    ) -> None:
        """Prepare; nothing is loaded before `verdicts`."""
        self._files = tuple(files)
        self._selected = tuple(selected)
        self._settings = settings
        self._watch = watch
        self._store = RunStore(settings.runs_dir)
        self._verdicts: dict[str, Verdict] | None = None
        self.evaluated: dict[Role, Evaluated] = {}
        self.runs: dict[Role, Run] = {}
        self.missing: dict[Role, str] = {}
        self.warnings: tuple[str, ...] = ()
        self._waivers = Waivers()
        self._judged_runs: Mapping[Role, Run] = {}

    @property
    def gates_in_plan(self) -> int:
        """Comparative gates before any selection: what Holm corrects for."""
        return sum(gate.comparative for file in self._files for gate in file.gates)

    def verdicts(self) -> Mapping[str, Verdict]:
        """Return the verdict of each selected gate by `Gate.node`; the first call does all the work.

        Raises:
            InputError: a model reference, task or metric that cannot be resolved.
            EngineError, StoreError: the evidence could not be made.
        """
        if self._verdicts is None:
            self._gather()
            self._verdicts = self._judge()
        return self._verdicts

    def slices(self, gate: Gate) -> list[Comparison]:
        """Return the gate's comparison on each slice that its suite names; for show, after `verdicts`."""
        fields = next(
            (f.suite.slices for f in self._files if isinstance(f.suite, Suite) and f.suite.suite == gate.suite), None
        )
        if fields is None or gate.slice or gate.against in self._declared_absent or "candidate" not in self.runs:
            return []
        mine = [s for s in self.runs["candidate"].samples if s.suite == gate.suite and s.task == gate.task]
        parts = []
        for tag in (field.removeprefix("tags.") for field in fields.by):
            values = sorted({sample.tags[tag] for sample in mine if tag in sample.tags})
            parts += [self._compare(replace(gate, slice=((tag, value),)), self._judged_runs) for value in values]
        return parts

    def _gather(self) -> None:
        if self._settings.candidate is None:
            raise InputError(no_candidate())
        planned = plan_files(self._files, self._selected)
        self.warnings = planned.plan.warnings
        self._check_waivers(planned)
        if self._asked("previous"):
            self._find_previous()
        with Models(self._settings.candidate, self._settings.base, self._store) as models:
            models.find("candidate")
            if self._asked("base"):
                self._find_base(models, planned)
            self.runs["candidate"] = self._obtain("candidate", models, planned)

    def _check_waivers(self, planned: Planned) -> None:
        """Read what the project lives with, before anything is computed; refuse what matches nothing."""
        path = self._settings.accepted
        self._waivers = read_waivers(path, path.name)
        samples: dict[str, set[str]] = {}
        for item in planned.plan.items:
            samples.setdefault(item.suite, set()).add(item.sample_id)
        check_waivers(self._waivers, [gate for file in self._files for gate in file.gates], samples, path.name)

    def _asked(self, role: Role) -> bool:
        return role not in self._declared_absent and any(gate.against == role for gate in self._selected)

    @property
    def _declared_absent(self) -> frozenset[str]:
        """Baselines of which a person said that there is none."""
        return self._settings.absent | ({"previous"} if self._settings.previous == NO_PREVIOUS else set())

    def _find_previous(self) -> None:
        try:
            self.runs["previous"] = self._store.load(self._store.resolve(self._settings.previous))
        except BaselineMissingError as error:
            if self._settings.previous != DEFAULT_PREVIOUS:
                raise
            self.missing["previous"] = str(error)

    def _find_base(self, models: Models, planned: Planned) -> None:
        needed = {m.suite for gate in self._selected if gate.against == "base" for m in (gate.members or (gate,))}
        try:
            self.runs["base"] = self._obtain("base", models, planned.only(needed))
        except BaselineMissingError as error:
            self.missing["base"] = str(error)

    def _obtain(self, role: Role, models: Models, planned: Planned) -> Run:
        found = models.find(role)
        if isinstance(found, str):
            return self._store.load(found)
        evaluation = Evaluation(planned, found, self._store, self._watch, models.others())
        self.evaluated[role] = evaluation.run(self._settings.run_ids.get(role), role)
        return self.evaluated[role].run

    def _judge(self) -> dict[str, Verdict]:
        judged = [g for g in self._selected if g.against not in self._declared_absent]
        today = datetime.now(UTC).date()
        runs = {role: without_quarantined(run, self._waivers, today) for role, run in self.runs.items()}
        self._judged_runs = runs
        comparisons = [self._compare(gate, runs) for gate in judged]
        found = judge(comparisons, gates_in_plan=self.gates_in_plan)
        settled = with_waivers(found, self._waivers, today)
        verdicts = {v.gate.node: v for v in with_causes(settled, runs)}
        rest = {g.node: not_judged(g, _ABSENT[str(g.against)]) for g in self._selected if g.node not in verdicts}
        return verdicts | rest

    def _compare(self, gate: Gate, runs: Mapping[Role, Run]) -> Comparison:
        reference = runs.get(gate.against) if gate.against else None
        missing = self.missing.get(gate.against) if gate.against else None
        return compare(gate, runs.get("candidate"), reference, gates_in_plan=self.gates_in_plan, missing=missing)


_ABSENT = {
    "previous": "there is no previous release (--previous none)",
    "base": "no base was given to compare with",
}


def new_run_ids(settings: Settings) -> dict[str, str]:
    """Return fresh run ids by role, for processes that share a session."""
    store = RunStore(settings.runs_dir)
    return {"candidate": store.new_id(settings.candidate or "candidate"), "base": store.new_id(settings.base or "base")}
