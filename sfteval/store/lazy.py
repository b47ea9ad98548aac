"""A whole run's samples, read when they are looked at.

Comes in: the table of `samples.parquet`. Goes out: a sequence of `Sample`s that decodes a row when it is asked for, and
the columns that a comparison needs without an object per sample (`records.columns`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from sfteval.records import Sample
from sfteval.records.columns import SampleColumns
from sfteval.store.columns import SAMPLES, read_records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


class StoredSamples(Sequence[Sample]):
    """The samples of one run, in their order."""

    def __init__(self, table: Any, path: Path, do: str) -> None:
        """Take a table that came from `path`. Raises StoreError when it is not one of samples."""
        self._path, self._do = path, do
        self._all: tuple[Sample, ...] | None = None
        first = table.slice(0, 1)  # of one chunk: taking a row of it copies that row's maps only
        read_records(first.take([0]) if first.num_rows else first, SAMPLES, path, do)  # the columns are there and fit
        self._table = table.select(list(SAMPLES.columns)).combine_chunks()

    def __len__(self) -> int:
        """Return how many samples there are."""
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, index: int | slice) -> Sample | tuple[Sample, ...]:
        """Return one sample, or some."""
        if isinstance(index, slice):
            return self._decoded[index]
        return self.at([range(len(self))[index]])[0]

    def __iter__(self) -> Iterator[Sample]:
        """Yield all samples; they are kept."""
        return iter(self._decoded)

    def __eq__(self, other: object) -> bool:
        """Compare with any sequence of samples."""
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        """Return a hash that equal samples share."""
        return hash(len(self))

    @property
    def _decoded(self) -> tuple[Sample, ...]:
        if self._all is None:
            self._all = tuple(read_records(self._table, SAMPLES, self._path, self._do))
        return self._all

    def at(self, rows: Sequence[int]) -> Sequence[Sample]:
        """Return the samples of some rows, in that order."""
        if self._all is not None:
            return [self._all[row] for row in rows]
        return read_records(self._table.take(rows), SAMPLES, self._path, self._do) if rows else []

    def columns(self) -> SampleColumns:
        """Return all samples as columns."""
        return self._columns

    @cached_property
    def _columns(self) -> SampleColumns:
        return SampleColumns(
            suite=self._column("suite"),
            task=self._column("task"),
            sample_id=self._column("sample_id"),
            repeat=self._column("repeat"),
            cluster=self._column("cluster"),
            status=self._column("status"),
            key=self._column("key"),
            prompt_key=self._column("prompt_key"),
            scores=self._scores,
            tags=lambda: self._column("tags"),
        )

    def _column(self, name: str) -> list[Any]:
        return SAMPLES.columns[name].decode(self._array(name))

    def _array(self, name: str) -> Any:
        import pyarrow as pa

        column = self._table.column(name)
        return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)

    def _scores(self, check: str) -> tuple[NDArray[Any], NDArray[Any]]:
        import numpy as np

        places, values, rows = self._score_entries
        found, present = np.zeros(len(self)), np.zeros(len(self), dtype=bool)
        if check in places:
            mine = rows[places[check]]
            found[mine], present[mine] = values[places[check]], True
        return found, present

    @cached_property
    def _score_entries(self) -> tuple[dict[str, slice], NDArray[Any], NDArray[Any]]:
        """Every score and the row of its sample, check by check, and where each check's scores stand."""
        import numpy as np
        from pyarrow import types

        from sfteval.store.encoding import decode_text

        column = self._array("scores")
        offsets = column.offsets.to_numpy(zero_copy_only=False)
        keys = column.keys.slice(offsets[0], offsets[-1] - offsets[0])
        encoded = keys if types.is_dictionary(keys.type) else keys.dictionary_encode()
        names = [decode_text(name) for name in encoded.dictionary.to_pylist()]
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int16 if len(names) < 30_000 else np.int32)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=len(names))).tolist()
        places = {name: slice(a, b) for name, a, b in zip(names, [0, *ends], ends, strict=False)}
        values = column.items.slice(offsets[0], offsets[-1] - offsets[0]).to_numpy(zero_copy_only=False)
        rows = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(offsets))
        return places, values[order], rows[order]
