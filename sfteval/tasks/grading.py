"""Responses to scores, by lm-eval's own filters and `process_results`.

Comes in: an item made by `load_tasks` and one response per ask. Goes out: finite scores by metric name, or what people
are shown. No model is needed, and no state but the item's: in another process the task is built again from
`TaskDocument.source`.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, TaskError
from sfteval.records import ChatAsk, ChatScoreAsk, LmEvalBlock, RollingAsk, ScoreAsk, TextAsk
from sfteval.tasks.draw import seed_globals, set_shots
from sfteval.tasks.metrics import Metrics, metrics_of, value_of
from sfteval.tasks.quiet import quiet, silenced, templates_kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task

    from sfteval.records import Ask, Item, Response


@dataclass(frozen=True, slots=True)
class TaskSource:
    """What a leaf task can be built again from: its name as listed, its own name, and the block it was listed in."""

    listed: str
    leaf: str
    block: LmEvalBlock
    folder: Path


@dataclass(frozen=True, slots=True)
class TaskDocument:
    """An item's `document`: lm-eval's document and where its task comes from. Picklable if the document is.

    Attributes:
        source: The leaf task.
        index: Position in the split.
        doc: lm-eval's document.
        metrics: Names of the scores to give.
        options: Of a multiple choice: the continuations as shown, in the order of the asks.
    """

    source: TaskSource
    index: int
    doc: Any
    metrics: tuple[str, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grader:
    """A built leaf task with what can be scored on it."""

    task: Task
    metrics: Metrics


_GRADERS: dict[TaskSource, Grader] = {}


def register(source: TaskSource, grader: Grader) -> None:
    """Keep a built task for grading in this process."""
    _GRADERS[source] = grader


def grade(item: Item, responses: Sequence[Response]) -> dict[str, float]:
    """Score one item.

    Args:
        item: Made by `load_tasks`.
        responses: One per ask, in order (a rolling ask may have several, one per window: they are summed).

    Returns:
        Metric name → finite number; a metric that lm-eval gives no number for is left out.

    Raises:
        TaskError: A response is a failure or holds no answer of its ask's kind, or lm-eval's grader broke. The caller
            makes the sample errored; it is never a wrong answer.
    """
    import numpy as np

    document: TaskDocument = item.document
    where = f"{item.suite}: task {item.task}, sample {item.sample_id}"
    results = _results(item.asks, responses, where)
    grader = _grader(document.source)
    try:
        with silenced(), templates_kept(), np.errstate(all="ignore"):
            raw = _process(grader, item, results)
    except Exception as error:  # a task's own grading code may raise anything; the sample is errored
        found = f"{type(error).__name__}: {error}"
        raise TaskError(Fault(where, found, "scores from the task's process_results")) from error
    values = {name: value_of(name, raw.get(grader.metrics.source[name])) for name in document.metrics}
    return {name: value for name, value in values.items() if value is not None}


def shown(item: Item, responses: Sequence[Response]) -> tuple[str, str]:
    """Return the prompt and the answer as people read them; of a multiple choice the chosen option and the gold one.

    Raises:
        TaskError: A response is a failure or holds no answer of its ask's kind.
    """
    where = f"{item.suite}: task {item.task}, sample {item.sample_id}"
    results = _results(item.asks, responses, where)
    first = item.asks[0]
    if isinstance(first, ChatAsk):
        return _said(first), str(results[0])
    if isinstance(first, TextAsk):
        return first.context, str(results[0])
    if isinstance(first, RollingAsk):
        return first.text, f"log-likelihood {results[0]:.4f}"
    return _shown_choice(item, [float(result[0]) for result in results])


def _shown_choice(item: Item, loglikelihoods: list[float]) -> tuple[str, str]:
    options: tuple[str, ...] = item.document.options
    asks = [ask for ask in item.asks if isinstance(ask, ScoreAsk | ChatScoreAsk)]
    if not options:
        return _said(asks[0]), f"{asks[0].continuation.strip()} (log-likelihood {loglikelihoods[0]:.4f})"
    best = max(range(len(options)), key=lambda index: loglikelihoods[index])
    gold = "" if item.reference is None or item.reference == options[best] else f" (gold: {item.reference})"
    return _said(asks[best]), options[best] + gold


def _said(ask: ChatAsk | ScoreAsk | ChatScoreAsk) -> str:
    """Return what comes before the answer."""
    return ask.context if isinstance(ask, ScoreAsk) else "\n\n".join(f"{m.role}: {m.content}" for m in ask.messages)


def _results(asks: Sequence[Ask], responses: Sequence[Response], where: str) -> list[Any]:
    """Return what lm-eval's models return: text, a log-likelihood, or (log-likelihood, is greedy)."""
    failed = next((response.failure for response in responses if response.failure is not None), None)
    if failed is not None:
        raise TaskError(Fault(where, f"no answer ({failed.kind}: {failed.message})", "an answer to every ask"))
    if len(asks) == 1 and isinstance(asks[0], RollingAsk) and responses:
        return [sum(_loglikelihood(response, where) for response in responses)]
    if len(asks) != len(responses):
        raise TaskError(Fault(where, f"{len(responses)} responses", f"{len(asks)}, one per ask"))
    return [_result(ask, response, where) for ask, response in zip(asks, responses, strict=True)]


