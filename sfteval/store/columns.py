"""Records to Parquet and back: one column per field, readable by any query engine.

Comes in: samples or responses. Goes out: a Parquet file, and the equal records from it. `scores` is
`map<string, double>`; `evidence` and `tags` are `map<string, string>`; `response_keys` is `list<string>`; statuses and
finish reasons are their strings; text is as in `encoding`. In duckdb: `SELECT sample_id, scores['exact'] FROM
'runs/*/samples.parquet'`. Pages carry checksums, which reading verifies. The schema's metadata holds
`sfteval.format` and what else the writer adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any

from sfteval.errors import StoreError
from sfteval.records import RUN_FORMAT, FinishReason, Response, Sample, Status
from sfteval.store.encoding import decode_text, encode_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from enum import StrEnum
    from pathlib import Path

FORMAT_KEY = "sfteval.format"
_GROUP_ROWS = 20_000
_GROUP_CHARACTERS = 64_000_000
"""A row group stays far below the 2 GB that 32-bit string offsets address, however long the answers."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of value is stored.

    Attributes:
        type: Name in `_arrow_type`.
        encode: Value to what pyarrow takes.
        decode: Column (pyarrow array) to values.
    """

    type: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], list[Any]]


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one record type, in the order of its fields."""

    record: type[Any]
    columns: Mapping[str, Kind]


def _plain(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def _texts(column: Any) -> list[Any]:
    return [value if value is None or value.isascii() else decode_text(value) for value in column.to_pylist()]


def _maps(column: Any) -> list[Any]:
    keys, items = _texts(column.keys), column.items
    values = _plain(items) if str(items.type) == "double" else _texts(items)
    return [dict(zip(keys[a:b], values[a:b], strict=True)) for a, b in pairwise(column.offsets.to_pylist())]


def _lists(column: Any) -> list[Any]:
    values = _texts(column.values)
    return [tuple(values[a:b]) for a, b in pairwise(column.offsets.to_pylist())]


def _words(words: type[StrEnum]) -> Callable[[Any], list[Any]]:
    table = {None: None} | {word.value: word for word in words}
    return lambda column: [table[value] for value in column.to_pylist()]


def _encode_optional(text: str | None) -> str | None:
    return None if text is None else encode_text(text)


def _encode_word(word: StrEnum | None) -> str | None:
    return None if word is None else word.value


def _encode_scores(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(encode_text(name), float(value)) for name, value in scores.items()]


def _encode_pairs(pairs: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(encode_text(name), encode_text(value)) for name, value in pairs.items()]


def _encode_list(values: Sequence[str]) -> list[str]:
    return [encode_text(value) for value in values]


def _same(value: Any) -> Any:
    return value


TEXT = Kind("string", encode_text, _texts)
OPTIONAL_TEXT = Kind("string", _encode_optional, _texts)
INTEGER = Kind("int64", int, _plain)
NUMBER = Kind("double", _same, _plain)
FLAG = Kind("bool", _same, _plain)
STATUS = Kind("string", _encode_word, _words(Status))
FINISH = Kind("string", _encode_word, _words(FinishReason))
SCORES = Kind("scores", _encode_scores, _maps)
PAIRS = Kind("pairs", _encode_pairs, _maps)
KEYS = Kind("list", _encode_list, _lists)

SAMPLES = Layout(
    Sample,
    {
        "key": TEXT,
        "suite": TEXT,
        "task": TEXT,
        "sample_id": TEXT,
        "repeat": INTEGER,
        "cluster": TEXT,
        "status": STATUS,
        "scores": SCORES,
        "evidence": PAIRS,
        "prompt_key": TEXT,
        "prompt": TEXT,
        "output": TEXT,
        "finish_reason": FINISH,
        "prompt_tokens": INTEGER,
        "output_tokens": INTEGER,
        "truncated": INTEGER,
        "error": OPTIONAL_TEXT,
        "tags": PAIRS,
        "response_keys": KEYS,
    },
)
RESPONSES = Layout(
    Response,
    {
        "key": TEXT,
        "text": OPTIONAL_TEXT,
        "loglikelihood": NUMBER,
        "is_greedy": FLAG,
        "finish_reason": FINISH,
        "prompt_tokens": INTEGER,
        "output_tokens": INTEGER,
        "truncated": INTEGER,
    },
)


def _arrow_type(name: str) -> Any:
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "bool": pa.bool_(),
        "scores": pa.map_(pa.string(), pa.float64()),
        "pairs": pa.map_(pa.string(), pa.string()),
        "list": pa.list_(pa.string()),
    }
    return types[name]


def write_rows(file: IO[bytes], layout: Layout, rows: Sequence[Any], metadata: Mapping[str, str]) -> None:
    """Write records as Parquet. Raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [(name, _arrow_type(kind.type)) for name, kind in layout.columns.items()],
        metadata={FORMAT_KEY: str(RUN_FORMAT)} | dict(metadata),
    )
    with pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer:
        for group in _groups(rows):
            arrays = [
                pa.array([kind.encode(getattr(row, name)) for row in group], _arrow_type(kind.type))
                for name, kind in layout.columns.items()
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _groups(rows: Sequence[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += _characters(row)
        if len(group) >= _GROUP_ROWS or characters >= _GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _characters(row: Any) -> int:
    if isinstance(row, Sample):
        return len(row.prompt) + len(row.output) + sum(map(len, row.evidence.values()))
    return len(row.text or "")


def read_table(path: Path, do: str) -> Any:
    """Return a Parquet file as a pyarrow table, page checksums verified. Raises StoreError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
            return pa.concat_tables(groups) if groups else file.schema_arrow.empty_table()
    except FileNotFoundError as error:
        raise StoreError(path, "no file", "the Parquet file that the manifest promises", do) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        found = f"a truncated or damaged Parquet file ({_first_line(error)})"
        raise StoreError(path, found, "a whole Parquet file", do) from error


def read_metadata(table: Any) -> dict[str, str]:
    """Return the schema's metadata."""
    metadata = table.schema.metadata or {}
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in metadata.items()}


def read_records(table: Any, layout: Layout, path: Path, do: str) -> list[Any]:
    """Return the records of a table that came from `path`. Raises StoreError."""
    missing = [name for name in layout.columns if name not in table.column_names]
    if missing:
        raise StoreError(path, f"no column {', '.join(missing)}", f"the columns of format {RUN_FORMAT}", do)
    records: list[Any] = []
    try:
        for batch in table.select(list(layout.columns)).to_batches():
            columns = [kind.decode(batch.column(name)) for name, kind in layout.columns.items()]
            records += map(layout.record, *columns)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(path, f"values that do not fit: {_first_line(error)}", f"format {RUN_FORMAT}", do) from error
    return records


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
