"""What was measured about a model's noise: `noise.json` beside the runs.

Comes in: one row per "suite/task/check". Goes out: the same rows; a file that cannot be read is an error.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from sfteval.errors import StoreError
from sfteval.records import RUN_FORMAT
from sfteval.store.disk import writing
from sfteval.store.documents import read_document, write_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "noise.json"


def read_noise(root: Path) -> dict[str, dict[str, Any]]:
    """Return the rows by metric; empty when nothing was measured. Raises StoreError."""
    path = root / NAME
    if not path.exists():
        return {}
    do = "Remove it, and measure again with: sfteval noise"
    metrics = read_document(path, do).get("metrics")
    if not isinstance(metrics, dict) or not all(_fits(row) for row in metrics.values()):
        expected = "what `sfteval noise` wrote"
        raise StoreError(path, "rows without a discordance between 0 and 1, or with changes below 0", expected, do)
    return metrics


def _fits(row: Any) -> bool:
    share = row.get("discordance") if isinstance(row, dict) else None
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        return False
    changes = [row[name] for name in ("mean_change", "mean_square") if name in row]
    whole = len(changes) != 1 and all(isinstance(change, int | float) and 0 <= change < inf for change in changes)
    return whole and isinstance(row.get("shifted", []), list)


def write_noise(root: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Add rows to what is known, newest winning. Raises StoreError."""
    path = root / NAME
    with writing(path, "Free or mend the disk; the runs themselves are whole"):
        write_document(path, {"format": RUN_FORMAT, "metrics": {**read_noise(root), **rows}})
