"""The table of `sfteval plan` (rich). Comes in: the plain data that `--json` prints. Goes out: something to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

PARTS = ("weights", "gradients", "optimiser", "activations", "total")
COLUMNS = ("method", "trainable", "share", "weights", "grads", "optim", "activ", "total")
"""Short enough for a terminal of 80 characters."""


def sizes_view(data: Mapping[str, Any]) -> RenderableType:
    """Show every method side by side; the one that was asked for is bold."""
    batch, rows, notes = data["batch"], [], []
    for name, row in data["methods"].items():
        memory = row["memory_bytes"] or {}
        cells = [
            name,
            f"{row['trainable_parameters']:,}",
            _share(row["trainable_parameters"] / row["total_parameters"]),
            *(size(memory.get(part)) for part in PARTS),
        ]
        rows.append([Text(cell, style="bold" if row["asked"] else "") for cell in cells])
        notes += [Text(f"{name}: {row['note']}", style="yellow")] if row["note"] else []
    padded, packed = batch["padded"], batch["packed"]
    largest = f"{padded['rows']} × {padded['length']} tokens" if packed is None else f"{packed['length']} packed tokens"
    head = Text(f"{data['model']}: float32, micro-batch of {largest}; memory: {', '.join(PARTS)}", style="italic")
    return Group(head, _table(rows), *notes)


def _table(rows: Sequence[Sequence[Text]]) -> Table:
    """Return a table without lines, whose columns keep their width."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == COLUMNS[0] else "right", no_wrap=name != COLUMNS[0])
    for row in rows:
        table.add_row(*row)
    return table


def _share(share: float) -> str:
    return "100%" if share == 1 else f"{share:.3%}" if share < 0.1 else f"{share:.1%}"


def size(count: int | None) -> str:
    """Return bytes as people read them; "?" if nobody knows."""
    if count is None:
        return "?"
    number, unit = (count / 1e9, "GB") if count >= 999.5e6 else (count / 1e6, "MB")
    return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f} {unit}"
