"""A suite file with what it `extends`, as one located mapping.

Comes in: a path inside the collected root. Goes out: the joined fields, each with the file and line that it stands in.
Mappings under `generate`, `checks` and `lm_eval` are joined entry by entry, everything else is replaced whole. Paths in
an extended file resolve from that file's folder.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sfteval.errors import InputError
from sfteval.spec.paths import Fence, shown_path
from sfteval.spec.validation import validate
from sfteval.yamlfile import dotted, joined, read_yaml, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sfteval.spec.checktable import CheckTable
    from sfteval.yamlfile import FieldPath, Located

JOINED = ("generate", "checks", "lm_eval")
SUFFIXES = (".yaml", ".yml")
IF_TOO_LARGE = "Put samples into a .jsonl file and name it under samples."


def read_extended(path: Path, root: Path, table: CheckTable) -> Located:
    """Read a suite file and everything below it.

    Raises:
        InputError: a file that cannot be read, leads out of the root, extends itself, or is no mapping.
    """
    return _read(path, root, table, ())


def _read(path: Path, root: Path, table: CheckTable, trail: tuple[Path, ...]) -> Located:
    document = read_yaml(path, shown_path(path, root), if_too_large=IF_TOO_LARGE)
    if not isinstance(document.data, dict):
        raise InputError(document.fault((), shown(document.data), "a mapping of suite fields"))
    written = document.data.get("extends")
    if not isinstance(written, str) or not written:
        return document
    fence = Fence(path.parent, root)
    problem = fence.problem(written, "extends")
    if problem is None and not written.endswith(SUFFIXES):
        problem = f"{written!r} in extends", "a .yaml file", ""
    if problem is not None:
        raise InputError(document.fault(("extends",), *problem))
    here = (*trail, path.resolve())
    target = fence.path(written)
    if target.resolve() in here:
        circle = " → ".join(shown_path(each, root.resolve()) for each in (*here, target.resolve()))
        raise InputError(document.fault(("extends",), f"the circle {circle}", "a file that does not extend this one"))
    below = _read(target, root, table, here)
    return joined(document, _moved(below, target.parent, path.parent, root, table), JOINED)


def _moved(below: Located, source: Path, target: Path, root: Path, table: CheckTable) -> Located:
    """Return a file's fields with its paths as they are seen from another folder."""
    if source.resolve() == target.resolve():
        return below
    data, fence = dict(below.data), Fence(source, root)
    faults = []
    for place, written, folder in _paths(below, table):
        problem = fence.problem(written, dotted(place), want_folder=folder)
        if problem is not None:
            faults.append(below.fault(place, *problem))
        data = _with(data, place, os.path.relpath(source / written, target))
    if faults:
        raise InputError(faults)
    return replace(below, data=data)


def _paths(document: Located, table: CheckTable) -> Iterator[tuple[FieldPath, str, bool]]:
    """Yield (place, path as written, whether it is a folder) of every file that the fields name."""
    known: list[tuple[FieldPath, bool]] = [(("samples",), False), (("few_shot", "from"), False)]
    known += [(("samples", field), False) for field in ("train", "heldout", "text")]
    known.append((("lm_eval", "include_path"), True))
    for place, folder in known:
        value: Any = document.data
        for piece in place:
            value = value.get(piece) if isinstance(value, dict) else None
        if isinstance(value, str):
            yield place, value, folder
    checks = document.data.get("checks")
    for name, check in checks.items() if isinstance(checks, dict) else ():
        model = table.params(check) if isinstance(check, dict) else None
        if model is not None and validate(model, document, ("checks", name), []) is not None:
            for inner, written in table.files({name: check}).items():
                yield ("checks", *inner), written, False


def _with(value: Any, place: FieldPath, new: str) -> Any:
    if not place:
        return new
    first, *rest = place
    if isinstance(value, list):
        return [_with(each, tuple(rest), new) if index == first else each for index, each in enumerate(value)]
    return {**value, first: _with(value[first], tuple(rest), new)}
