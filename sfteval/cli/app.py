"""The command line's root: the app, what its commands share, and how they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sfteval._version import __version__

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

RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder of the run store.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DEFAULT_RUNS = Path("runs")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"sfteval {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Gate releases of fine-tuned language models."""


def show(data: Any, view: Any, as_json: bool) -> None:
    """Print `data` as JSON, or as the table that `view` makes of it."""
    if as_json:
        typer.echo(json.dumps(data))
        return
    from rich.console import Console

    Console().print(view(data))
