"""Samples by column: what a comparison of many needs, without an object per sample.

A store reads its samples lazily as a `ColumnarSamples`; a tuple of samples is turned into columns by `columns_of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from sfteval.records.evidence import Sample


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """One sequence per field, all of one length; `scores(check)` gives values and where there is one.

    `scores` returns two arrays of shape (samples,): the scores (0 where there is none) and True where there is one.
    """

    suite: Sequence[str]
    task: Sequence[str]
    sample_id: Sequence[str]
    repeat: Sequence[int]
    cluster: Sequence[str]
    status: Sequence[str]
    key: Sequence[str]
    prompt_key: Sequence[str]
    scores: Callable[[str], tuple[NDArray[Any], NDArray[Any]]]
    tags: Callable[[], Sequence[Mapping[str, str]]]


@runtime_checkable
class ColumnarSamples(Protocol):
    """Samples that are stored by column."""

    def columns(self) -> SampleColumns:
        """Return all samples as columns."""
        ...

    def at(self, rows: Sequence[int]) -> Sequence[Sample]:
        """Return the samples of some rows whole, in that order."""
        ...


def columns_of(samples: Sequence[Sample]) -> SampleColumns:
    """Return samples as columns."""
    if isinstance(samples, ColumnarSamples):
        return samples.columns()
    return SampleColumns(
        suite=[s.suite for s in samples],
        task=[s.task for s in samples],
        sample_id=[s.sample_id for s in samples],
        repeat=[s.repeat for s in samples],
        cluster=[s.cluster for s in samples],
        status=[s.status for s in samples],
        key=[s.key for s in samples],
        prompt_key=[s.prompt_key for s in samples],
        scores=lambda check: _scores(samples, check),
        tags=lambda: [s.tags for s in samples],
    )


def samples_at(samples: Sequence[Sample], rows: Sequence[int]) -> Sequence[Sample]:
    """Return the samples of some rows whole, in that order."""
    return samples.at(rows) if isinstance(samples, ColumnarSamples) else [samples[row] for row in rows]


def _scores(samples: Sequence[Sample], check: str) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    present = np.array([check in s.scores for s in samples], dtype=bool)
    return np.array([s.scores.get(check, 0.0) for s in samples], dtype=float), present
