"""Commands that evaluate and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfteval.cli.app import DEFAULT_RUNS, Json, RunsDir, app, show


@app.command("eval")
def evaluate(
    candidate: Annotated[str, typer.Option(help="Model reference: hub id, folder, adapter, .gguf file.")],
    suites: Annotated[list[Path], typer.Option(help="Suite files or folders.")] = [Path("suites")],  # noqa: B006
    base: Annotated[str | None, typer.Option(help="Model that checks such as kl_from_base ask; else its own.")] = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Evaluate one model on suites and store the run. Run again with the same arguments to resume."""
    from sfteval.pipeline.commands import evaluate_model, metric_rows
    from sfteval.report.progress import progress
    from sfteval.report.tables import evaluation_table

    with progress() as watch:
        done = evaluate_model(candidate, suites, runs_dir, watch, base=base)
    manifest = done.run.manifest
    result = {
        "run_id": manifest.run_id,
        "path": str(done.run.path),
        "model": manifest.model.reference,
        "resumed": done.resumed,
        "computed": done.computed,
        "reused": done.reused,
        "seconds": manifest.seconds,
        "counts": dict(manifest.counts),
        "metrics": metric_rows(done.run),
        "warnings": list(manifest.extra["warnings"]),
    }
    for text in manifest.extra["warnings"]:
        typer.echo(f"warning: {text}", err=True)
    show(result, evaluation_table, as_json)


@app.command()
def noise(
    candidate: Annotated[str, typer.Argument(help="Model reference: hub id, folder, adapter, .gguf file.")],
    suites: Annotated[list[Path], typer.Argument(help="Suite files or folders.")],
    repetitions: Annotated[int, typer.Option("-k", "--repetitions", help="How often it is asked the same.")] = 5,
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Ask one model the same several times: how much do its scores move? Exits 21 if two of these runs differ."""
    from sfteval.errors import EXIT_BROKE
    from sfteval.pipeline.noise import measure_noise
    from sfteval.report.progress import progress
    from sfteval.report.tables import noise_view

    with progress() as watch:
        found = measure_noise(candidate, suites, runs_dir, repetitions, watch)
    show(found, noise_view, as_json)
    raise typer.Exit(EXIT_BROKE if found["differences"] else 0)


@app.command()
def compare(
    reference: Annotated[
        str,
        typer.Argument(
            help="Run to compare with: id, unique prefix, `latest`, `promoted`, or a folder that lm-eval wrote."
        ),
    ],
    runs: Annotated[list[str], typer.Argument(help="One or more runs or such folders.")],
    margin: Annotated[float, typer.Option(min=0, help="Drop that is still acceptable.")] = 0.0,
    by: Annotated[list[str], typer.Option(help="Tag whose values are shown beside each gate; may be repeated.")] = [],  # noqa: B006
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Compare stored runs, paired sample by sample. Exits 1 if a drop is proven, 21 if nothing can be compared."""
    from sfteval.pipeline.commands import compare_runs
    from sfteval.report.rows import rows_code
    from sfteval.report.tables import comparison_view

    rows = compare_runs(runs_dir, reference, runs, margin, by)
    show(rows, comparison_view, as_json)
    raise typer.Exit(rows_code(rows))
