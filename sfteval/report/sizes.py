"""The table of `sfteval plan` (rich). Comes in: the plain data that `--json` prints. Goes out: something to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from sfteval.report.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

PARTS = ("weights", "gradients", "optimiser", "activations", "total")
COLUMNS = ("method", "trainable", "share", *PARTS)


def sizes_view(data: Mapping[str, Any]) -> RenderableType:
    """Show every method side by side; the one that was asked for is bold."""
    batch, rows, notes = data["batch"], [], []
    for name, row in data["methods"].items():
        memory = row["memory_bytes"] or {}
        cells = [
            name,
            f"{row['trainable_parameters']:,}",
            f"{row['trainable_parameters'] / row['total_parameters']:.3%}",
            *(size(memory.get(part)) for part in PARTS),
        ]
        rows.append([Text(cell, style="bold" if row["asked"] else "") for cell in cells])
        notes += [Text(f"{name}: {row['note']}", style="yellow")] if row["note"] else []
    padded, packed = batch["padded"], batch["packed"]
    largest = f"{padded['rows']} × {padded['length']} tokens" if packed is None else f"{packed['length']} packed tokens"
    table = plain_table(f"{data['model']}: float32, micro-batch of {largest}", COLUMNS, rows, COLUMNS[1:])
    return Group(table, *notes)


def size(count: int | None) -> str:
    """Return bytes as people read them; "?" if nobody knows."""
    if count is None:
        return "?"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
