"""`sfteval score`: judge answers that somebody else generated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfteval.cli.app import DEFAULT_RUNS, Json, RunsDir, app, show
from sfteval.errors import Fault, InputError


@app.command()
def score(  # noqa: PLR0913 - one parameter per option
    suites: Annotated[list[Path] | None, typer.Argument(help="Suite files or folders.")] = None,
    responses: Annotated[
        Path, typer.Option(help="JSONL of {id | prompt, response, finish_reason?} rows, plain or .gz.")
    ] = ...,  # type: ignore[assignment]  # typer's mark of a required option
    ifeval: Annotated[Path | None, typer.Option(help="Judge answers to IFEval's own prompt file instead.")] = None,
    ifbench: Annotated[Path | None, typer.Option(help="Judge answers to IFBench's own prompt file instead.")] = None,
    base: Annotated[
        str | None, typer.Option(help="The base's answers (a file) or its run; else no such gates.")
    ] = None,
    previous: Annotated[str, typer.Option(help="Run id, `promoted`, `latest` or `none`.")] = "none",
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: Json = False,
) -> None:
    """Judge answers that somebody else generated, with the same checks, gates and exit codes; no model is loaded.

    A sample without an answer counts as errored, never as wrong. With --ifeval or --ifbench: the benchmark's
    accuracies, strict and loose.
    """
    from sfteval.report.scores import published_view, scored_view

    published = {name: path for name, path in (("ifeval", ifeval), ("ifbench", ifbench)) if path is not None}
    if len(published) + bool(suites) != 1:
        raise InputError(Fault("sfteval score", f"{len(published) + bool(suites)} things to judge by", _ONE))
    if published:
        from sfteval.pipeline.published import score_published

        name, prompts = next(iter(published.items()))
        show(score_published(name, prompts, responses), published_view, as_json)
        return
    from sfteval.pipeline.scoring import score_answers

    scored = score_answers(suites or [], responses, runs_dir, base=base, previous=previous)
    show(scored, scored_view, as_json)
    raise typer.Exit(scored["exit_code"])


_ONE = "either suites, or --ifeval PROMPTS, or --ifbench PROMPTS"
