"""The `checks:` block of a suite against the table of checks.

Comes in: the located suite, the fence, the table. Goes out: faults. The table knows the kinds; this module knows where
they stand in the file and which files they may open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.spec.validation import validate
from sfteval.yamlfile import did_you_mean, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sfteval.errors import Fault
    from sfteval.spec.checktable import CheckTable
    from sfteval.spec.paths import Fence
    from sfteval.spec.samples import PlacedRow
    from sfteval.yamlfile import FieldPath, Located

LIST_ALL = "`sfteval checks` lists them all."


def check_block_faults(document: Located, fence: Fence, table: CheckTable) -> Iterator[Fault]:
    """Yield the faults of every check: unknown kinds, wrong parameters, files, then what only the table sees."""
    block = document.data.get("checks")
    if not isinstance(block, dict):
        return
    faults: list[Fault] = []
    for name, check in block.items():
        if isinstance(check, dict):
            _validate_check(document, ("checks", name), check, table, faults)
    checks = {name: check for name, check in block.items() if isinstance(check, dict)}
    if not faults and len(checks) == len(block):
        faults.extend(_file_faults(document, checks, fence, table))
    if not faults and len(checks) == len(block):
        for fault in table.examine(checks, fence.folder):
            path = ("checks", *fault.path)
            faults.append(document.fault(path, f"{fault.found} in {dotted(path)}", fault.expected, fault.do))
    if not faults and len(checks) == len(block):
        faults.extend(_repeat_faults(document, checks, table))
    yield from faults


def _repeat_faults(document: Located, checks: dict[str, dict[str, Any]], table: CheckTable) -> Iterator[Fault]:
    written = document.data.get("n", 1)
    for inner, needed in table.repeats_needed(checks).items():
        if isinstance(written, int) and needed > written:
            path = ("checks", *inner)
            found = f"{needed} in {dotted(path)}, and {written} answer{'s' * (written != 1)} to each prompt"
            yield document.fault(path, found, "at most the suite's `n`", "Set `n` to that or more.")


def row_faults(placed: PlacedRow, checks: Mapping[str, Mapping[str, Any]], table: CheckTable) -> Iterator[Fault]:
    """Yield what a row lacks for the suite's checks (a reference, its own checks) and the faults of its own checks."""
    row = placed.row.model_dump(mode="json")
    faults: list[Fault] = []
    for inner, check in table.own_checks(checks, row).items():
        _validate_check(placed.document, (*placed.path, *inner), check, table, faults)
    if not faults:
        for fault in table.examine_row(checks, row):
            path = (*placed.path, *fault.path)
            found = f"{fault.found} in {dotted(path) or 'the row'}"
            faults.append(placed.document.fault(path, found, fault.expected, fault.do))
    yield from faults


def _validate_check(
    document: Located, path: FieldPath, check: Mapping[str, Any], table: CheckTable, faults: list[Fault]
) -> None:
    model = table.params(check)
    if model is not None:
        validate(model, document, path, faults)
    elif not check:
        faults.append(document.fault(path, f"an empty mapping in {dotted(path)}", "a check, such as {max_words: 50}"))
    else:
        head = next(iter(check))
        do = f"{did_you_mean(head, table.names())} {LIST_ALL}".strip()
        found = f"unknown check {head!r} in {dotted(path)}"
        faults.append(document.fault((*path, head), found, "a known check", do, key=True))


def _file_faults(
    document: Located, checks: dict[str, dict[str, Any]], fence: Fence, table: CheckTable
) -> Iterator[Fault]:
    for inner, written in table.files(checks).items():
        path = ("checks", *inner)
        problem = fence.problem(written, dotted(path))
        if problem is not None:
            yield document.fault(path, *problem)
