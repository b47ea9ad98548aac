"""What pydantic's error types are called in our faults.

Comes in: one pydantic error. Goes out: what was expected there, in words that whoever wrote the file knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.records import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import ErrorDetails

AUTHOR_FAULT = "author_fault"
"""Type of the errors in which a model itself says what it found and expected (`ctx`)."""

MISMATCHES = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "none_required": "nothing",
}
"""Errors that say "another kind of value": those of a union's members are joined by "or"."""

LIMITS: dict[str, Callable[[dict[str, Any]], str]] = {
    "literal_error": lambda ctx: str(ctx["expected"]).replace("True", "true"),
    "greater_than": lambda ctx: f"a number above {_plain(ctx['gt'])}",
    "greater_than_equal": lambda ctx: f"a number of at least {_plain(ctx['ge'])}",
    "less_than": lambda ctx: f"a number below {_plain(ctx['lt'])}",
    "less_than_equal": lambda ctx: f"a number of at most {_plain(ctx['le'])}",
    "too_short": lambda ctx: f"at least {ctx['min_length']} item" + ("s" if ctx["min_length"] > 1 else ""),
    "string_too_short": lambda ctx: "a text that is not empty",
    "string_too_long": lambda ctx: f"at most {ctx['max_length']} characters",
    "string_pattern_mismatch": lambda ctx: (
        "a name of a-z, 0-9, _ and -" if ctx["pattern"] == NAME_PATTERN else f"a text that matches {ctx['pattern']}"
    ),
}


def expectation(detail: ErrorDetails) -> str:
    """Return what was expected."""
    kind = detail["type"]
    if kind in MISMATCHES:
        return MISMATCHES[kind]
    if kind in LIMITS:
        return LIMITS[kind](detail.get("ctx", {}))
    return detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")


def refusal(detail: ErrorDetails) -> tuple[str, str]:
    """Return (found, expected) for the ValueError of a model's own validator."""
    return "a combination that does not fit", detail["msg"].removeprefix("Value error, ")


def _plain(number: float) -> str:
    return f"{number:g}"
