"""Tables for the terminal (rich), readable at 80 columns and without colour. Comes in: rows. Goes out: lines."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sfteval.report.rows import cause_lines, flip_lines, points, rows_code, score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

STYLES = {
    "PASS": "green",
    "FAIL": "bold red",
    "INCONCLUSIVE": "yellow",
    "NOT_COMPARABLE": "bold magenta",
    "NOT_JUDGED": "dim",
}
SHOWN_REASONS = 5
SHORT = {"INCONCLUSIVE": "OPEN", "NOT_COMPARABLE": "BROKE", "NOT_JUDGED": "not judged"}
WORDS = {
    0: "Ship: no gate objects.",
    1: "Do not ship: a regression is proven or a floor is missed.",
    20: "Open: a gate that asks for proof has none.",
    21: "Broke: something could not be compared; this is not a pass.",
}


def summary(rows: Sequence[Mapping[str, Any]], *, width: int, colour: bool, verbosity: int = 0) -> list[str]:
    """Return the closing lines of a release.

    Args:
        rows: From `report.rows.verdict_row`.
        width: Columns of the terminal.
        colour: Whether it shows colour.
        verbosity: −1 gives one line, 0 the table, 1 adds intervals' figures and flips.
    """
    code = rows_code(rows)
    verdict = Text(
        WORDS[code] + _open(rows, code), style="bold " + ("green" if code == 0 else "yellow" if code == 20 else "red")
    )
    if verbosity < 0:
        return lines(verdict, width=width, colour=colour)
    shown: list[RenderableType] = [gates_table(rows, width), verdict]
    for row in _told(rows):
        shown.append(Text(f"  {name_of(row)} ({asks(row)}): {'; '.join(row['reasons'])}"))
        shown += [Text(f"    {line}") for line in cause_lines(row)]
    if verbosity > 0:
        shown += [Text("\n".join(flip_lines(f, str(r["against"])))) for r in rows for f in r["flips"][:2]]
    return [line for part in shown for line in lines(part, width=width, colour=colour)]


def _open(rows: Sequence[Mapping[str, Any]], code: int) -> str:
    """Say how many open questions a release ships with."""
    count = sum(row["verdict"] == "INCONCLUSIVE" for row in rows)
    return f" {count} open, where no proof is required." if count and code == 0 else ""


def _told(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the gates whose reasons are shown: what broke first, then the largest drops, then what is accepted."""
    blocking = [row for row in rows if row["blocks"] or row["accepted"] or _expired(row)]
    blocking.sort(key=lambda row: (-row["exit_code"], row["difference"] if row["difference"] is not None else 0.0))
    return blocking[:SHOWN_REASONS]


def _expired(row: Mapping[str, Any]) -> bool:
    """Return whether something that was accepted has expired: it is told even where the gate passes."""
    return any("EXPIRED" in reason for reason in row["reasons"])


def gates_table(rows: Sequence[Mapping[str, Any]], width: int = 100) -> Table:
    """Return the table of gates: what is asked, baseline, candidate, change in points with its interval, verdict."""
    table = Table(title="sfteval: gates of this release", title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("gate", overflow="fold", max_width=max(20, width - 62))
    table.add_column("asks", no_wrap=True)
    for name in ("before", "now", "change [interval]"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        interval = "" if row["low"] is None or row["difference"] is None else _interval(row)
        word = SHORT.get(row["verdict"], row["verdict"]) + (" (accepted)" if row["accepted"] else "")
        verdict = Text(word, style=STYLES[row["verdict"]])
        table.add_row(
            Text(name_of(row)), asks(row), score(row["reference"]), score(row["candidate"]), interval, verdict
        )
    return table


def name_of(row: Mapping[str, Any]) -> str:
    """Return what is judged: task (or suite) and check, or the family."""
    if row["family"]:
        return f"family {row['node'].rsplit('::', 1)[1].split('-no_regression')[0]}"
    part = f" ({row['slice']})" if row["slice"] else ""
    return f"{row['task'] or row['suite']} {row['check']}{part}"


def asks(row: Mapping[str, Any]) -> str:
    """Return the demand in a few characters: `base −5`, `base +50`, `≥ 0.9`."""
    baseline = {"base": "base", "previous": "prev"}.get(row["against"], "")
    margin = f"{100 * row['margin']:g}"
    words = {
        "no_regression": f"{baseline} −{margin}",
        "improves": f"{baseline} +{margin}",
        "at_least": f"≥ {row['margin']:g}",
        "at_most": f"≤ {row['margin']:g}",
    }
    return words[row["demand"]]


def _interval(row: Mapping[str, Any]) -> str:
    return f"{points(row['difference'])} [{points(row['low'])}, {points(row['high'])}]"


def lines(part: RenderableType, *, width: int, colour: bool) -> list[str]:
    """Render anything rich can show to lines."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=colour, color_system="standard" if colour else None)
    console.print(part, soft_wrap=False)
    return stream.getvalue().rstrip("\n").split("\n")
