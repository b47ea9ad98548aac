"""A suite's samples, inline or from a JSONL file, as validated rows.

Comes in: the located suite and the fence. Goes out: `SampleRow`s in the file's order, and faults that point at the
row: line and column in the suite file, or the line of the JSONL file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault
from sfteval.records import SampleRow
from sfteval.spec.paths import shown_path
from sfteval.spec.sources import FORMS, made_rows
from sfteval.spec.validation import validate
from sfteval.yamlfile import Located, dotted, read_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sfteval.spec.paths import Fence
    from sfteval.yamlfile import FieldPath


@dataclass(frozen=True, slots=True)
class PlacedRow:
    """A row with the place it was read from."""

    row: SampleRow
    document: Located
    path: FieldPath


def load_rows(suite: Located, fence: Fence, faults: list[Fault]) -> list[PlacedRow]:
    """Return the valid rows of `suite.data["samples"]`; append a fault for each other one."""
    placed: list[PlacedRow] = []
    for document, path in sources(suite, ("samples",), fence, faults):
        row = validate(SampleRow, document, path, faults)
        if row is not None:
            placed.append(PlacedRow(row, document, path))
    matrix = suite.data.get("matrix")
    system = suite.data.get("system") or (matrix.get("system") if isinstance(matrix, dict) else None)
    _check_rows(placed, system, faults)
    return placed


def sources(suite: Located, field: FieldPath, fence: Fence, faults: list[Fault]) -> Iterator[tuple[Located, FieldPath]]:
    """Yield where each row of a list or a JSONL file stands; append a fault when there is none."""
    rows, name = suite.at(field), dotted(field)
    if isinstance(rows, list):
        if not rows:
            faults.append(suite.fault(field, f"an empty list in {name}", "at least 1 sample"))
        yield from ((suite, (*field, index)) for index in range(len(rows)))
    elif isinstance(rows, str):
        problem = fence.problem(rows, name)
        if problem is None and not rows.endswith(".jsonl"):
            problem = (f"{rows!r} in {name}", "a .jsonl file, one JSON object a line", "")
        if problem is not None:
            faults.append(suite.fault(field, *problem))
            return
        before = len(faults)
        found = list(read_jsonl(fence.path(rows), shown_path(fence.path(rows), fence.root), faults))
        if not found and len(faults) == before:
            faults.append(suite.fault(field, f"no rows in {rows!r}", "at least 1 sample"))
        yield from ((row, ()) for row in found)
    elif isinstance(rows, dict):
        yield from ((row, ()) for row in made_rows(suite, fence, faults))
    else:
        faults.append(suite.fault(field, f"{rows!r} in {name}", FORMS))


def _check_rows(placed: list[PlacedRow], system: Any, faults: list[Fault]) -> None:
    first: dict[str, PlacedRow] = {}
    for each in placed:
        identifier = each.row.id
        if identifier in first:
            earlier = first[identifier]
            line = earlier.document.mark((*earlier.path, "id")).line
            found = f"the sample id {identifier!r} twice (first in line {line})"
            faults.append(each.document.fault((*each.path, "id"), found, "each id once"))
        first.setdefault(identifier, each)
        faults.extend(_message_faults(each, system))


def _message_faults(placed: PlacedRow, system: Any) -> Iterator[Fault]:
    for index, message in enumerate(placed.row.messages):
        path = (*placed.path, "messages", index)
        if not message.content.strip():
            found = f"only white space in {dotted((*path, 'content'))}"
            yield placed.document.fault((*path, "content"), found, "a text that is not empty")
        if message.role == "system" and index > 0:
            yield placed.document.fault(path, f"a system message in {dotted(path)}", "the system message first")
    for index, turn in enumerate(placed.row.turns):
        if not turn.strip():
            path = (*placed.path, "turns", index)
            yield placed.document.fault(path, f"only white space in {dotted(path)}", "a text that is not empty")
    if system is not None and placed.row.messages[0].role == "system":
        path = (*placed.path, "messages", 0)
        found = f"a system message in {dotted(path)} beside the suite's own `system`"
        yield placed.document.fault(path, found, "one of the two", "Remove one of them.")
