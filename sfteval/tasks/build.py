"""From a listed name to lm-eval's own task objects.

Comes in: names. Goes out: `Task` objects as `TaskManager.load` would build them (same factory, same registry rules),
but indexing nothing that is not asked for, with local data beside the YAML, and with every failure as a `TaskError`.

`!function` in a task YAML imports and runs the Python file beside it. That is lm-eval's way, and why `include_path`
must be a folder that the author trusts, like any code.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, TaskError
from sfteval.tasks.local_data import with_local_data
from sfteval.tasks.names import Names
from sfteval.tasks.quiet import hub_answers, without_hub

if TYPE_CHECKING:
    from lm_eval.api.task import Task

    from sfteval.tasks.scan import TaskEntry

_OFFLINE_HELP = (
    "No hub answers here and the data is not in the local cache. Either load it once where a hub answers and keep "
    "HF_HOME, or write a task with local data: a YAML file in `include_path` with `dataset_path: json` and "
    "`dataset_kwargs: {{data_files: {{test: FILE.jsonl}}}}`{reuse}."
)


class Registry(MutableMapping[str, Any]):
    """lm-eval's name → `Entry` mapping, filled on demand from `Names`."""

    def __init__(self, names: Names) -> None:
        """Wrap the names; entries are made when the factory asks for them."""
        self._names = names
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            entry = self._names.find(name)
            if entry is None:
                raise KeyError(name)
            self._made[name] = _lm_eval_entry(entry)
        return self._made[name]

    def __setitem__(self, name: str, entry: Any) -> None:
        self._made[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._made or self._names.find(name) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def _lm_eval_entry(entry: TaskEntry) -> Any:
    from lm_eval.tasks._index import Entry, Kind

    return Entry(name=entry.name, kind=Kind[entry.kind.upper()], yaml_path=entry.path, tags=set(entry.members))


def build_leaves(name: str, names: Names, include: list[Path]) -> list[Task]:
    """Build the leaf tasks that a task, group or tag stands for, in lm-eval's order.

    Raises:
        TaskError: A YAML file, its code or its data cannot be loaded, or the task needs what text models lack.
    """
    from lm_eval.api.group import Group

    registry = Registry(names)
    entry = registry[name]
    where = f"{entry.yaml_path or 'tag'}: task {name}"
    try:
        with without_hub():
            built = _factory_type()(include).build(entry, overrides=None, registry=registry)
    except TaskError:
        raise
    except Exception as error:  # third parties' task code may raise anything; it ends in one message
        raise TaskError(_build_fault(error, where, entry)) from error
    leaves = built.get_all_tasks() if isinstance(built, Group) else built if isinstance(built, list) else [built]
    if not leaves:
        raise TaskError(Fault(where, "no task", "a task, or a group or tag with tasks in it"))
    faults = [fault for leaf in leaves for fault in _refusals(leaf, where)]
    if faults:
        raise TaskError(faults)
    return leaves


@cache
def _factory_type() -> Any:
    from lm_eval.tasks._factory import TaskFactory

    class LocalDataFactory(TaskFactory):  # type: ignore[misc]
        """lm-eval's factory; the one difference is where relative data files are looked for."""

        def __init__(self, include: list[Path]) -> None:
            super().__init__()
            self._include = include

        def _load_full_config(self, entry: Any, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
            config: dict[str, Any] = super()._load_full_config(entry, overrides)
            root = next((r for r in self._include if entry.yaml_path and entry.yaml_path.is_relative_to(r)), None)
            if root is None:
                return config
            members = config.get("task")
            if isinstance(members, list):
                config["task"] = [
                    with_local_data(member, entry.yaml_path, root) if isinstance(member, dict) else member
                    for member in members
                ]
            return with_local_data(config, entry.yaml_path, root)

    return LocalDataFactory


def _build_fault(error: Exception, where: str, entry: Any) -> Fault:
    import datasets

    mark = getattr(error, "problem_mark", None)
    if mark is not None:  # a YAML error
        expected = "YAML that lm-eval can read"
        return Fault(
            str(mark.name), str(getattr(error, "problem", error)), expected, "", mark.line + 1, mark.column + 1
        )
    reason = str(error).strip().splitlines() or ["no reason given"]
    found = f"{type(error).__name__}: {reason[0]}"
    if isinstance(error, (datasets.exceptions.DatasetsError, ConnectionError)) and not hub_answers():
        expected = "its data set from the hub or the local cache"
        reuse = f" (it may `include:` {entry.yaml_path})" if entry.kind.name == "TASK" else ""
        return Fault(where, f"no data for {entry.name} ({found})", expected, _OFFLINE_HELP.format(reuse=reuse))
    do = f"It needs: pip install {error.name}" if isinstance(error, ModuleNotFoundError) and error.name else ""
    return Fault(where, found, "a task that lm-eval can load", do)


def _refusals(task: Task, where: str) -> list[Fault]:
    leaf = f"{where} ({task.task_name})" if not where.endswith(f" {task.task_name}") else where
    faults = []
    if getattr(task, "MULTIMODAL", False):
        faults.append(Fault(leaf, "images or audio", "a text task", "Suites judge text models; leave this task out."))
    if getattr(task, "UNSAFE_CODE", False):
        do = "Nothing here isolates it; leave this task out."
        faults.append(Fault(leaf, "a task that runs the model's code", "a task that only reads it", do))
    return faults
