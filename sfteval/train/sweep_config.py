"""The `sweep` block of a training config: a grid, and the suites that say what each point gained and lost.

Comes in: lists of values. Goes out: the grid's points, and the config of each. Imports no torch.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from sfteval.records import Strict
from sfteval.train.data_config import Positive, Text
from sfteval.train.method_config import Count, LowRank

if TYPE_CHECKING:
    from sfteval.train.config import TrainingConfig

AXES = ("rank", "alpha", "learning_rate", "data")


class Sweep(Strict):
    """Axes that are left out keep the config's own value.

    `data` are shares of the rows (a seeded part of each source); `target` and `forgetting` are suite files or folders.
    """

    rank: tuple[Count, ...] = ()
    alpha: tuple[Positive, ...] = ()
    learning_rate: tuple[Positive, ...] = ()
    data: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    target: Annotated[tuple[Text, ...], Field(min_length=1)]
    forgetting: Annotated[tuple[Text, ...], Field(min_length=1)]

    def points(self) -> list[dict[str, float]]:
        """Return the grid, the last axis fastest."""
        axes = [(axis, getattr(self, axis)) for axis in AXES if getattr(self, axis)]
        names = [axis for axis, _ in axes]
        return [dict(zip(names, values, strict=True)) for values in itertools.product(*(values for _, values in axes))]


def sweep_fault(config: TrainingConfig) -> tuple[str, str] | None:
    """Return (found, expected) where the block asks for what the method does not have."""
    sweep = config.sweep
    if sweep is None:
        return None
    if config.hooks is not None:
        return "a sweep beside hooks, which no point of it would run", "one of the two"
    if not any(getattr(sweep, axis) for axis in AXES):
        return "a sweep without a list of values", f"at least one of {', '.join(AXES)}"
    named = [axis for axis in ("rank", "alpha") if getattr(sweep, axis)]
    if named and not isinstance(config.method, LowRank):
        return f"{' and '.join(named)} in a sweep of method {config.method.name}", "method lora or qlora"
    return None


def config_at(config: TrainingConfig, point: dict[str, float]) -> TrainingConfig:
    """Return the config of one point, without the sweep."""
    method: dict[str, Any] = {axis: point[axis] for axis in ("rank", "alpha") if axis in point}
    rate: dict[str, Any] = {"learning_rate": point["learning_rate"]} if "learning_rate" in point else {}
    changes: dict[str, Any] = {
        "sweep": None,
        "method": config.method.model_copy(update=method),
        "optimizer": config.optimizer.model_copy(update=rate),
    }
    if "data" in point:
        sources = [source.model_copy(update={"weight": source.weight * point["data"]}) for source in config.data.train]
        changes["data"] = config.data.model_copy(update={"train": tuple(sources)})
    return config.model_copy(update=changes)
