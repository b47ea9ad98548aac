"""JSONL that a person or another tool wrote: one JSON object a line, with the line of each.

Comes in: a file, `.gz` or plain. Goes out: `Located` objects, and a fault per line that is no JSON object.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, reason_of
from sfteval.yamlfile.located import Located, Mark
from sfteval.yamlfile.source import encodable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_ROW_BYTES = 4 * 1024 * 1024
HALF_PAIR = re.compile("[\ud800-\udfff]")


def read_jsonl(path: Path, where: str, faults: list[Fault], *, mend: bool = False) -> Iterator[Located]:
    """Yield each JSON object of a JSONL file with its line; blank lines are passed over.

    Args:
        path: The file; one whose name ends in `.gz` is unpacked.
        where: What faults call it.
        faults: Takes what is wrong.
        mend: Half surrogate pairs become U+FFFD (what a model wrote); in what an author wrote they are a fault.
    """
    try:
        content = _content(path)
    except (OSError, EOFError, zlib.error) as error:
        reason = reason_of(error)
        faults.append(Fault(where, f"a file that cannot be read ({reason})", "a readable file"))
        return
    if len(content) > MAX_FILE_BYTES:
        faults.append(Fault(where, "a file that is too large", f"at most {MAX_FILE_BYTES} bytes"))
        return
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            problem, data = _parse_row(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, mend=mend)
            if problem is None:
                yield Located(where, data, {(): Mark(number, 0)})
            else:
                faults.append(Fault(where, *problem, line=number))


def _content(path: Path) -> bytes:
    """Return the file's bytes, unpacked; one byte more than allowed when it is too large."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


class _RowError(ValueError):
    """Something in a row that JSON's grammar allows or Python's parser lets through, and we do not."""


def _parse_row(line: bytes, *, mend: bool) -> tuple[tuple[str, str] | None, Any]:
    if len(line) > MAX_ROW_BYTES:
        return ("a row that is too large", f"at most {MAX_ROW_BYTES} bytes"), None
    try:
        text = line.decode()
        data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
        written = json.dumps(data, ensure_ascii=False)
        if not encodable(written):
            if mend:
                return None, json.loads(HALF_PAIR.sub("\ufffd", written))
            return ("half of a surrogate pair", "text that UTF-8 can hold"), None
    except UnicodeDecodeError:
        return ("bytes that are not UTF-8", "a JSON object in UTF-8"), None
    except _RowError as error:
        return (str(error), "a JSON object"), None
    except json.JSONDecodeError as error:
        return (f"a broken row ({error.msg.removesuffix(' at')} at column {error.colno})", "a JSON object"), None
    except (RecursionError, ValueError):
        return ("a row nested too deep or with a number too long", "a JSON object"), None
    if not isinstance(data, dict):
        return (f"a {type(data).__name__}", "a JSON object"), None
    return None, data


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the key {twice!r} twice"
        raise _RowError(msg)
    return result


def _no_constant(name: str) -> Any:
    msg = f"{name}, which is not JSON"
    raise _RowError(msg)
