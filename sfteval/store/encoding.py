"""Text of any content to text that every file format takes, and back, exactly.

A model's output is hostile: it may hold lone surrogates, which UTF-8 (and so Parquet, JSON and duckdb) refuses, and
two adjacent escapes of which JSON would join into one character. Every surrogate is therefore stored as U+10FFFF (a
noncharacter) followed by its four hex digits, and U+10FFFF itself as U+10FFFF followed by `ffff`. All other text,
NUL included, is stored as it is, so that queries see what the model wrote.
"""

from __future__ import annotations

import re

ESCAPE = "\U0010ffff"
_UNSAFE = re.compile("[\ud800-\udfff\U0010ffff]")
_ESCAPED = re.compile(f"{ESCAPE}([0-9a-f]{{4}})")
_ESCAPE_ITSELF = 0xFFFF


def encode_text(text: str) -> str:
    """Return `text` as valid Unicode; the same text unless it holds surrogates or U+10FFFF."""
    if text.isascii():
        return text
    return _UNSAFE.sub(lambda match: f"{ESCAPE}{ord(match[0]) & 0xFFFF:04x}", text)


def decode_text(text: str) -> str:
    """Return the text that `encode_text` was given."""
    if text.isascii() or ESCAPE not in text:
        return text
    return _ESCAPED.sub(_unescape, text)


def _unescape(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return ESCAPE if code == _ESCAPE_ITSELF else chr(code)
