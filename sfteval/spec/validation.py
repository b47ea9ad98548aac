"""Validation in the words of suites.

Comes in: located data, a path into it, a strict model. Goes out: the validated record, or every fault at once.
`yamlfile` does the work; this module says what the models' own refusals are called in a suite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from sfteval import yamlfile
from sfteval.yamlfile.wording import refusal

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from sfteval.errors import Fault
    from sfteval.yamlfile import FieldPath, Located

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], document: Located, path: FieldPath, faults: list[Fault], data: Any = None) -> M | None:
    """Return the record at `path`, or append its faults and return None; see `yamlfile.validate`."""
    return yamlfile.validate(model, document, path, faults, data, refused=suite_refusal)


def suite_refusal(detail: ErrorDetails) -> tuple[str, str]:
    """Return (found, expected) for a ValueError of a suite's models."""
    message = detail["msg"].removeprefix("Value error, ")
    if message.startswith("exactly one of "):
        names = message.removeprefix("exactly one of ").removesuffix(" is needed")
        there = [name for name in names.split(", ") if name in (detail["input"] or {})]
        return (" and ".join(there) or "no demand"), f"exactly one of {names}"
    if message.startswith("the last message is the assistant's"):
        return "a last message of the assistant", "a last message that the model must answer"
    return refusal(detail)
