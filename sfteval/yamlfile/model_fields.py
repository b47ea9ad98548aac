"""Which fields a model knows at some place inside it, for near-miss suggestions.

Comes in: a pydantic model and an error's location. Goes out: the field names there.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Sequence


def known_fields(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, ...]:
    """Return the fields of the model that stands at `location`, () when no model stands there."""
    here: list[Any] = [model]
    for piece in location:
        here = [part for kind in here for part in _step(kind, piece)] or _tagged(here, piece) or here
    models = [kind for kind in here if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return tuple(field.alias or name for found in models for name, field in found.model_fields.items())


def _step(kind: Any, piece: str | int) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = next((field for name, field in kind.model_fields.items() if piece == (field.alias or name)), None)
        return _alternatives(field.annotation) if field is not None else []
    arguments = get_args(kind)
    if get_origin(kind) is tuple and isinstance(piece, int):
        return _alternatives(arguments[0])
    if get_origin(kind) is dict and isinstance(piece, str):
        return _alternatives(arguments[1])
    return []


def _tagged(kinds: Sequence[Any], tag: str | int) -> list[Any]:
    """Return the members of a union that pydantic names by this tag."""
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [kind for kind in models if any(_is_tag(field.annotation, tag) for field in kind.model_fields.values())]


def _is_tag(annotation: Any, tag: str | int) -> bool:
    return get_origin(annotation) is Literal and get_args(annotation) == (tag,)


def _alternatives(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [part for member in get_args(annotation) for part in _alternatives(member)]
    return [annotation]
