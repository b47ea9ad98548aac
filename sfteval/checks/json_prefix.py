"""Whether a text that is still being written can become JSON.

Comes in: the text so far. Goes out: False only when nothing that could follow would make it JSON; what is doubtful
(numbers, escapes) counts as possible, so that False is always right.
"""

from __future__ import annotations

import re

SPACE = re.compile(r"[ \t\n\r]*")
NUMBER = re.compile(r"[-+.0-9eE]+")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
LITERALS = ("true", "false", "null")
LONGEST_HEAD = 20


def can_become_json(text: str) -> bool:
    """Return whether something may follow `text` so that the whole is JSON."""
    place, state, closers = 0, "value", [""]
    while True:
        place = SPACE.match(text, place).end()  # type: ignore[union-attr]  # matches everywhere
        if place == len(text):
            return True
        step = _STATES[state](text, place, closers)
        if step is None:
            return False
        place, state = step


def can_become_fenced_json(text: str) -> bool:
    """Return whether something may follow so that the whole is JSON, bare or in one code fence."""
    body = text.lstrip()
    if not body.startswith("`"):
        return can_become_json(text)
    head, newline, rest = body.partition("\n")
    if not newline:
        return "```".startswith(head[:3]) and len(head) <= LONGEST_HEAD
    if not head.startswith("```") or head[3:].strip().lower() not in ("", "json"):
        return False
    inside, fence, after = rest.partition("\n```")
    return not after.strip() if fence else "```" in inside or can_become_json(inside.rstrip("`"))


_Step = tuple[int, str] | None


def _value(text: str, place: int, closers: list[str]) -> _Step:
    mark = text[place]
    if mark in "{[":
        closers.append("}" if mark == "{" else "]")
        return place + 1, "first_key" if mark == "{" else "first_value"
    if mark == '"':
        return _string(text, place, "after")
    number = NUMBER.match(text, place) if mark in "-0123456789" else None
    if number:
        return number.end(), "after"
    rest = text[place : place + 5]
    for literal in LITERALS:
        if rest.startswith(literal) or (literal.startswith(rest) and place + len(rest) == len(text)):
            return min(place + len(literal), len(text)), "after"
    return None


def _string(text: str, place: int, then: str) -> _Step:
    if text[place] != '"':
        return None
    whole = STRING.match(text, place)
    return (whole.end(), then) if whole else (len(text), then)


def _key(text: str, place: int, _: list[str]) -> _Step:
    return _string(text, place, "colon")


def _first_key(text: str, place: int, closers: list[str]) -> _Step:
    return _close(place, closers) if text[place] == "}" else _key(text, place, closers)


def _first_value(text: str, place: int, closers: list[str]) -> _Step:
    return _close(place, closers) if text[place] == "]" else _value(text, place, closers)


def _colon(text: str, place: int, _: list[str]) -> _Step:
    return (place + 1, "value") if text[place] == ":" else None


def _after(text: str, place: int, closers: list[str]) -> _Step:
    if text[place] == closers[-1]:
        return _close(place, closers)
    if text[place] == "," and closers[-1]:
        return place + 1, "key" if closers[-1] == "}" else "value"
    return None


def _close(place: int, closers: list[str]) -> _Step:
    closers.pop()
    return place + 1, "after"


_STATES = {
    "value": _value,
    "key": _key,
    "first_key": _first_key,
    "first_value": _first_value,
    "colon": _colon,
    "after": _after,
}
