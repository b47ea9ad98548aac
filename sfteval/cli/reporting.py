"""`sfteval report`: the pages, and a release as Markdown, JSON or JUnit."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sfteval.cli.app import DEFAULT_RUNS, RunsDir, app


class Form(StrEnum):
    """What `sfteval report` makes."""

    HTML = "html"
    MD = "md"
    JSON = "json"
    JUNIT = "junit"


@app.command()
def report(
    run: Annotated[str | None, typer.Argument(help="Judged run (md, json, junit); default: the newest.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the pages, or (md) of report.md with its pictures.")] = Path(
        "site"
    ),
    form: Annotated[Form, typer.Option("--format", help="html: all pages. md, json, junit: one release.")] = Form.HTML,
    runs_dir: RunsDir = DEFAULT_RUNS,
) -> None:
    """Build pages that open without a server: release, forgetting, samples, compare, training.

    `--format json` and `--format junit` print one release; `--format md` writes `report.md` and its pictures.
    """
    from sfteval.pipeline.site import build_site, print_release, write_markdown
    from sfteval.report.progress import progress

    if form is Form.HTML:
        with progress() as watch:
            typer.echo(build_site(runs_dir, out, watch))
    elif form is Form.MD:
        typer.echo(write_markdown(runs_dir, run, out))
    else:
        typer.echo(print_release(runs_dir, run, form.value))
