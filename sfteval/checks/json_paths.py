"""The subset of JSONPath that checks use: `$`, `.name`, `['name']`, `[0]`, `[-1]`.

Comes in: a path and a JSON value. Goes out: the value there, or `MissingError`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator

from sfteval.checks.kinds import author_fault

STEP = re.compile(r"\.([^.\[\]'\"*?\s]+)|\[(-?\d{1,6})\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")


class MissingError(LookupError):
    """The path leads nowhere."""


def steps(path: str) -> tuple[str | int, ...]:
    """Return names and positions. Raises ValueError for anything outside the subset."""
    if not path.startswith("$"):
        raise ValueError(path)
    place, found = 1, []
    while place < len(path):
        match = STEP.match(path, place)
        if match is None:
            raise ValueError(path)
        name = match.group(1) or match.group(3) or match.group(4)
        found.append(name if name is not None else int(match.group(2)))
        place = match.end()
    return tuple(found)


def value_at(path: str, value: Any) -> Any:
    """Return the value at a valid path. Raises MissingError."""
    for step in steps(path):
        named = isinstance(step, str) and isinstance(value, dict) and step in value
        counted = isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value)
        if not (named or counted):
            raise MissingError(path)
        value = value[step]
    return value


def _known(path: str) -> str:
    try:
        steps(path)
    except ValueError:
        raise author_fault(repr(path), "a path such as $.invoice.lines[0].total") from None
    return path


JsonPath = Annotated[str, AfterValidator(_known)]
