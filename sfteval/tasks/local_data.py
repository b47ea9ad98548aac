"""Data files that lie beside a task's YAML.

Comes in: a task's configuration and its YAML's path. Goes out: the configuration with a `custom_dataset` that reads
the files. lm-eval resolves relative `data_files` from the working directory and leaves copies in the user's cache;
here they resolve from the YAML's folder, must lie inside the include folder, and nothing stays behind. The parsing is
`datasets.load_dataset` itself, so types and nulls are lm-eval's own.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sfteval.errors import Fault, TaskError

FILE_FORMATS = frozenset({"json", "csv", "parquet", "text", "arrow"})
_DO_INSIDE = "Put the data beside the task (a symbolic link will do); paths resolve from the YAML file's folder."


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a task's files resolve from, and the folder that they must not leave."""

    yaml: Path
    root: Path
    task: str

    def fault(self, found: str, expected: str, do: str) -> TaskError:
        return TaskError(Fault(f"{self.yaml}: task {self.task}: dataset_kwargs.data_files", found, expected, do))


def with_local_data(config: dict[str, Any], yaml_path: Path, root: Path) -> dict[str, Any]:
    """Return `config` with its local files made loadable; unchanged if it names none.

    Raises:
        TaskError: A file is missing or lies outside `root`.
    """
    kwargs = config.get("dataset_kwargs") or {}
    files, builder = kwargs.get("data_files"), config.get("dataset_path")
    if config.get("custom_dataset") is not None or not isinstance(builder, str):
        return config
    place = _Place(yaml_path, root, str(config.get("task") or config.get("group")))
    if builder in FILE_FORMATS and files is not None:
        if any("://" in name for name in _names(files)):
            return config
        kwargs = kwargs | {"data_files": _resolve(files, place)}
    elif (yaml_path.parent / builder).is_dir():
        builder = str(_inside(builder, place))
    else:
        return config
    kwargs.pop("trust_remote_code", None)
    load = partial(_load, place=place, builder=builder, name=config.get("dataset_name"), kwargs=kwargs)
    return config | {"custom_dataset": load, "dataset_kwargs": None}


def _names(files: Any) -> list[str]:
    """Return all names in a `data_files` value: a string, a list, or a mapping from split to either."""
    if isinstance(files, dict):
        return [name for value in files.values() for name in _names(value)]
    return [str(name) for name in files] if isinstance(files, list) else [str(files)]


def _resolve(files: Any, place: _Place) -> Any:
    if isinstance(files, dict):
        return {split: _resolve(value, place) for split, value in files.items()}
    return [path for name in _names(files) for path in _expand(name, place)]


def _expand(name: str, place: _Place) -> list[str]:
    """Return the absolute paths that one name or glob pattern stands for, at least one."""
    path = _inside(name, place)
    found = [path] if path.is_file() else sorted(place.yaml.parent.glob(name)) if "*" in name else []
    if not found:
        near = sorted(p.name for p in path.parent.glob("*") if p.suffix == path.suffix)[:5]
        there = f"There is: {', '.join(near)}." if near else f"The folder {path.parent} holds no such file."
        raise place.fault(f"{name!r}, no file at {path}", "a data file", there)
    return [str(_inside(str(p), place)) for p in found]


def _inside(name: str, place: _Place) -> Path:
    # Lexical on purpose: a symbolic link inside the folder is the author's way to point outside it.
    path = Path(os.path.normpath(place.yaml.parent / name))
    if not path.is_relative_to(place.root):
        raise place.fault(f"{name!r}, which is outside {place.root}", "a path inside the include folder", _DO_INSIDE)
    return path


def _load(*, place: _Place, builder: str, name: str | None, kwargs: dict[str, Any], **_metadata: Any) -> Any:
    """Load all splits into memory; called by lm-eval as `custom_dataset(**metadata)`."""
    import datasets

    with tempfile.TemporaryDirectory(prefix="sfteval-data-") as folder:
        try:
            loaded = datasets.load_dataset(builder, name, cache_dir=folder, keep_in_memory=True, **kwargs)
        except (datasets.exceptions.DatasetsError, OSError, ValueError, TypeError) as error:
            raise _unreadable(error, place, kwargs.get("data_files")) from error
    return loaded


def _unreadable(error: Exception, place: _Place, files: Any) -> TaskError:
    for file in _names(files) if files is not None else []:
        fault = _broken_line(Path(file)) if file.endswith(".jsonl") else None
        if fault is not None:
            return TaskError(fault)
    reason = str(error.__cause__ or error).strip().splitlines()
    found = f"{type(error).__name__}: {reason[0] if reason else 'no reason given'}"
    return place.fault(found, "files that `datasets` can read", "All rows, of all splits, must have the same fields.")


def _broken_line(path: Path) -> Fault | None:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line) if line.strip() else {}
            except json.JSONDecodeError as error:
                return Fault(str(path), f"{error.msg}", "one JSON object per line", line=number, column=error.colno)
            if not isinstance(row, dict):
                return Fault(str(path), f"a {type(row).__name__}", "one JSON object per line", line=number, column=1)
    return None
