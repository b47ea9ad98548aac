"""The table of `sfteval judge agreement` (rich). Comes in: what `--json` prints. Goes out: something to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from sfteval.report.rows import score
from sfteval.report.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType


def agreement_view(found: Mapping[str, Any]) -> RenderableType:
    """Show figures with their 95 % intervals, then people's labels against the judge's."""
    figures = [(name, score(found[name]), _interval(found[f"{name}_interval"])) for name in ("accuracy", "kappa")]
    labels = sorted({*found["confusion"], *(judge for row in found["confusion"].values() for judge in row)})
    rows = [(human, *(found["confusion"].get(human, {}).get(judge, 0) for judge in labels)) for human in labels]
    left = f"{found['n']} answers judged, {found['unreadable']} unreadable, {found['errored']} errored"
    return Group(
        plain_table(f"{found['check']} by {found['model']}", ("agreement", "value", "95 % interval"), figures),
        plain_table("people (rows), judge (columns)", ("", *labels), rows, tuple(labels)),
        Text(f"{left}, {found['ties']} ties"),
    )


def _interval(bounds: list[float] | None) -> str:
    return "" if bounds is None else f"{score(bounds[0])} to {score(bounds[1])}"
