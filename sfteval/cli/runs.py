"""`sfteval runs`: list, show, promote and remove stored runs."""

from __future__ import annotations

from typing import Annotated

import typer

from sfteval.cli.app import DEFAULT_RUNS, Json, RunsDir, app, show

runs_app = typer.Typer(help="List, show, promote and remove stored runs.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")


@runs_app.command("list")
def runs_list(runs_dir: RunsDir = DEFAULT_RUNS, as_json: Json = False) -> None:
    """List complete runs, the newest last, and say what is wrong with the others."""
    from sfteval.pipeline.stored import list_runs
    from sfteval.report.tables import runs_table

    show(list_runs(runs_dir), runs_table, as_json)


@runs_app.command("show")
def runs_show(run: str, runs_dir: RunsDir = DEFAULT_RUNS, as_json: Json = False) -> None:
    """Show one run: manifest and metrics."""
    from sfteval.pipeline.stored import show_run
    from sfteval.report.tables import run_view

    show(show_run(runs_dir, run), run_view, as_json)


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
