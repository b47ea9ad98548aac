"""lm-eval's own results as runs, and runs as lm-eval's results.

Comes in: a folder that lm-eval wrote, or a run. Goes out: a run (stored by `import_results`, in memory by
`load_results`), or lm-eval's files.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError
from sfteval.keys import content_key, model_fingerprint
from sfteval.records import Manifest, ModelIdentity, Run
from sfteval.records.columns import columns_of
from sfteval.store import RunStore
from sfteval.tasks.result_files import LmEvalResults, read_results, results_key
from sfteval.tasks.result_writing import write_results

if TYPE_CHECKING:
    from collections.abc import Mapping

SUITE = "lm-eval"


def import_results(path: Path, runs_dir: Path, suite: str = SUITE) -> dict[str, Any]:
    """Store lm-eval's results as a run.

    Args:
        path: Folder or `results_*.json`.
        runs_dir: Folder of the run store.
        suite: Suite name of the samples; name the suite of the runs that they are to be compared with.

    Raises:
        InputError: files that are missing, damaged or do not belong together.
    """
    results = read_results(path, {}, suite)
    identity, plan = _identity(results), content_key([sample.key for sample in results.samples])
    store = RunStore(runs_dir)
    with store.begin(identity, plan) as writer:
        with writer.lease(suite, wait=True) as held:
            if held and not writer.done(suite):
                writer.put_samples(suite, list(results.samples), results.metrics)
        run = writer.finish(_manifest(results, writer.run_id, identity, plan))
    return {
        "run_id": run.manifest.run_id,
        "path": str(run.path),
        "model": results.model,
        "tasks": sorted({sample.task for sample in results.samples}),
        "samples": len(results.samples),
        "warnings": list(results.warnings),
    }


def load_results(path: Path, suite_of: Mapping[str, str]) -> Run:
    """Return lm-eval's results as a run that is not stored.

    Args:
        path: Folder or `results_*.json`.
        suite_of: Suite name by task of the run that it is compared with.
    """
    results = read_results(path, suite_of, SUITE)
    identity, plan = _identity(results), content_key([sample.key for sample in results.samples])
    return Run(_manifest(results, str(path), identity, plan), results.samples, path)


def export_run(runs_dir: Path, reference: str, out: Path) -> dict[str, Any]:
    """Write a run's lm-eval tasks as lm-eval's own files.

    Raises:
        InputError: the run holds no lm-eval task.
    """
    store = RunStore(runs_dir)
    run = store.load(store.resolve(reference))
    samples = [sample for sample in run.samples if sample.task]
    if not samples:
        found = "suites with samples of their own only"
        raise InputError(Fault(f"run {run.manifest.run_id}", found, "at least one lm-eval task"))
    return {"run_id": run.manifest.run_id, "files": [str(f) for f in write_results(samples, run.manifest, out)]}


def is_results(reference: str) -> bool:
    """Return whether a person named lm-eval's output rather than a run."""
    path = Path(reference)
    return path.suffix == ".json" if path.is_file() else path.is_dir() and any(path.rglob("results_*.json"))


def suites_by_task(run: Run) -> dict[str, str]:
    """Return the suite that each lm-eval task of a run stands in."""
    columns = columns_of(run.samples)
    return {task: suite for task, suite in dict.fromkeys(zip(columns.task, columns.suite, strict=True)) if task}


def _identity(results: LmEvalResults) -> ModelIdentity:
    unknown = "unknown"
    return ModelIdentity(
        reference=f"lm-eval:{results.model}",
        weights=results_key(results),
        adapter="",
        tokenizer=unknown,
        template=unknown,
        numerics=f"lm-eval-{results.version}",
    )


def _manifest(results: LmEvalResults, run_id: str, identity: ModelIdentity, plan: str) -> Manifest:
    begun = datetime.fromtimestamp(results.date, UTC)
    suites = sorted({sample.suite for sample in results.samples})
    suite_of = {sample.task: sample.suite for sample in results.samples}
    metrics = {f"{suite_of[name.split('/', 1)[0]]}/{name}": info for name, info in results.metrics.items()}
    scored = sum(bool(sample.scores) for sample in results.samples)
    return Manifest(
        run_id=run_id,
        fingerprint=model_fingerprint(identity),
        model=identity,
        plan=plan,
        suites={suite: content_key([s.key for s in results.samples if s.suite == suite]) for suite in suites},
        metrics=metrics,
        counts={"samples": len(results.samples), "scored": scored},
        versions={"lm-eval": results.version},
        hardware={},
        started=begun.isoformat(),
        finished=(begun + timedelta(seconds=results.seconds)).isoformat(),
        seconds=results.seconds,
        extra={"imported": "lm-eval", "warnings": list(results.warnings)},
    )
