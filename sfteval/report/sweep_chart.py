"""Learning against forgetting: the chart and the table of a sweep.

Comes in: a row per point. Goes out: `sweep.html` and `sweep.svg` beside `sweep.json` (altair; without it no chart, and
the view says so), and the table.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from sfteval.report.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import RenderableType

AXES = ("rank", "alpha", "learning_rate", "data")


def draw(rows: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write the charts; none without altair and vl-convert."""
    if not (find_spec("altair") and find_spec("vl_convert")):
        return []
    import altair

    axes = [axis for axis in AXES if axis in rows[0]]
    shown = [{name: row[name] for name in (*axes, "target_gain", "forgetting", "loss")} for row in rows]
    tooltip = [altair.Tooltip(name, type="quantitative") for name in shown[0]]
    encoding: dict[str, Any] = {
        "x": altair.X("forgetting:Q", title="forgetting (mean drop on the retention suites)"),
        "y": altair.Y("target_gain:Q", title="learning (mean gain on the target suites)"),
        "tooltip": tooltip,
        "color": altair.Color(f"{axes[0]}:O", title=axes[0].replace("_", " ")),
    }
    if len(axes) > 1:
        encoding["shape"] = altair.Shape(f"{axes[1]}:O", title=axes[1].replace("_", " "))
    if len(axes) > 2:
        encoding["size"] = altair.Size(f"{axes[2]}:O", title=axes[2].replace("_", " "))
    values: Any = altair.InlineData(values=shown)
    chart = altair.Chart(values).mark_point(filled=True).encode(**encoding)
    places = [folder / "sweep.html", folder / "sweep.svg"]
    chart.save(str(places[0]), inline=True)
    chart.save(str(places[1]))
    return places


def sweep_view(data: Mapping[str, Any]) -> RenderableType:
    """Show the points, the one that learnt most for what it forgot first."""
    rows = sorted(data["points"], key=lambda row: row["forgetting"] - row["target_gain"])
    axes = [axis for axis in AXES if axis in rows[0]]
    columns = (*axes, "target gain", "forgetting", "loss", "checkpoint")
    cells = [
        (
            *(f"{row[axis]:g}" for axis in axes),
            f"{row['target_gain']:+.3f}",
            f"{row['forgetting']:+.3f}",
            f"{row['loss']:.3f}",
            row["checkpoint"],
        )
        for row in rows
    ]
    charts = ", ".join(data["charts"]) or "no chart: install altair and vl-convert-python"
    return Group(
        plain_table(f"sweep of {data['config']}", columns, cells, columns[:-1]), Text(f"{data['folder']}\n{charts}")
    )
