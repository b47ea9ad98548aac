"""Pydantic's errors as faults with file, line and column.

Comes in: located data, a path into it, a strict model. Goes out: the validated record, or every fault at once.
Validation goes through JSON mode, so that lists become tuples while strictness stays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from sfteval.yamlfile.located import dotted, shown
from sfteval.yamlfile.model_fields import known_fields
from sfteval.yamlfile.suggestions import did_you_mean, one_of
from sfteval.yamlfile.wording import AUTHOR_FAULT, MISMATCHES, expectation, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import ErrorDetails

    from sfteval.errors import Fault
    from sfteval.yamlfile.located import FieldPath, Located

    Refused = Callable[[ErrorDetails], tuple[str, str]]

M = TypeVar("M", bound=BaseModel)
KEY = "[key]"
TAG_ERRORS = {"union_tag_not_found", "union_tag_invalid"}


def validate(
    model: type[M],
    document: Located,
    path: FieldPath,
    faults: list[Fault],
    data: Any = None,
    *,
    refused: Refused = refusal,
) -> M | None:
    """Return the record at `path`, or append its faults and return None.

    Args:
        model: Strict model.
        document: Where the data stands.
        path: Place of the data inside the document; faults are pointed there.
        faults: Faults so far; grows.
        data: Validated instead of what stands at `path`, when parts of it are judged elsewhere.
        refused: Says (found, expected) for a ValueError of the model's own validators.
    """
    value = document.at(path) if data is None else data
    try:
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        faults.extend(_Faults(model, document, path, refused).of(error, value))
        return None


@dataclass(frozen=True, slots=True)
class _Faults:
    """Pydantic's errors about one place of a document as faults."""

    model: type[BaseModel]
    document: Located
    path: FieldPath
    refused: Refused

    def of(self, error: ValidationError, data: Any) -> list[Fault]:
        """Return one fault per place."""
        grouped: dict[FieldPath, list[ErrorDetails]] = {}
        for detail in map(_untagged, error.errors(include_url=False)):
            grouped.setdefault(_strip_tags(detail, data), []).append(detail)
        mismatched = {place for place, details in grouped.items() if all(map(_another_kind, details))}
        found: list[Fault] = []
        for place, details in grouped.items():
            deeper = any(len(other) > len(place) and other[: len(place)] == place for other in grouped)
            if deeper and (place in mismatched or details[0]["type"] == "too_short"):
                continue  # pydantic counts only the items that are right
            wrong = [detail for detail in details if not _another_kind(detail)] or details
            found.append(self._fault(wrong, place))
        return found

    def _fault(self, details: list[ErrorDetails], place: FieldPath) -> Fault:
        detail, document = details[0], self.document
        full = (*self.path, *place)
        inside = f" in {dotted(full[:-1])}" if full[:-1] else ""
        if detail["type"] == "extra_forbidden":
            name = str(place[-1])
            known = known_fields(self.model, [piece for piece in detail["loc"][:-1] if piece != KEY])
            expected = one_of(known) if known else "no such key"
            return document.fault(full, f"unknown key {name!r}{inside}", expected, did_you_mean(name, known), key=True)
        if detail["type"] == "missing":
            return document.fault(full[:-1], f"no {place[-1]!r}{inside}", f"the field {place[-1]!r}")
        context = detail.get("ctx", {})
        where = f" in {dotted(full)}" if full else ""
        if detail["type"] == AUTHOR_FAULT:
            return document.fault(full, f"{context['found']} in {dotted(full)}", context["expected"])
        if detail["type"] == "value_error":
            found, expected = self.refused(detail)
            return document.fault(full, found + where, expected)
        expected = " or ".join(dict.fromkeys(expectation(each) for each in details))
        do = did_you_mean(detail["input"], _literals(context)) if isinstance(detail["input"], str) else ""
        return document.fault(full, shown(detail["input"]) + where, expected, do, key=detail["loc"][-1:] == (KEY,))


def _another_kind(detail: ErrorDetails) -> bool:
    """Return whether the value is of another kind, so that another member of a union may be meant."""
    return detail["type"] in MISMATCHES or (detail["type"] == "literal_error" and not isinstance(detail["input"], str))


def _untagged(detail: ErrorDetails) -> ErrorDetails:
    """Return an error about a union's tag as one about the field that holds the tag."""
    if detail["type"] not in TAG_ERRORS:
        return detail
    context = detail["ctx"]
    field = context["discriminator"].strip("'")
    place = (*detail["loc"], field)
    if field not in detail["input"]:
        return {**detail, "type": "missing", "loc": place}
    first, _, last = context["expected_tags"].rpartition(", ")
    expected = f"{first} or {last}" if first else last
    written = detail["input"][field]
    return {**detail, "type": "literal_error", "loc": place, "input": written, "ctx": {"expected": expected}}


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


def _literals(context: dict[str, Any]) -> list[str]:
    expected = context.get("expected")
    return expected.replace(" or ", ", ").replace("'", "").split(", ") if isinstance(expected, str) else []
