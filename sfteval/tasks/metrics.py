"""lm-eval's metrics as scores per sample.

Comes in: a built task. Goes out: for every metric that has a value per document, its name here, its range and
direction; for every other one a warning that names it.

Names: the first filter's metrics keep their names (`exact_match`), other filters' get theirs behind a hyphen
(`exact_match-flexible-extract`); characters outside `[a-z0-9_-]` become hyphens (`pass@1` → `pass-1`).
A metric is a mean over documents or it is left out (`bleu`, `perplexity`, a list-wise `f1`): only a mean pairs.
The exception is `bits_per_byte`: lm-eval weights documents by their bytes, here each document's own value counts once.
"""

from __future__ import annotations

import math
import numbers
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfteval.records import MetricInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lm_eval.api.task import Task

_BITS = "bits_per_byte"
# Shares per document: lm-eval's own passthrough metrics and IFEval's; any other metric's range is not known.
SHARES = frozenset(
    {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"}
    | {f"prompt_level_{mode}_acc" for mode in ("strict", "loose")}
)
_NEEDS_ALL_REPEATS = frozenset({"majority_vote", "take_first_k"})


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one leaf task.

    Attributes:
        info: What the scores under each name are.
        source: Name here → (lm-eval's filter, lm-eval's metric).
        warnings: One line per metric that was left out.
    """

    info: Mapping[str, MetricInfo]
    source: Mapping[str, tuple[str, str]]
    warnings: tuple[str, ...]


def metrics_of(task: Task, repeats: int) -> Metrics:
    """Return what can be scored per document; `repeats` > 1 leaves out filters that vote over all repeats."""
    info: dict[str, MetricInfo] = {}
    source: dict[str, tuple[str, str]] = {}
    warnings: list[str] = []
    filters = _usable_filters(task, repeats, warnings)
    directions = task.higher_is_better()
    for metric, aggregation in task.aggregation().items():
        reason = _refusal(task, metric, aggregation)
        if reason:
            warnings.append(f"{task.task_name}: metric {metric} is left out: {reason}")
            continue
        for position, name in filters:
            ours = metric_name(str(metric), "" if position == 0 else name)
            info[ours] = _info(task, str(metric), directions.get(metric, True))
            source[ours] = (name, str(metric))
    if _BITS not in info and "byte_perplexity" in task.aggregation():
        info[_BITS] = _info(task, _BITS, False)
        source[_BITS] = (filters[0][1], "byte_perplexity")
    return Metrics(info, source, tuple(warnings))


def metric_name(metric: str, filter_name: str = "") -> str:
    """Return the name of a metric here, `[a-z0-9_-]+`."""
    joined = f"{metric}-{filter_name}" if filter_name else metric
    return re.sub(r"[^a-z0-9_-]+", "-", joined.lower()).strip("-")


def value_of(name: str, value: Any) -> float | None:
    """Return a document's score as a finite number, None if lm-eval gave none (such as NaN under `nanmean`)."""
    if name == _BITS and isinstance(value, tuple):
        loglikelihood, length = value
        value = -loglikelihood / (length * math.log(2)) if length else math.nan
    if not isinstance(value, numbers.Real):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _usable_filters(task: Task, repeats: int, warnings: list[str]) -> list[tuple[int, str]]:
    steps = {f["name"]: {step["function"] for step in f["filter"]} for f in task.get_config("filter_list") or []}
    usable = []
    for position, ensemble in enumerate(task._filters):
        if repeats > 1 and steps.get(ensemble.name, set()) & _NEEDS_ALL_REPEATS:
            warnings.append(
                f"{task.task_name}: filter {ensemble.name} is left out: it votes over all {repeats} repeats, "
                "and here each repeat is a sample of its own"
            )
        else:
            usable.append((position, ensemble.name))
    return usable


def _refusal(task: Task, metric: Any, aggregation: Any) -> str:
    """Return why a metric has no score per document; empty if it has one."""
    from lm_eval.api import metrics as theirs

    functions = getattr(task, "_metric_fn_list", {})
    if functions.get(metric, theirs) is None and not callable(task.get_config("process_results")):
        return "lm-eval finds no function of that name, here or in the evaluate library"
    if metric == _BITS or aggregation in (theirs.mean, theirs.nanmean):
        return "" if metric != "likelihood" else "it is a list per document"
    name = getattr(aggregation, "__name__", repr(aggregation))
    return f"it is made over all documents at once ({name}), not as a mean of scores per document"


def _info(task: Task, metric: str, higher: Any) -> MetricInfo:
    lower, upper = (0.0, 1.0) if metric in SHARES else (None, None)
    return MetricInfo(lower=lower, upper=upper, higher_is_better=bool(higher), version=str(task.VERSION))
