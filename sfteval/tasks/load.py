"""An `lm_eval:` block to items.

Comes in: a suite's block and its folder. Goes out: one `LoadedTask` per listed name, its items ready to be asked and,
later, graded (`sfteval.tasks.grading`).
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, TaskError
from sfteval.keys import pair_key
from sfteval.records import Ask, ChatScoreAsk, Item, MetricInfo, ScoreAsk
from sfteval.tasks.asks import to_ask, unsupported_settings
from sfteval.tasks.build import build_leaves
from sfteval.tasks.draw import document_ids, draw, seed_globals, set_shots
from sfteval.tasks.grading import Grader, TaskDocument, TaskSource, register, repeats_of
from sfteval.tasks.metrics import Metrics, metrics_of
from sfteval.tasks.names import Names, include_folders, unknown_names
from sfteval.tasks.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lm_eval.api.task import Task

    from sfteval.records import LmEvalBlock


@dataclass(frozen=True)
class LoadedTask:
    """One listed name: a task, or a group or tag whose leaf tasks are pooled.

    Attributes:
        name: As listed.
        tasks: Its leaf tasks.
        metrics: What can be gated: metrics that every leaf gives per document.
        items: Documents in order, up to the limit for each leaf.
        version: Versions of the leaf tasks and of lm-eval.
        warnings: What was left out, and why.
    """

    name: str
    tasks: tuple[str, ...]
    metrics: Mapping[str, MetricInfo]
    items: tuple[Item, ...]
    version: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Leaf:
    task: Task
    source: TaskSource
    metrics: Metrics
    repeats: int
    warnings: tuple[str, ...]


def load_tasks(suite: str, block: LmEvalBlock, *, folder: Path) -> tuple[LoadedTask, ...]:
    """Load every listed task with its documents.

    Args:
        suite: Suite name, part of every item's key.
        block: What the author wrote.
        folder: The suite file's folder; `include_path` resolves from it.

    Raises:
        TaskError: An unknown name, a missing folder or file, a task that cannot be loaded or asked; all unknown names
            at once.
    """
    faults = unknown_names(suite, block, folder=folder)
    if faults:
        raise TaskError(faults)
    include = include_folders(block, folder)
    names, folder = Names(include), folder.resolve()
    with quiet(keep_map_cache=block.fewshot_draw == "lm_eval"):
        seed_globals(block, "")
        leaves = [_leaves(name, block, folder, names, include) for name in block.tasks]
        return tuple(_loaded(suite, name, group, names) for name, group in zip(block.tasks, leaves, strict=True))


def _leaves(name: str, block: LmEvalBlock, folder: Path, names: Names, include: list[Path]) -> list[_Leaf]:
    if block.fewshot_draw == "per_document":
        seed_globals(block, name)
    return [_leaf(task, TaskSource(name, task.task_name, block, folder)) for task in build_leaves(name, names, include)]


def _leaf(task: Task, source: TaskSource) -> _Leaf:
    shots = set_shots(task, source.block)
    repeats = repeats_of(task)
    metrics = metrics_of(task, repeats)
    register(source, Grader(task, metrics))
    warnings = [*([shots] if shots else []), *metrics.warnings]
    if repeats == 1 < int(task.get_config("repeats") or 1):
        warnings.append(f"{task.task_name}: repeats: {task.config.repeats} of a greedy task are asked once")
    warnings += [
        f"{task.task_name}: generation setting {name} has no effect here"
        for name in unsupported_settings(task.get_config("generation_kwargs") or {})
    ]
    return _Leaf(task, source, metrics, repeats, tuple(warnings))


def _loaded(suite: str, name: str, leaves: list[_Leaf], names: Names) -> LoadedTask:
    shared = _shared_metrics(leaves)
    every = {metric for leaf in leaves for metric in leaf.metrics.info}
    warnings = [*names.doubts(name), *(warning for leaf in leaves for warning in leaf.warnings)]
    warnings += [f"{name}: metric {m} is left out: not every task in it has it" for m in sorted(every - set(shared))]
    if not shared:
        found = "no metric with a value per document" + (f" ({'; '.join(warnings)})" if warnings else "")
        raise TaskError(Fault(f"suite {suite}: lm_eval.tasks: {name}", found, "at least one"))
    items = tuple(item for leaf in leaves for item in _items(suite, leaf, tuple(shared), pooled=len(leaves) > 1))
    versions = sorted({f"{leaf.task.task_name}={leaf.task.VERSION}" for leaf in leaves})
    version = ",".join([*versions, f"lm_eval={importlib.metadata.version('lm_eval')}"])
    return LoadedTask(name, tuple(leaf.source.leaf for leaf in leaves), shared, items, version, tuple(warnings))


def _shared_metrics(leaves: list[_Leaf]) -> dict[str, MetricInfo]:
    """Return the metrics that all leaves have; a version is that of all of them."""
    shared = {}
    for metric, info in leaves[0].metrics.info.items():
        infos = [leaf.metrics.info.get(metric) for leaf in leaves]
        if all(other is not None for other in infos):
            version = "+".join(sorted({other.version for other in infos if other is not None}))
            shared[metric] = MetricInfo(info.lower, info.upper, info.higher_is_better, version)
    return shared


def _items(suite: str, leaf: _Leaf, metrics: tuple[str, ...], *, pooled: bool) -> Iterator[Item]:
    block, task, where = leaf.source.block, leaf.task, f"suite {suite}: task {leaf.source.leaf}"
    try:
        documents = _documents(task, block)
        ids = document_ids(documents)
        for index, (doc, instances) in enumerate(draw(task, documents, ids, block)):
            asks = tuple(to_ask(instance, block.seed, where) for instance in instances)
            document = TaskDocument(leaf.source, index, doc, metrics, _options(task, doc, asks))
            sample_id = f"{leaf.source.leaf}/{ids[index]}" if pooled else ids[index]
            for repeat in range(leaf.repeats):
                yield Item(
                    key=pair_key(suite, leaf.source.listed, sample_id, asks, repeat),
                    suite=suite,
                    task=leaf.source.listed,
                    sample_id=sample_id,
                    asks=asks,
                    repeat=repeat,
                    cluster=sample_id,
                    reference=_reference(task, doc, document.options),
                    tags={"task": leaf.source.leaf} if pooled else {},
                    document=document,
                )
    except TaskError:
        raise
    except Exception as error:  # a task's own prompt code may raise anything; it ends in one message
        found = f"{type(error).__name__}: {error}"
        raise TaskError(Fault(where, found, "documents that the task can make prompts of")) from error


def _documents(task: Task, block: LmEvalBlock) -> Any:
    """Return the split that is judged. lm-eval runs `process_docs` again for it; per document once is enough."""
    kept = getattr(task, "task_docs", None) if block.fewshot_draw == "per_document" else None
    return kept if kept is not None else task.eval_docs


def _options(task: Task, doc: Any, asks: tuple[Ask, ...]) -> tuple[str, ...]:
    """Return the options of a multiple choice as people read them, one per conditional ask; empty for other tasks."""
    if task.OUTPUT_TYPE != "multiple_choice" or not all(isinstance(ask, ScoreAsk | ChatScoreAsk) for ask in asks):
        return ()
    return tuple(str(choice).strip() for choice in task.doc_to_choice(doc))


def _reference(task: Task, doc: Any, options: tuple[str, ...]) -> str | None:
    """Return the gold answer as people read it."""
    in_prompt = bool(options) and bool(getattr(task, "multiple_input", False))
    gold = task.doc_to_text(doc) if in_prompt else task.doc_to_target(doc)
    golds = [
        options[one] if options and isinstance(one, int) and 0 <= one < len(options) else str(one)
        for one in (gold if isinstance(gold, list) else [gold])
    ]
    return " | ".join(golds) if golds else None