def _result(ask: Ask, response: Response, where: str) -> Any:
    if isinstance(ask, ScoreAsk | ChatScoreAsk):
        return _loglikelihood(response, where), bool(response.is_greedy)
    if response.text is None:
        raise TaskError(Fault(where, "a response without text", "generated text"))
    return response.text


def _loglikelihood(response: Response, where: str) -> float:
    value = response.loglikelihood
    if value is None or value != value:
        raise TaskError(Fault(where, f"log-likelihood {value}", "a number"))
    return value


def _process(grader: Grader, item: Item, results: list[Any]) -> dict[tuple[str, str], Any]:
    """Run the wanted filters and `process_results`; returns (filter, metric) → lm-eval's value."""
    document: TaskDocument = item.document
    wanted = {grader.metrics.source[name][0] for name in document.metrics}
    raw: dict[tuple[str, str], Any] = {}
    for ensemble in grader.task._filters:
        if ensemble.name in wanted:
            doc = deepcopy(document.doc)
            instances = [_instance(grader.task, document, doc, index, result) for index, result in enumerate(results)]
            ensemble.apply(instances)
            filtered = [instance.filtered_resps[ensemble.name] for instance in instances]
            for metric, value in grader.task.process_results(doc, filtered).items():
                raw[ensemble.name, str(metric)] = value
    return raw


def _instance(task: Task, document: TaskDocument, doc: Any, index: int, result: Any) -> Instance:
    from lm_eval.api.instance import Instance

    metadata = (task.config.task, document.index, 1)
    return Instance(task.OUTPUT_TYPE, doc, (), index, metadata=metadata, resps=[result])


def _grader(source: TaskSource) -> Grader:
    """Return the task of this process, built again if another process made the item."""
    from sfteval.tasks.build import build_leaves
    from sfteval.tasks.names import Names, include_folders

    if source not in _GRADERS:
        include = include_folders(source.block, source.folder)
        with quiet(keep_map_cache=source.block.fewshot_draw == "lm_eval"):
            seed_globals(source.block, source.listed)
            for leaf in build_leaves(source.listed, Names(include), include):
                set_shots(leaf, source.block)
                metrics = metrics_of(leaf, repeats_of(leaf))
                register(TaskSource(source.listed, leaf.task_name, source.block, source.folder), Grader(leaf, metrics))
    return _GRADERS[source]


def repeats_of(task: Task) -> int:
    """Return how often each document is asked: the task's repeats if it samples, once if it is greedy."""
    from sfteval.tasks.asks import generation

    repeats = int(task.get_config("repeats") or 1)
    settings = task.get_config("generation_kwargs") or {}
    return repeats if repeats > 1 and generation(settings, 0).temperature > 0 else 1
