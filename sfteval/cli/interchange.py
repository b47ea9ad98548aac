"""`sfteval import` and `sfteval export`: lm-eval's own result files as runs, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfteval.cli.app import DEFAULT_RUNS, Json, RunsDir, app, show


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="Folder (or results_*.json) that lm-eval wrote.")],
    suite: Annotated[str, typer.Option(help="Suite name, to compare with runs of that suite.")] = "lm-eval",
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Store what lm-eval wrote (`--output_path OUT --log_samples`) as a run.

    `sfteval compare` also takes such folders directly.
    """
    from sfteval.pipeline.interchange import import_results
    from sfteval.report.tables import fields_table

    show(import_results(path, runs_dir, suite), fields_table("imported"), as_json)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="Run id, unique prefix, `latest` or `promoted`.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Write a run's lm-eval tasks in lm-eval's own format: `results_*.json` and `samples_*.jsonl`."""
    from sfteval.pipeline.interchange import export_run
    from sfteval.report.tables import fields_table

    show(export_run(runs_dir, run, out), fields_table("exported"), as_json)
