"""Pydantic's errors as faults with file, line and column.

Comes in: located data, a path into it, a strict model. Goes out: the validated record, or every fault at once.
Validation goes through JSON mode, so that lists become tuples while strictness stays.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from sfteval.spec.located import dotted, shown
from sfteval.spec.model_fields import known_fields
from sfteval.spec.suggestions import did_you_mean, one_of
from sfteval.spec.wording import AUTHOR_FAULT, MISMATCHES, expectation, value_error

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from sfteval.errors import Fault
    from sfteval.spec.checktable import FieldPath
    from sfteval.spec.located import Located

M = TypeVar("M", bound=BaseModel)
KEY = "[key]"


def validate(model: type[M], document: Located, path: FieldPath, faults: list[Fault], data: Any = None) -> M | None:
    """Return the record at `path`, or append its faults and return None.

    Args:
        model: Strict model.
        document: Where the data stands.
        path: Place of the data inside the document; faults are pointed there.
        faults: Faults so far; grows.
        data: Validated instead of what stands at `path`, when parts of it are judged elsewhere.
    """
    value = document.at(path) if data is None else data
    try:
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        faults.extend(_faults(error, model, document, path, value))
        return None


def _faults(
    error: ValidationError, model: type[BaseModel], document: Located, path: FieldPath, data: Any
) -> list[Fault]:
    grouped: dict[FieldPath, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        grouped.setdefault(_strip_tags(detail, data), []).append(detail)
    mismatched = {place for place, details in grouped.items() if all(d["type"] in MISMATCHES for d in details)}
    found: list[Fault] = []
    for place, details in grouped.items():
        deeper = any(len(other) > len(place) and other[: len(place)] == place for other in grouped)
        if deeper and (place in mismatched or details[0]["type"] == "too_short"):
            continue  # pydantic counts only the items that are right
        wrong = [detail for detail in details if detail["type"] not in MISMATCHES] or details
        found.append(_fault(wrong, model, document, path, place))
    return found


def _strip_tags(detail: ErrorDetails, data: Any) -> FieldPath:
    """Return the error's path through the data, without pydantic's names of union members."""
    place: list[str | int] = []
    value, last = data, len(detail["loc"]) - 1
    for index, piece in enumerate(detail["loc"]):
        named = isinstance(value, dict) and piece in value
        counted = isinstance(value, list) and isinstance(piece, int) and piece < len(value)
        if named or counted:
            place.append(piece)
            value = value[piece]
        elif detail["type"] == "missing" and index == last:
            place.append(piece)
    return tuple(place)


def _fault(
    details: list[ErrorDetails], model: type[BaseModel], document: Located, path: FieldPath, place: FieldPath
) -> Fault:
    detail = details[0]
    full = (*path, *place)
    inside = f" in {dotted(full[:-1])}" if full[:-1] else ""
    known = known_fields(model, [piece for piece in detail["loc"][:-1] if piece != KEY])
    if detail["type"] == "extra_forbidden":
        name = str(place[-1])
        expected = one_of(known) if known else "no such key"
        return document.fault(full, f"unknown key {name!r}{inside}", expected, did_you_mean(name, known), key=True)
    if detail["type"] == "missing":
        return document.fault(full[:-1], f"no {place[-1]!r}{inside}", f"the field {place[-1]!r}")
    context = detail.get("ctx", {})
    if detail["type"] == AUTHOR_FAULT:
        return document.fault(full, f"{context['found']} in {dotted(full)}", context["expected"])
    if detail["type"] == "value_error":
        found, expected = value_error(detail)
        where = f" in {dotted(full)}" if full else ""
        return document.fault(full, found + where, expected)
    expected = " or ".join(dict.fromkeys(expectation(each) for each in details))
    do = did_you_mean(detail["input"], _literals(context)) if isinstance(detail["input"], str) else ""
    label = f"{shown(detail['input'])} in {dotted(full)}" if full else shown(detail["input"])
    return document.fault(full, label, expected, do, key=detail["loc"][-1:] == (KEY,))


def _literals(context: dict[str, Any]) -> list[str]:
    expected = context.get("expected")
    return expected.replace(" or ", ", ").replace("'", "").split(", ") if isinstance(expected, str) else []
