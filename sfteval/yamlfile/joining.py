"""One file on top of another: `extends:`.

Comes in: two located mappings. Goes out: one, in which each value knows the file and line that it stands in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sfteval.yamlfile.located import Located

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sfteval.yamlfile.located import FieldPath

T = TypeVar("T")


def joined(top: Located, below: Located, entry_by_entry: Collection[str]) -> Located:
    """Return `below` with the fields of `top` in place of its own.

    Args:
        top: The file that extends.
        below: The file that is extended.
        entry_by_entry: Fields whose mappings are joined one level deep; all other values are replaced whole.
    """
    data = {**below.data, **top.data}
    for field in entry_by_entry:
        both = below.data.get(field), top.data.get(field)
        if all(isinstance(each, dict) for each in both):
            data[field] = {**both[0], **both[1]}
    taken = list(_taken(top, below, entry_by_entry))
    values = dict(top.values) | _below(below.values, taken)
    keys = dict(top.keys) | _below(below.keys, taken)
    origins = dict(top.origins) | {place: below.where_of(place) for place in taken}
    return Located(top.where, data, values, keys, origins | _below(below.origins, taken))


def _taken(top: Located, below: Located, fields: Collection[str]) -> Iterator[FieldPath]:
    """Yield the places whose values come from `below`."""
    for name, value in below.data.items():
        if name not in top.data:
            yield (name,)
        elif name in fields and isinstance(value, dict) and isinstance(top.data[name], dict):
            yield from ((name, inner) for inner in value if inner not in top.data[name])


def _below(marks: Mapping[FieldPath, T], places: Collection[FieldPath]) -> dict[FieldPath, T]:
    """Return what is marked at or under one of the places."""
    return {path: mark for path, mark in marks.items() if any(path[: len(place)] == place for place in places)}
