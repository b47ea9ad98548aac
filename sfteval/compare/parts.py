"""A run by suite and task: the columns that gates are judged on.

Comes in: a `Run`. Goes out: one `Part` per suite and task, in the order of the run's samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfteval.records import Status
from sfteval.records.columns import columns_of, samples_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.records import Gate, Run, Sample
    from sfteval.records.columns import SampleColumns

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Part:
    """The samples of one suite and task: their rows in the run, and the run's columns."""

    samples: Sequence[Sample]
    columns: SampleColumns
    rows: Rows

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.rows)

    @cached_property
    def places(self) -> list[tuple[str, int]]:
        """Id and repeat of each sample."""
        columns = self.columns
        return [(columns.sample_id[row], columns.repeat[row]) for row in self.rows]

    @cached_property
    def keys(self) -> list[str]:
        """Pair key of each sample."""
        return [self.columns.key[row] for row in self.rows]

    @cached_property
    def prompt_keys(self) -> list[str]:
        """Hash of the prompt's token ids of each sample."""
        return [self.columns.prompt_key[row] for row in self.rows]

    @cached_property
    def clusters(self) -> Rows:
        """Number of each sample's cluster, shape (samples,)."""
        numbers: dict[str, int] = {}
        names = self.cluster_names
        return np.fromiter((numbers.setdefault(name, len(numbers)) for name in names), dtype=np.intp)

    @cached_property
    def is_clustered(self) -> bool:
        """Whether any two samples share a cluster."""
        return len(self) > 0 and int(self.clusters.max()) + 1 < len(self)

    @property
    def cluster_names(self) -> list[str]:
        """Name of each sample's cluster."""
        columns = self.columns
        return [columns.cluster[row] or columns.sample_id[row] for row in self.rows]

    @cached_property
    def errored(self) -> list[int]:
        """Positions of the errored samples."""
        return [at for at, row in enumerate(self.rows) if self.columns.status[row] == Status.ERRORED]

    @cached_property
    def is_errored(self) -> NDArray[np.bool_]:
        """True for the errored samples, shape (samples,)."""
        found = np.zeros(len(self), dtype=bool)
        found[self.errored] = True
        return found

    def scores(self, check: str) -> tuple[Floats, NDArray[np.bool_]]:
        """Return each sample's score and whether it has one."""
        values, present = self.columns.scores(check)
        return values[self.rows], present[self.rows]

    def tag_values(self, tag: str) -> list[str]:
        """Return the values that a tag has, sorted."""
        tags = self.columns.tags()
        return sorted({tags[row][tag] for row in self.rows if tag in tags[row]})

    def sample(self, at: int) -> Sample:
        """Return one sample whole."""
        return self.some(np.array([at]))[0]

    def some(self, places: Rows) -> Sequence[Sample]:
        """Return the samples at some positions whole, in that order."""
        return samples_at(self.samples, self.rows[places].tolist())

    def sliced(self, gate: Gate) -> Part:
        """Return the samples that a gate's slice names."""
        if not gate.slice:
            return self
        tags = self.columns.tags()
        inside = [row for row in self.rows if all(tags[row].get(tag) == value for tag, value in gate.slice)]
        return Part(self.samples, self.columns, np.array(inside, dtype=np.intp))


class Parts:
    """All parts of one run."""

    def __init__(self, run: Run) -> None:
        """Group the run's samples."""
        self.run = run
        columns = columns_of(run.samples)
        groups: dict[tuple[str, str], list[int]] = {}
        for row, place in enumerate(zip(columns.suite, columns.task, strict=True)):
            groups.setdefault(place, []).append(row)
        self._parts = {
            place: Part(run.samples, columns, np.array(rows, dtype=np.intp)) for place, rows in groups.items()
        }
        self._empty = Part(run.samples, columns, np.array([], dtype=np.intp))

    def part(self, gate: Gate) -> Part:
        """Return the samples of a gate's suite, task and slice; an empty part if there are none."""
        return self._parts.get((gate.suite, gate.task), self._empty).sliced(gate)
