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
    samples = suite.data.get("samples")
    placed: list[PlacedRow] = []
    for document, path in _sources(suite, samples, fence, faults):
        row = validate(SampleRow, document, path, faults)
        if row is not None:
            placed.append(PlacedRow(row, document, path))
    _check_rows(placed, suite.data.get("system"), faults)
    return placed


def _sources(suite: Located, samples: Any, fence: Fence, faults: list[Fault]) -> Iterator[tuple[Located, FieldPath]]:
    if isinstance(samples, list):
        if not samples:
            faults.append(suite.fault(("samples",), "an empty list in samples", "at least 1 sample"))
        yield from ((suite, ("samples", index)) for index in range(len(samples)))
    elif isinstance(samples, str):
        problem = fence.problem(samples, "samples")
        if problem is None and not samples.endswith(".jsonl"):
            problem = (f"{samples!r} in samples", "a .jsonl file, one JSON object a line", "")
        if problem is not None:
            faults.append(suite.fault(("samples",), *problem))
        else:
            before = len(faults)
            rows = list(read_jsonl(fence.path(samples), shown_path(fence.path(samples), fence.root), faults))
            if not rows and len(faults) == before:
                faults.append(suite.fault(("samples",), f"no rows in {samples!r}", "at least 1 sample"))
            yield from ((row, ()) for row in rows)
    elif isinstance(samples, dict):
        yield from ((row, ()) for row in made_rows(suite, fence, faults))
    else:
        faults.append(suite.fault(("samples",), f"{samples!r} in samples", FORMS))


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
