"""What the `runs` commands read and write: the store's runs as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sfteval.pipeline.commands import metric_rows
from sfteval.store import RunStore

if TYPE_CHECKING:
    from pathlib import Path


def list_runs(runs_dir: Path) -> dict[str, Any]:
    """Return complete runs, oldest first, and the problems of the others."""
    store = RunStore(runs_dir)
    promotion = store.promoted()
    rows = [
        {
            "run_id": m.run_id,
            "model": m.model.reference,
            "samples": m.counts.get("samples", 0),
            "errored": m.counts.get("errored", 0),
            "finished": m.finished,
            "promoted": promotion is not None and promotion.run_id == m.run_id,
        }
        for m in store.manifests()
    ]
    return {"runs": rows, "problems": [str(fault) for fault in store.problems()]}


def show_run(runs_dir: Path, reference: str) -> dict[str, Any]:
    """Return one run's manifest and metrics."""
    store = RunStore(runs_dir)
    run = store.load(store.resolve(reference))
    return {"manifest": asdict(run.manifest), "metrics": metric_rows(run), "path": str(run.path)}


def remove_run(runs_dir: Path, reference: str, *, force: bool) -> str:
    """Remove one run and return its id."""
    store = RunStore(runs_dir)
    run_id = store.resolve(reference)
    store.remove(run_id, force=force)
    return run_id
