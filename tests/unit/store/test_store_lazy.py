"""Stored samples: equal to what was written, by row and by column, and read only when looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sfteval.records import Sample, Status
from sfteval.records.columns import ColumnarSamples, columns_of
from sfteval.store.columns import SAMPLES, read_table, write_rows
from sfteval.store.lazy import StoredSamples

ONE = Sample("k", "s", "", "a", 0, "a", Status.SCORED, {"x": 1.0}, {}, "p", "q", "o")
ROWS = [
    ONE,
    replace(ONE, key="k2", sample_id="b\ud800", scores={"y": 0.25, "x": 0.0}, tags={"language": "de"}),
    replace(ONE, key="k3", sample_id="c", scores={}, status=Status.ERRORED, error="timeout"),
]


@pytest.fixture
def stored(tmp_path: Path) -> StoredSamples:
    path = tmp_path / "samples.parquet"
    with path.open("wb") as file:
        write_rows(file, SAMPLES, ROWS, {})
    return StoredSamples(read_table(path, ""), path, "")


def test_rows(stored: StoredSamples) -> None:
    assert len(stored) == 3
    assert stored[1] == ROWS[1]
    assert stored[-1] == ROWS[2]
    assert stored[:2] == tuple(ROWS[:2])
    assert stored == tuple(ROWS)
    with pytest.raises(IndexError):
        stored[3]


def test_columns_are_those_of_the_records(stored: StoredSamples) -> None:
    assert isinstance(stored, ColumnarSamples)
    found, made = columns_of(stored), columns_of(ROWS)
    for name in ("suite", "task", "sample_id", "repeat", "cluster", "status", "key", "prompt_key"):
        assert list(getattr(found, name)) == list(getattr(made, name)), name
    assert list(found.tags()) == list(made.tags())
    for check in ("x", "y", "nowhere"):
        for a, b in zip(found.scores(check), made.scores(check), strict=True):
            np.testing.assert_array_equal(a, b)
