"""Patterns that people write, run so that no answer can hang them.

Comes in: a pattern (syntax of the `regex` package). Goes out: matches within `SECONDS`, or `PatternTimeoutError`.
"""

from __future__ import annotations

from typing import Annotated

import regex
from pydantic import AfterValidator

from sfteval.checks.kinds import author_fault

SECONDS = 0.3


class PatternTimeoutError(Exception):
    """A pattern ran out of time on an answer."""


def _compiles(pattern: str) -> str:
    try:
        regex.compile(pattern)
    except regex.error as error:
        found = f"{pattern!r}, which is no pattern ({error.msg})"
        raise author_fault(found, "a regular expression") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


def search(pattern: str, text: str, *, flags: int = 0) -> str | None:
    """Return the first match's text, None without one. Raises PatternTimeoutError."""
    try:
        match = regex.search(pattern, text, flags=flags, timeout=SECONDS)
    except TimeoutError:
        msg = f"the pattern {pattern!r} ran longer than {SECONDS} s"
        raise PatternTimeoutError(msg) from None
    return None if match is None else str(match.group(0))
