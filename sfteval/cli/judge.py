"""`sfteval judge agreement`: how far a suite's judge agrees with people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfteval.cli.app import Json, app, show

judge_app = typer.Typer(help="Measure judges against people.", no_args_is_help=True)
app.add_typer(judge_app, name="judge")


@judge_app.callback()
def judges() -> None:
    """Measure judges."""


@judge_app.command("agreement")
def judge_agreement(
    file: Annotated[
        Path, typer.Argument(help="JSONL of {prompt, response, label} or {prompt, response_a, response_b, label} rows.")
    ],
    suite: Annotated[Path, typer.Option(help="Suite file that holds the judge check.")],
    check: Annotated[str, typer.Option(help="Name of the judge check.")],
    model: Annotated[str | None, typer.Option(help="Judge to measure in place of the check's own.")] = None,
    as_json: Json = False,
) -> None:
    """Let a suite's judge grade answers that people have graded: accuracy, Cohen's kappa, confusion.

    Exits 21 when the judge's opinion of not one answer could be had.
    """
    from sfteval.errors import EXIT_BROKE
    from sfteval.pipeline.judging import judge_agreement as measure
    from sfteval.report.agreement import agreement_view

    found = measure(file, suite, check, model=model)
    show(found, agreement_view, as_json)
    if not found["n"]:
        raise typer.Exit(EXIT_BROKE)
