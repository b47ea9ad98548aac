"""Rows with their token ids, in memory or on disk.

Comes in: rows and encodings, one by one. Goes out: the same by number, and `View`s: sequences that read when asked.
On disk (`data.streaming`) only a place and a length per row stay in memory; the files are unnamed and go with the
process, also when it is killed.
"""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from sfteval.errors import DiskError, reason_of
from sfteval.train.masks import Encoded, labels_of
from sfteval.train.rows import Row, Turn

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
TOKEN_BYTES = 4


class View(Sequence[T], Generic[T]):
    """Some items of a store, in an order of their own."""

    def __init__(self, read: Callable[[int], T], places: Sequence[int]) -> None:
        """Read item `places[i]` when item i is asked for."""
        self.read, self.places = read, places

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        """Return one item, or the items of a slice."""
        if isinstance(index, slice):
            return tuple(self.read(place) for place in self.places[index])
        return self.read(self.places[index])


class Store(Protocol):
    """Rows and encodings by number."""

    def add(self, row: Row, item: Encoded) -> int:
        """Keep a row; return its number."""
        ...

    def row(self, number: int) -> Row:
        """Return a row."""
        ...

    def item(self, number: int) -> Encoded:
        """Return a row's encoding."""
        ...


class MemoryStore:
    """Everything in memory."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._items: list[Encoded] = []

    def add(self, row: Row, item: Encoded) -> int:
        """Keep a row; return its number."""
        self._rows.append(row)
        self._items.append(item)
        return len(self._rows) - 1

    def row(self, number: int) -> Row:
        """Return a row."""
        return self._rows[number]

    def item(self, number: int) -> Encoded:
        """Return a row's encoding."""
        return self._items[number]


class DiskStore:
    """Two unnamed files in `folder`: rows with their spans as JSON, token ids as 32-bit numbers."""

    def __init__(self, folder: Path) -> None:
        """Make the files.

        Raises:
            DiskError: The folder cannot be written.
        """
        self.folder = folder
        self._texts, self._tokens = array("q", [0]), array("q", [0])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._text_file = tempfile.TemporaryFile(dir=folder, buffering=1 << 16)  # noqa: SIM115  (lives as long as this)
            self._token_file = tempfile.TemporaryFile(dir=folder, buffering=1 << 16)  # noqa: SIM115
        except OSError as error:
            raise DiskError(folder, reason_of(error), "a folder that can be written") from None
        self._flushed = True
        for file in (self._text_file, self._token_file):
            weakref.finalize(self, file.close)

    def add(self, row: Row, item: Encoded) -> int:
        """Keep a row; return its number."""
        text = json.dumps(_plain(row, item)).encode()
        try:
            self._text_file.write(text)
            self._token_file.write(array("i", item.ids).tobytes())
        except OSError as error:
            raise DiskError(self.folder, reason_of(error), "room for the rows' token ids") from None
        self._texts.append(self._texts[-1] + len(text))
        self._tokens.append(self._tokens[-1] + len(item.ids) * TOKEN_BYTES)
        self._flushed = False
        return len(self._texts) - 2

    def row(self, number: int) -> Row:
        """Return a row."""
        value = self._value(number)
        return Row(value["key"], value["where"], tuple(Turn(*turn) for turn in value["turns"]), value["tools"])

    def item(self, number: int) -> Encoded:
        """Return a row's encoding."""
        value = self._value(number)
        ids = array("i")
        ids.frombytes(self._read(self._token_file, self._tokens, number))
        learned = tuple((start, end) for start, end in value["learned"])
        spans = tuple((start, end) for start, end in value["spans"])
        weight = value["weight"]
        return Encoded(tuple(ids), labels_of(ids, learned, weight), spans, value["source"], learned, weight)

    def _value(self, number: int) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self._read(self._text_file, self._texts, number))
        return value

    def _read(self, file: Any, offsets: Sequence[int], number: int) -> bytes:
        if not self._flushed:
            self._text_file.flush()
            self._token_file.flush()
            self._flushed = True
        return os.pread(file.fileno(), offsets[number + 1] - offsets[number], offsets[number])


def _plain(row: Row, item: Encoded) -> dict[str, Any]:
    return {
        "key": row.key,
        "where": row.where,
        "turns": [[turn.role, turn.content, turn.more] for turn in row.turns],
        "tools": row.tools,
        "spans": item.spans,
        "learned": item.learned,
        "source": item.source,
        "weight": item.prompt_weight,
    }
