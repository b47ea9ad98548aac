"""A release: candidate, base and previous on one plan, judged when all evidence is in.

Comes in: suite files, the selected gates, and the settings a person gave. Goes out: one `Verdict` per selected gate.
`base` is read from the store when its responses are known; `previous` is always read, never recomputed.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sfteval.compare import Comparer
from sfteval.errors import BaselineBrokenError, BaselineMissingError, InputError
from sfteval.gate import judge, not_judged
from sfteval.pipeline.absent import Absent
from sfteval.pipeline.baselines import baseline_run
from sfteval.pipeline.diagnosing import with_causes
from sfteval.pipeline.evaluate import Evaluated, Evaluation, silent
from sfteval.pipeline.models import Models
from sfteval.pipeline.noise import unsteady
from sfteval.pipeline.planning import plan_files
from sfteval.pipeline.settings import DEFAULT_PREVIOUS, NO_PREVIOUS, Settings, no_candidate
from sfteval.pipeline.steering import Steering
from sfteval.plan import power_warnings
from sfteval.records import Comparison, Run, Suite, Waivers
from sfteval.store import RunStore, read_noise
from sfteval.waivers import check_waivers, read_waivers, with_waivers, without_quarantined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sfteval.pipeline.evaluate import Watch
    from sfteval.pipeline.planning import Planned
    from sfteval.records import Gate, Role, SuiteFile, Verdict


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
        self._absent = Absent(self._files)
        self._waivers = Waivers()
        self._comparers: dict[str | None, Comparer] = {}
        self._noise: Mapping[str, Mapping[str, Any]] = {}
        self._today = datetime.now(UTC).date()

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
        return self._comparers[gate.against].by_tags(gate, [field.removeprefix("tags.") for field in fields.by])

    def _gather(self) -> None:
        if self._settings.candidate is None:
            raise InputError(no_candidate())
        planned = plan_files(self._files, self._selected)
        self._noise = read_noise(self._settings.runs_dir)
        self.warnings = (*planned.plan.warnings, *self._power_warnings(planned))
        self._check_waivers(planned)
        if self._asked("previous"):
            self._find_previous()
        with Models(self._settings.candidate, self._settings.base, self._store) as models, ExitStack() as stack:
            candidate = self._open_candidate(models, planned)
            base = self._find_base(models, planned, stack, candidate) if self._asked("base") else None
            self._find_candidate(candidate, planned, base, stack)
            if base is not None and "base" not in self.runs:
                self.runs["base"] = self._finish_base(base, planned, candidate)

    def _power_warnings(self, planned: Planned) -> tuple[str, ...]:
        there = [gate for gate in self._judgeable if self._absent.failed(gate) is None]
        whole = [gate for gate in there if not (planned.drawn(gate.suite) if gate.suite else ())]
        return power_warnings(whole, planned.plan.items, planned.metrics, self._noise)

    def _check_waivers(self, planned: Planned) -> None:
        """Read what the project lives with, before anything is computed; refuse what matches nothing."""
        path = self._settings.accepted
        self._waivers = read_waivers(path, path.name)
        samples: dict[str, set[str]] = {}
        for item in planned.plan.items:
            samples.setdefault(item.suite, set()).add(item.sample_id)
        gates = [gate for file in self._files for gate in file.gates]
        check_waivers(self._waivers, gates, samples, path, self._settings.root)

    def _asked(self, role: Role) -> bool:
        return role not in self._declared_absent and any(gate.against == role for gate in self._selected)

    @property
    def _declared_absent(self) -> frozenset[str]:
        """Baselines of which a person said that there is none."""
        return self._settings.absent | ({"previous"} if self._settings.previous == NO_PREVIOUS else set())

    def _find_previous(self) -> None:
        try:
            self.runs["previous"] = baseline_run(self._store, "previous", self._settings.previous, self._settings)
        except BaselineBrokenError:
            raise
        except BaselineMissingError as error:
            if self._settings.previous != DEFAULT_PREVIOUS:
                raise
            self.missing["previous"] = str(error)

    def _open_candidate(self, models: Models, planned: Planned) -> Evaluation | Run:
        """Return the candidate's stored run, or its evaluation, not begun yet."""
        found = models.find("candidate")
        if isinstance(found, str):
            return self._store.load(found)
        return Evaluation(planned, found, self._store, self._watch, models.others())

    def _find_base(
        self, models: Models, planned: Planned, stack: ExitStack, candidate: Evaluation | Run
    ) -> Evaluation | Run | None:
        """Return base's stored run, or its evaluation with all but the sequential suites answered.

        A candidate that shares its weights speaks beside it, where base is not answered yet.
        """
        needed = {m.suite for gate in self._selected if gate.against == "base" for m in (gate.members or (gate,))}
        try:
            found = models.find("base")
        except BaselineMissingError as error:
            self.missing["base"] = str(error)
            return None
        if isinstance(found, str):
            return baseline_run(self._store, "base", found, self._settings)
        evaluation = Evaluation(planned.only(needed), found, self._store, self._watch, models.others())
        stack.enter_context(evaluation.opened(self._settings.run_ids.get("base")))
        if isinstance(candidate, Evaluation) and candidate.shares_weights(evaluation):
            stack.enter_context(candidate.opened(self._settings.run_ids.get("candidate")))
            evaluation.let_speak_beside(candidate)
        evaluation.answer([name for name in evaluation.suite_names if not planned.drawn(name)], "base")
        return evaluation

    def _find_candidate(
        self, candidate: Evaluation | Run, planned: Planned, base: Evaluation | Run | None, stack: ExitStack
    ) -> None:
        """Take or make the candidate's run; base's, which grew beside it, ends first, so that `latest` is this one."""
        if isinstance(candidate, Run):
            self.runs["candidate"] = candidate
            return
        steering = Steering(self._judgeable, self.gates_in_plan, base, self.runs.get("previous"), self._without)
        if not candidate.is_open:
            stack.enter_context(candidate.opened(self._settings.run_ids.get("candidate")))
        candidate.answer(candidate.suite_names, "candidate", steering)
        if isinstance(base, Evaluation):
            self.runs["base"] = self._finish_base(base, planned, candidate)
        self.evaluated["candidate"] = candidate.finish()
        self.runs["candidate"] = self.evaluated["candidate"].run

    def _finish_base(self, base: Evaluation | Run, planned: Planned, candidate: Evaluation | Run) -> Run:
        """Answer what the candidate holds of the sequential suites, where base was not asked yet; end base's run.

        The candidate's samples may be older than this session: of a stored run, or of one that is resumed.
        """
        if isinstance(base, Run):
            return base
        for name in base.suite_names:
            if not planned.drawn(name):
                continue
            with base.leased(name):
                if not base.is_done(name):
                    held = {sample.key for sample in candidate.samples if sample.suite == name}
                    items = [item for d in planned.drawn(name).values() for block in d.blocks for item in block]
                    base.put(name, base.answer_items(name, [i for i in items if i.key in held], "base"))
        self.evaluated["base"] = base.finish()
        return self.evaluated["base"].run

    @property
    def _judgeable(self) -> list[Gate]:
        return [self._absent.reduced(g) for g in self._selected if self._unjudged(g) is None]

    def _without(self, run: Run) -> Run:
        return without_quarantined(run, self._waivers, self._today)

    def _judge(self) -> dict[str, Verdict]:
        unjudged = {g.node: reason for g in self._selected if (reason := self._unjudged(g)) is not None}
        runs = {role: self._without(run) for role, run in self.runs.items()}
        against: dict[str | None, Run | None] = {None: None, "base": runs.get("base"), "previous": runs.get("previous")}
        self._comparers = {
            role: Comparer(
                runs.get("candidate"),
                run,
                gates_in_plan=self.gates_in_plan,
                missing=self.missing.get(role) if role else None,  # type: ignore[call-overload]
            )
            for role, run in against.items()
        }
        comparisons = [self._compare(gate) for gate in self._judgeable]
        found = judge(comparisons, gates_in_plan=self.gates_in_plan)
        settled = with_waivers(found, self._waivers, self._today)
        verdicts = {v.gate.node: v for v in with_causes(settled, runs)}
        for gate in self._selected:
            if gate.node in unjudged:
                verdicts[gate.node] = not_judged(gate, unjudged[gate.node])
            elif said := self._absent.left_out(gate):
                verdict = verdicts[gate.node]
                verdicts[gate.node] = replace(verdict, reasons=(*verdict.reasons, *said))
        return verdicts

    def _unjudged(self, gate: Gate) -> str | None:
        """Return why a gate is not judged: no such baseline by declaration, or its suite is left out."""
        if gate.against in self._declared_absent:
            return _ABSENT[str(gate.against)]
        return self._absent.skipped(gate)

    def _compare(self, gate: Gate) -> Comparison:
        reason = self._absent.failed(gate) or (unsteady(gate, self._noise) if gate.comparative else None)
        if reason is not None:
            return Comparison(gate, not_comparable=reason)
        return self._comparers[gate.against].compare(gate)


_ABSENT = {
    "previous": "there is no previous release (--previous none)",
    "base": "no base was given to compare with",
}


def new_run_ids(settings: Settings) -> dict[str, str]:
    """Return fresh run ids by role, for processes that share a session."""
    store = RunStore(settings.runs_dir)
    return {"candidate": store.new_id(settings.candidate or "candidate"), "base": store.new_id(settings.base or "base")}
