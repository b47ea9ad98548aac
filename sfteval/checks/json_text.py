"""JSON out of answers: the whole answer, inside one code fence, or the first object in prose.

Comes in: text of any size. Goes out: a value, or `NotJsonError` with the reason. Deeper than `MAX_DEPTH` levels,
numbers of more than 4,300 digits, NaN and Infinity count as not JSON, so that no answer can break the parser.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 200
ATTEMPTS = 40
OPENING = re.compile(r"[{\[]")


class NotJsonError(ValueError):
    """The text holds no JSON; the message says why."""


def read_json(text: str, *, allow_fence: bool = False, first_object: bool = False) -> Any:
    """Return the JSON value of an answer.

    Args:
        text: The answer.
        allow_fence: Also accept the value inside one code fence that is the whole answer.
        first_object: Accept prose around it: the first object or list that parses (40 places are tried).

    Raises:
        NotJsonError: with the reason.
    """
    if not text.strip():
        msg = "an empty answer"
        raise NotJsonError(msg)
    fenced = inside_fence(text, ("", "json")) if allow_fence or first_object else None
    if first_object and fenced is None:
        return _first_object(text)
    return _parse(text if fenced is None else fenced)


def inside_fence(text: str, languages: tuple[str, ...]) -> str | None:
    """Return what stands in the one code fence that is the whole text, None if it is not so.

    Plain searches, because a pattern with two open ends takes quadratic time on a megabyte of spaces.
    """
    body = text.strip()
    head, newline, rest = body.partition("\n")
    closed = newline and head.startswith("```") and rest.endswith("```")
    if not closed or head[3:].strip().lower() not in languages or "\n```" in rest[:-3]:
        return None
    return rest[:-3]


def _parse(text: str) -> Any:
    if nested_too_deep(text):
        msg = f"nested deeper than {MAX_DEPTH} levels"
        raise NotJsonError(msg)
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        prose = "prose or a fence before it: " if text.lstrip()[:1] not in '{["-0123456789tfn' else ""
        msg = f"{prose}{error.msg} (line {error.lineno}, column {error.colno})"
        raise NotJsonError(msg) from None
    except (ValueError, RecursionError) as error:
        raise NotJsonError(str(error)) from None


def _first_object(text: str) -> Any:
    if nested_too_deep(text):
        msg = f"nested deeper than {MAX_DEPTH} levels"
        raise NotJsonError(msg)
    for attempt, opening in enumerate(OPENING.finditer(text)):
        if attempt >= ATTEMPTS:
            break
        try:
            return _DECODER.raw_decode(text, opening.start())[0]
        except (ValueError, RecursionError):
            continue
    msg = "no object or list"
    raise NotJsonError(msg)


def nested_too_deep(text: str) -> bool:
    """Return whether brackets stand deeper than `MAX_DEPTH` (those inside texts count too)."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _BRACKET.finditer(text):
        mark = match.group()
        depth += (mark in "[{") - (mark in "]}")
        if depth > MAX_DEPTH:
            return True
    return False


_BRACKET = re.compile(r"[\[\]{}]")


def _constant(name: str) -> Any:
    msg = f"{name} is not JSON"
    raise NotJsonError(msg)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        msg = "a number too large"
        raise NotJsonError(msg)
    return value


_DECODER = json.JSONDecoder(parse_constant=_constant, parse_float=_number)


def same_json(left: Any, right: Any) -> bool:
    """Return whether two JSON values are equal: 1 is 1.0, true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return (type(left) is type(right) and left == right) or (_is_number(left) and _is_number(right) and left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
