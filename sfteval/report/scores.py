"""Tables of `sfteval score` (rich). Comes in: the plain data that `--json` prints. Goes out: something to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from sfteval.report.rows import score
from sfteval.report.tables import plain_table
from sfteval.report.terminal import gates_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

SHOWN = 5


def scored_view(scored: Mapping[str, Any]) -> RenderableType:
    """Show metrics, gates, and the samples that nobody answered."""
    rows = [(m["suite"], m["check"], m["n"], score(m["mean"]), m["errored"]) for m in scored["metrics"]]
    parts: list[RenderableType] = [
        plain_table("answers", ("suite", "check", "n", "mean", "errored"), rows, ("n", "mean", "errored")),
        gates_table(scored["gates"]),
    ]
    parts += [Text(f"{row['node']}: {'; '.join(row['reasons'])}") for row in scored["gates"] if row["blocks"]]
    return Group(*parts, *_left(scored, "samples"), Text(f"run {scored['run_id']} in {scored['path']}"))


def published_view(scored: Mapping[str, Any]) -> RenderableType:
    """Show a published benchmark's accuracies."""
    rows = [(way, score(scored[way]["prompt"]), score(scored[way]["instruction"])) for way in ("strict", "loose")]
    table = plain_table(f"{len(scored['rows'])} prompts", ("judged", "prompt", "instruction"), rows)
    return Group(table, *_left(scored, "prompts"))


def _left(scored: Mapping[str, Any], noun: str) -> list[Text]:
    """Return what has no partner, in words."""
    lines = []
    if scored["unanswered"]:
        lines.append(f"{noun} without an answer: {len(scored['unanswered'])} ({_some(scored['unanswered'])})")
    unmatched = scored["unmatched"]
    if unmatched:
        count = unmatched if isinstance(unmatched, int) else len(unmatched)
        lines.append(f"answers to none of the {noun}: {count}")
    return [Text(line, style="yellow") for line in lines]


def _some(names: Sequence[Any]) -> str:
    return ", ".join(str(name) for name in names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
