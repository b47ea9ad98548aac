"""Old run formats to the current one, one step at a time.

Comes in: a stored run of an older format, as JSON values and pyarrow tables. Goes out: the same in the current
format; the files are left as they are. There is one step per format, and no second place that knows old formats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sfteval.errors import StoreError
from sfteval.records import RUN_FORMAT
from sfteval.store.documents import newer_format

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stored:
    """A run as it lies on the disk.

    Attributes:
        manifest: `manifest.json`, with its `format`.
        tables: pyarrow tables by name ("samples", "responses"); only those that are being read.
    """

    manifest: dict[str, Any]
    tables: Mapping[str, Any] = field(default_factory=dict)


Step = Callable[[Stored], Stored]

MIGRATIONS: dict[int, Step] = {}
"""Format n to the step that makes format n + 1 of it."""


def migrate(stored: Stored, path: Path) -> Stored:
    """Return the run in format RUN_FORMAT. Raises StoreError for a newer one, or where a step is missing."""
    found = stored.manifest["format"]
    newer_format(path, found)
    for number in range(found, RUN_FORMAT):
        step = MIGRATIONS.get(number)
        if step is None:
            expected = f"format {RUN_FORMAT}; no migration from {number}"
            raise StoreError(path, f"run format {found}", expected, "Evaluate again")
        stored = step(stored)
        stored = replace(stored, manifest=stored.manifest | {"format": number + 1})
    return stored
