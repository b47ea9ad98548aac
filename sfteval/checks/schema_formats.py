"""The values of JSON Schema's `format` that can be asserted: dates, times, addresses, identifiers, patterns.

Comes in: a JSON text. Goes out: whether it is of the format. Other formats assert nothing, as the standard leaves it.
Patterns here are linear, and texts of more than 2,000 characters are of no format.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import regex
from jsonschema import FormatChecker

LONGEST = 2000
URI = re.compile(r"[a-z][a-z0-9+.-]*:[^\s<>\"{}|\\^`]+", re.IGNORECASE)
URI_REFERENCE = re.compile(r"[^\s<>\"{}|\\^`]*")
DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)

FORMATS = FormatChecker(("date", "email", "ipv4", "ipv6", "uuid"))
"""jsonschema's own checks of these, and ours below."""


def is_uri(text: Any) -> bool:
    """Return whether a text is a URI with a scheme; what is no text passes, as every format lets it."""
    return not isinstance(text, str) or (len(text) <= LONGEST and URI.fullmatch(text) is not None)


def is_uri_reference(text: Any) -> bool:
    """Return whether a text is a URI or a reference relative to one."""
    return not isinstance(text, str) or (len(text) <= LONGEST and URI_REFERENCE.fullmatch(text) is not None)


def is_date_time(text: Any) -> bool:
    """Return whether a text is a date and time with an offset (RFC 3339; no leap seconds)."""
    if not isinstance(text, str):
        return True
    parts = DATE_TIME.fullmatch(text) if len(text) <= LONGEST else None
    if parts is None:
        return False
    try:
        datetime.fromisoformat(f"{parts[1]}T{parts[2]}")
    except ValueError:
        return False
    return True


def is_pattern(text: Any) -> bool:
    """Return whether a text is a regular expression."""
    if not isinstance(text, str):
        return True
    try:
        regex.compile(text if len(text) <= LONGEST else "(")
    except regex.error:
        return False
    return True


for _name, _check in (
    ("uri", is_uri),
    ("uri-reference", is_uri_reference),
    ("date-time", is_date_time),
    ("regex", is_pattern),
):
    FORMATS.checks(_name)(_check)
