"""The command that looks at training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfteval.cli.app import Json, app, show
from sfteval.errors import EXIT_USAGE


@app.command()
def audit(
    config: Annotated[Path, typer.Argument(help="Training configuration (YAML).")],
    tokens: Annotated[int, typer.Option("--show", min=0, help="Print the tokens of the first N rows, coloured.")] = 0,
    html: Annotated[Path | None, typer.Option(help="Write the audit as one HTML page.")] = None,
    as_json: Json = False,
) -> None:
    """See what a training would learn from: lengths, labels, duplicates, overlap with suites. 2: it would refuse."""
    from sfteval.pipeline.audit import audit_data
    from sfteval.report.audit import audit_view, write_audit

    found = audit_data(config, show=tokens)
    show(found, audit_view, as_json)
    if html:
        typer.echo(f"page: {write_audit(html, found)}", err=True)
    for reason in found["refused"]:
        typer.secho(f"sfteval: {reason}", err=True)
    raise typer.Exit(EXIT_USAGE if found["refused"] else 0)
