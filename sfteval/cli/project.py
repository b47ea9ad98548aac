"""Commands around a project: the demo, a new project, the machine, the suite language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sfteval.cli.app import DEFAULT_RUNS, Json, RunsDir, app, show


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

    show(examine(runs_dir), doctor_table, as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of suite files, for editors: `sfteval schema > suite.schema.json`."""
    from sfteval.checks import CHECK_TABLE
    from sfteval.spec import suite_schema

    typer.echo(json.dumps(suite_schema(CHECK_TABLE), indent=2))


@app.command()
def checks(
    name: Annotated[str | None, typer.Argument(help="One check.")] = None,
    as_json: Json = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the reference page of the documentation.")
    ] = False,
) -> None:
    """List the checks with their fields and examples."""
    from sfteval.pipeline.listing import describe_checks
    from sfteval.report.tables import checks_view

    if markdown:
        from sfteval.report.checks_page import checks_page

        typer.echo(checks_page(describe_checks(name)), nl=False)
        return
    show(describe_checks(name), checks_view, as_json)
