"""A release as Markdown, for a pull request or a CI job's summary.

Comes in: rows. Goes out: text that GitHub and GitLab render. Model text is data: it stands in fences that are longer
than any in it, names are escaped, and both are cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sfteval.report.rows import cause_lines, clip, points, score
from sfteval.report.terminal import WORDS, asks, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SHOWN_FLIPS = 3
SHOWN_GATES = 400
MARKS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔", "NOT_COMPARABLE": "⛔", "NOT_JUDGED": "➖"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-!|<>&~$@])")


def summary(rows: Sequence[Mapping[str, Any]], status: int) -> str:
    """Return the Markdown of a release.

    Args:
        rows: From `report.rows.verdict_row`.
        status: The session's exit code.
    """
    lines = [f"## sfteval: {WORDS.get(status, f'pytest ended with {status}')}", "", *_table(rows)]
    for row in rows:
        if row["blocks"] or row["accepted"]:
            lines += ["", *_told(row)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| | gate | asks | before | now | change [interval], points | n | left out |"
    yield "|---|---|---|--:|--:|--:|--:|--:|"
    shown = sorted(rows, key=lambda row: not row["blocks"])[:SHOWN_GATES]
    for row in shown:
        change = "–"
        if row["difference"] is not None:
            change = f"{points(row['difference'])} [{points(row['low'])}, {points(row['high'])}]"
        verdict = f"{MARKS[row['verdict']]} {row['verdict']}" + (" (accepted)" if row["accepted"] else "")
        cells = (escaped(verdict), escaped(name_of(row)), escaped(asks(row)), score(row["reference"]))
        figures = (score(row["candidate"]), change, str(row["n"]), str(row["missing"]))
        yield f"| {' | '.join((*cells, *figures))} |"
    if len(rows) > len(shown):
        yield f"\n{len(rows) - len(shown)} more gates are in the verdicts file."


def _told(row: Mapping[str, Any]) -> Iterator[str]:
    place = f"({escaped(row['path'])}, line {row['line']})"
    yield f"**{escaped(name_of(row))}** {place}: {escaped('; '.join(row['reasons']))}"
    for line in cause_lines(row):
        yield f"- {escaped(line)}"
    for flip in row["flips"][:SHOWN_FLIPS]:
        change = f"{flip['reference_score']:g} → {flip['candidate_score']:g}"
        yield ""
        yield f"<details><summary>{escaped(flip['sample_id'])}: {change}</summary>\n"
        for label, text in (
            ("prompt", flip["prompt"]),
            (str(row["against"]), flip["reference_output"]),
            ("candidate", flip["candidate_output"]),
        ):
            yield f"{label}:\n"
            yield _fenced(clip(text))
            yield ""
        yield "</details>"


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
