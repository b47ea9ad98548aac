"""GitHub Actions annotations: a line of output that marks a line of a suite file.

Comes in: rows. Goes out: workflow commands (`::error file=…,line=…::message`), escaped by GitHub's own rules
(actions/toolkit, `command.ts`), so that no model text can end one or begin another.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.report.rows import evidence
from sfteval.report.terminal import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST = 50
"""GitHub shows ten errors and ten warnings a step; the rest are in the log."""


def workflow_commands(rows: Sequence[Mapping[str, Any]], root: Path, workspace: Path) -> Iterator[str]:
    """Yield one command per gate that blocks (error), or is open, accepted or lost samples (warning).

    Args:
        rows: From `report.rows.verdict_row`.
        root: Folder that the rows' paths start at.
        workspace: Folder that GitHub's paths start at.
    """
    told = [row for row in rows if _level(row)]
    for row in sorted(told, key=lambda row: not row["blocks"])[:MOST]:
        path = (root / row["path"]).resolve()
        shown = path.relative_to(workspace.resolve()) if path.is_relative_to(workspace.resolve()) else Path(row["path"])
        place = f"file={_property(shown.as_posix())},line={max(1, row['line'])}"
        title = _property(f"sfteval: {name_of(row)}: {row['verdict']}")
        yield f"::{_level(row)} {place},title={title}::{_message(evidence(row))}"


def _level(row: Mapping[str, Any]) -> str:
    if row["blocks"]:
        return "error"
    return "warning" if row["accepted"] or row["missing"] or row["verdict"] == "INCONCLUSIVE" else ""


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
