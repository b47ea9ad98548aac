"""Data with positions: where in which file each value stands.

Comes in: plain values and the marks that whoever read the file collected. Goes out: faults that point at them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sfteval.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

FieldPath = tuple[str | int, ...]
"""Keys and indices from the top of a file to a value."""

SHOWN_CHARACTERS = 60


class Mark(NamedTuple):
    """A position in a file, 1-based; column 0 means the whole line."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Located:
    """A value with the marks of its parts.

    Attributes:
        where: File as shown to people.
        data: Mappings, lists and scalars, as JSON has them.
        values: Mark of each value by its path from the top, `()` for the whole.
        keys: Mark of each mapping key by the path of its value.
        origins: Files of the parts that come from another file than `where`, by path.
    """

    where: str
    data: Any
    values: Mapping[FieldPath, Mark] = field(default_factory=dict)
    keys: Mapping[FieldPath, Mark] = field(default_factory=dict)
    origins: Mapping[FieldPath, str] = field(default_factory=dict)

    def where_of(self, path: FieldPath) -> str:
        """Return the file that the value at `path` stands in."""
        known = (path[:length] for length in range(len(path), 0, -1) if path[:length] in self.origins)
        return next((self.origins[place] for place in known), self.where)

    def mark(self, path: FieldPath, *, key: bool = False) -> Mark:
        """Return the mark of the value (or key) at `path`, or of its nearest ancestor that has one."""
        if key and path in self.keys:
            return self.keys[path]
        for length in range(len(path), -1, -1):
            if path[:length] in self.values:
                return self.values[path[:length]]
        return Mark(1, 0)

    def at(self, path: FieldPath) -> Any:
        """Return the value at `path`. Raises LookupError where there is none."""
        value = self.data
        for piece in path:
            value = value[piece]
        return value

    def fault(self, path: FieldPath, found: str, expected: str, do: str = "", *, key: bool = False) -> Fault:
        """Return a fault at `path`."""
        line, column = self.mark(path, key=key)
        return Fault(self.where_of(path), found, expected, do, line, column)


def dotted(path: FieldPath) -> str:
    """Return `gates[0].no_regression.margin` for a field path."""
    text = ""
    for piece in path:
        text += f"[{piece}]" if isinstance(piece, int) else f".{piece}" if text else piece
    return text


def shown(value: Any) -> str:
    """Return how a fault names a value that it found."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN_CHARACTERS else value[:SHOWN_CHARACTERS] + "…")
    return str(value)
