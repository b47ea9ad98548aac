"""`sfteval accept` and `sfteval quarantine`: what a team lives with for a while, in a reviewed file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfteval.cli.app import DEFAULT_RUNS, Json, RunsDir, app, show

Until = Annotated[str, typer.Option(help="Last day on which it holds, YYYY-MM-DD.")]
Because = Annotated[str, typer.Option(help="Why; a reviewer reads it.")]
Who = Annotated[str | None, typer.Option(help="Who (default: the current user).")]
File = Annotated[Path, typer.Option(help="The reviewed file.")]
DEFAULT_FILE = Path("suites/accepted.yaml")


@app.command()
def accept(  # noqa: PLR0913 - one parameter per option
    run: Annotated[str, typer.Argument(help="The candidate's run, as `pytest suites/` judged it.")],
    gate: Annotated[str, typer.Argument(help="The gate as pytest shows it, or its name after `::`.")],
    until: Until,
    because: Because,
    who: Who = None,
    file: File = DEFAULT_FILE,
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Accept a regression until a day: the gate still says FAIL, and no longer blocks a drop of this size.

    A larger drop is not accepted, and when the day has passed the gate blocks again and says so.
    """
    from sfteval.pipeline.accepting import accept as accept_gate
    from sfteval.report.tables import fields_table

    entry = accept_gate(runs_dir, run, gate, file, until=until, because=because, who=who)
    show(entry, fields_table("accepted"), as_json)


@app.command()
def quarantine(
    suite: Annotated[str, typer.Argument(help="Suite name.")],
    sample: Annotated[str, typer.Argument(help="Sample id.")],
    until: Until,
    because: Because,
    who: Who = None,
    file: File = DEFAULT_FILE,
    as_json: Json = False,
) -> None:
    """Keep a noisy sample from being judged until a day. Reports count it; at most 5 % of a suite."""
    from sfteval.pipeline.accepting import quarantine as quarantine_sample
    from sfteval.report.tables import fields_table

    entry = quarantine_sample(suite, sample, file, until=until, because=because, who=who)
    show(entry, fields_table("in quarantine"), as_json)
