"""What the commands do that need more than one stage: evaluate one model, compare stored runs."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.compare import Comparer
from sfteval.errors import Fault, InputError
from sfteval.gate import judge
from sfteval.pipeline.evaluate import Evaluated, Evaluation, silent
from sfteval.pipeline.interchange import is_results, load_results, suites_by_task
from sfteval.pipeline.models import Models
from sfteval.pipeline.own_checks import load_conftests
from sfteval.pipeline.planning import load_files, plan_files
from sfteval.records import Gate, Status
from sfteval.report.rows import verdict_row
from sfteval.store import RunStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.pipeline.evaluate import Watch
    from sfteval.records import Role, Run, SuiteFile


def evaluate_model(
    reference: str, suites: Sequence[Path], runs_dir: Path, watch: Watch = silent, *, base: str | None = None
) -> Evaluated:
    """Evaluate one model on suite files; the same arguments again resume an unfinished run.

    Args:
        reference: Model reference.
        suites: Files or folders.
        runs_dir: Folder of the run store.
        watch: Is told how far the work is.
        base: Model reference for checks that ask base; None: the one that the model was made from.
    """
    planned = plan_files(load_given(suites))
    store = RunStore(runs_dir)
    with Models(reference, base, store) as models:
        backend = models.find("candidate")
        if isinstance(backend, str):
            raise InputError(Fault(reference, "a stored run", "a model to evaluate"))
        return Evaluation(planned, backend, store, watch, models.others()).run(label="candidate")


def load_given(suites: Sequence[Path]) -> tuple[SuiteFile, ...]:
    """Load the suites that a command was given, with the checks that conftest.py files beside them define.

    Raises:
        InputError: with the faults of all files.
    """
    root = suites_root(suites)
    load_conftests(suites, root)
    return load_files(suites, root)


def suites_root(suites: Sequence[Path]) -> Path:
    """Return the folder that suite paths are shown from and must stay in: the working directory if it holds them."""
    places = [path.resolve() for path in suites]
    here = Path.cwd()
    if all(place.is_relative_to(here) for place in places):
        return here
    return Path(os.path.commonpath([place if place.is_dir() else place.parent for place in places]))


def metric_rows(run: Run) -> list[dict[str, Any]]:
    """Return the mean of each metric of a run: suite, task, check, n, mean, errored."""
    rows = []
    for key in sorted(run.manifest.metrics):
        suite, task, check = key.split("/", 2)
        samples = [s for s in run.samples if s.suite == suite and s.task == task]
        scores = [s.scores[check] for s in samples if check in s.scores]
        mean = math.fsum(scores) / len(scores) if scores else None
        errored = sum(s.status is Status.ERRORED for s in samples)
        rows.append({"suite": suite, "task": task, "check": check, "n": len(scores), "mean": mean, "errored": errored})
    return rows


def compare_runs(
    runs_dir: Path, reference: str, others: Sequence[str], margin: float, by: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Compare stored runs with a reference run on every metric that both have.

    Args:
        runs_dir: Folder of the run store.
        reference: Run id, unique prefix, "latest", "promoted", or a folder of lm-eval's results.
        others: Runs (or such folders) to compare with it.
        margin: No-regression margin, in the metric's unit.
        by: Tags whose values' figures are shown beside each gate.
    """
    runs = load_runs(RunStore(runs_dir), [reference, *others])
    before = runs[0]
    rows = []
    for after in runs[1:]:
        gates = metric_gates(before, after, margin)
        comparer = Comparer(after, before, gates_in_plan=len(gates))
        comparisons = [comparer.compare(gate) for gate in gates]
        verdicts = judge(comparisons, gates_in_plan=len(gates))
        pair: dict[Role, Run] = {"candidate": after, "previous": before}
        rows += [verdict_row(v, pair, comparer.by_tags(v.gate, by)) for v in verdicts]
    return rows


def load_runs(store: RunStore, references: Sequence[str]) -> list[Run]:
    """Return runs by reference; tasks of lm-eval's folders take the suite names of the stored runs beside them."""
    stored = {r: store.load(store.resolve(r)) for r in references if store.has(r) or not is_results(r)}
    suite_of = {task: suite for run in stored.values() for task, suite in suites_by_task(run).items()}
    return [stored[r] if r in stored else load_results(Path(r), suite_of) for r in references]


def metric_gates(before: Run, after: Run, margin: float) -> list[Gate]:
    """Return one no-regression gate per metric of either run; one that a side lacks is not comparable."""
    keys = sorted({*before.manifest.metrics, *after.manifest.metrics})
    places = [key.split("/", 2) for key in keys]
    return [
        Gate(
            id=f"{f'{task}-' if task else ''}{check}-no_regression",
            path=suite,
            line=0,
            suite=suite,
            task=task,
            check=check,
            demand="no_regression",
            threshold=margin,
            against="previous",
            proof="none",
            alpha=0.05,
        )
        for suite, task, check in places
    ]
