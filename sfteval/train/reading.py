"""Records from files and from the hub, with the place of each.

Comes in: a `Source`. Goes out: (place, line, record) one by one, without holding the file in memory (a .json array
excepted), and a fault per record that cannot be read.
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sfteval.train.data_config import Source

    Broken = Callable[[str, Fault], None]
    Place = tuple[str, int]

BATCH = 1024


def read_records(source: Source, broken: Broken, *, streaming: bool = False) -> Iterator[tuple[Place, Any]]:
    """Yield ((where, line), record) of a source in order; line 0 where there are no lines (`where` has the row then).

    Args:
        source: What to read.
        broken: Takes the kind and the fault: `format` for a record that cannot be read, `source` for the whole source.
        streaming: Ask the hub for a stream and not for a copy on disk.
    """
    if source.path is None:
        yield from _hub(source, broken, streaming=streaming)
        return
    path = Path(source.path)
    reader = READERS.get(path.suffix, _jsonl)
    try:
        yield from reader(path, broken)
    except (OSError, EOFError, zlib.error) as error:
        broken("source", Fault(str(path), reason_of(error), "a readable data file"))


def _jsonl(path: Path, broken: Broken) -> Iterator[tuple[Place, Any]]:
    """Only a newline byte ends a line: JSON text may hold other line separators."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            line = line.rstrip(b"\r\n")
            if not line.strip():
                continue
            value = _parsed(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            if isinstance(value, _Problem):
                broken("format", Fault(str(path), value.found, value.expected, line=number))
            else:
                yield (str(path), number), value


class _Problem:
    def __init__(self, found: str, expected: str) -> None:
        self.found, self.expected = found, expected


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except UnicodeDecodeError:
        return _Problem("bytes that are not UTF-8", "JSON in UTF-8")
    except json.JSONDecodeError as error:
        return _Problem(f"broken JSON ({error.msg} at column {error.colno})", "one JSON object per line")
    except (ValueError, RecursionError):
        return _Problem("JSON nested too deep or a number too long", "one JSON object per line")


def _json(path: Path, broken: Broken) -> Iterator[tuple[Place, Any]]:
    """Yield the items of an array, each with the line that it starts on."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        items = list(_array(text))
    except UnicodeDecodeError:
        broken("source", Fault(str(path), "bytes that are not UTF-8", "JSON in UTF-8"))
        return
    except json.JSONDecodeError as error:
        broken("source", Fault(str(path), f"broken JSON ({error.msg})", "an array of objects", line=error.lineno))
        return
    except (ValueError, RecursionError):
        broken("source", Fault(str(path), "JSON nested too deep or a number too long", "an array of objects"))
        return
    yield from (((str(path), line), item) for line, item in items)


def _array(text: str) -> Iterator[tuple[int, Any]]:
    decoder = json.JSONDecoder()
    space = json.decoder.WHITESPACE  # type: ignore[attr-defined]
    place = space.match(text, 0).end()
    if text[place : place + 1] != "[":
        raise json.JSONDecodeError("no array", text, place)
    place, line, counted = space.match(text, place + 1).end(), 1, 0
    while text[place : place + 1] != "]":
        line, counted = line + text.count("\n", counted, place), place
        item, place = decoder.raw_decode(text, place)
        yield line, item
        place = space.match(text, place).end()
        if text[place : place + 1] == ",":
            place = space.match(text, place + 1).end()
        elif text[place : place + 1] != "]":
            raise json.JSONDecodeError("no ',' or ']' after a row", text, place)
    if text[place + 1 :].strip():
        raise json.JSONDecodeError("text after the array", text, place + 1)


def _parquet(path: Path, broken: Broken) -> Iterator[tuple[Place, Any]]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                for record in batch.to_pylist():
                    number += 1
                    yield (f"{path}: row {number}", 0), _unpadded(record)
    except pyarrow.ArrowException as error:
        broken("source", Fault(str(path), str(error).splitlines()[0], "a Parquet file"))


def _hub(source: Source, broken: Broken, *, streaming: bool) -> Iterator[tuple[Place, Any]]:
    import datasets

    number = 0
    try:
        rows = datasets.load_dataset(
            source.hub, source.name, split=source.split or "train", revision=source.revision, streaming=streaming
        )
        for record in rows:
            number += 1
            yield (f"{source.place}: row {number}", 0), _unpadded(record)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        broken("source", Fault(source.place, reason, "a data set that can be loaded", "Local files go in `path`"))


def _unpadded(value: Any) -> Any:
    """Return a value without the empty fields that Arrow puts into every struct of a column."""
    if isinstance(value, dict):
        return {name: _unpadded(item) for name, item in value.items() if item is not None}
    return [_unpadded(item) for item in value] if isinstance(value, list) else value


READERS: dict[str, Callable[[Path, Broken], Iterator[tuple[Place, Any]]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
}
