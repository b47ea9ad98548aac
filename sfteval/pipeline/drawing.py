"""Sequential suites: in which order their samples are answered, and how many at a time.

Comes in: the items of a suite. Goes out: per task the blocks of a seeded random draw, each slice in proportion. The
order follows from the samples' ids alone, so every model and every later release draws alike, and a changed sample
moves no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from typing import TYPE_CHECKING

from sfteval import stats
from sfteval.errors import Fault, InputError
from sfteval.keys import content_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sfteval.records import Item, MetricInfo, Suite, SuiteFile

BLOCKS = 200
FIRST_SAMPLES = 32
FIRST_SHARE = 0.05
GROWTH = 0.10
"""A batch is a tenth of what was answered before, so at most a tenth is answered in vain."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One task's samples in drawn order, by block."""

    blocks: tuple[tuple[Item, ...], ...]

    @property
    def population(self) -> int:
        """Samples in all."""
        return sum(map(len, self.blocks))

    def ends(self, used: int) -> list[int]:
        """Return the ends of the blocks that `used` samples fill."""
        return [end for end in accumulate(map(len, self.blocks)) if end <= used]

    def batch(self, done: int) -> list[Item]:
        """Return the next batch after `done` whole blocks."""
        first = max(ceil(FIRST_SHARE * len(self.blocks)), ceil(FIRST_SAMPLES * len(self.blocks) / self.population))
        count = max(1, ceil(GROWTH * done)) if done else first
        return [item for block in self.blocks[done : done + count] for item in block]


def draw(suite: Suite, items: Sequence[Item]) -> dict[str, Drawn]:
    """Return the draw of each task of a sequential suite ("" for suites with samples)."""
    by_task: dict[str, list[Item]] = {}
    for item in items:
        by_task.setdefault(item.task, []).append(item)
    fields = [field.removeprefix("tags.") for field in suite.slices.by] if suite.slices else []
    return {task: _draw(suite.suite, task, mine, fields) for task, mine in by_task.items()}


def _draw(suite: str, task: str, items: Sequence[Item], fields: Sequence[str]) -> Drawn:
    priority = [content_key("draw", suite, task, item.sample_id, item.repeat) for item in items]
    strata = [tuple(item.tags.get(field) for field in fields) for item in items]
    blocks = stats.proportional_blocks(
        sorted(range(len(items)), key=priority.__getitem__),
        strata,
        blocks=min(BLOCKS, len(items)),
        seed=int(content_key("draw", suite, task)[:8], 16),
    )
    return Drawn(tuple(tuple(items[at] for at in block) for block in blocks))


def check_drawable(file: SuiteFile, items: Sequence[Item], metrics: Mapping[str, MetricInfo]) -> None:
    """Refuse a sequential suite whose gates could never be settled early with a known error rate.

    Args:
        file: The suite's file.
        items: Its items.
        metrics: By "suite/task/check".

    Raises:
        InputError: a gate on a metric without bounds, or samples that share a cluster.
    """
    faults = []
    for gate in file.gates:
        info = metrics.get(f"{gate.suite}/{gate.task}/{gate.check}")
        if info is not None and (info.lower is None or info.upper is None):
            found = f"a gate on {gate.check!r}, which has no bounds, in a sequential suite"
            faults.append(Fault(gate.path, found, "a check with bounds, or sequential: false", line=gate.line))
    clusters = [item.cluster or item.sample_id for item in items]
    if len(set(clusters)) < len(clusters):
        shared = next(name for name in clusters if clusters.count(name) > 1)
        found = f"samples that share the cluster {shared!r} in a sequential suite"
        faults.append(Fault(str(file.path), found, "samples of their own, or sequential: false"))
    if faults:
        raise InputError(faults)
