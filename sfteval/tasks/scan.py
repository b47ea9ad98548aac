"""Task names in a folder of lm-eval YAML files, read without importing lm_eval.

Comes in: a folder. Goes out: `Scan`: every task, group and tag that lm-eval 0.4.13's own index
(`lm_eval/tasks/_index.py`, `TaskIndex.build`) finds there, and the files that cannot be read.

lm-eval parses all 14,000 files in full, their includes again for each (14 s). Only six top-level keys decide a name, so
only the lines of those keys are parsed here and included files once; `tests/unit/tasks/test_scan.py` compares both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]

Kind = Literal["task", "py_task", "group", "tag"]

_IGNORED = {"__pycache__", ".ipynb_checkpoints"}
_KEY = re.compile(r"""^(["']?)(task|group|tag|class|include)\1\s*:""")
_PLAIN = re.compile(r"^(task|group|tag|include):[ ]+([A-Za-z_][A-Za-z0-9_./-]*)[ ]*$")
_WORDS_THAT_ARE_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null"}


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """One name that can be listed: where its YAML is (None for a tag) and, for a tag, the tasks that carry it."""

    name: str
    kind: Kind
    path: Path | None
    members: tuple[str, ...] = ()


@dataclass
class Scan:
    """What a folder holds: names, files that cannot be read with the reason, names that two files claim."""

    entries: dict[str, TaskEntry] = field(default_factory=dict)
    unreadable: dict[Path, str] = field(default_factory=dict)
    doubled: dict[str, list[Path]] = field(default_factory=dict)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as lm-eval reads it while indexing: `!function` stays a string, nothing is executed."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def scan(root: Path) -> Scan:
    """Read every `*.yaml` below `root`, in lm-eval's order (sorted paths; of two equal names the first one counts)."""
    found, heads, tags = Scan(), dict[Path, dict[str, Any]](), dict[str, set[str]]()
    paths = (path for path in root.glob("**/*.yaml") if not _IGNORED.intersection(path.parts))
    for path in sorted(paths, key=lambda p: p.as_posix()):
        try:
            _register(_head(path.resolve(), heads, ()), path, found, tags)
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            found.unreadable[path] = f"{type(error).__name__}: {error}"
    for tag, members in tags.items():
        _add_tag(tag, members, found)
    return found


def _register(head: dict[str, Any], path: Path, found: Scan, tags: dict[str, set[str]]) -> None:
    """Add what one file defines. Raises KeyError or TypeError where lm-eval skips the file or has no name to list."""
    kind: Kind | None = "py_task" if "class" in head else "group" if "group" in head else None
    if kind is None and "task" not in head:
        return
    name = head["group"] if kind == "group" else head["task"]
    if not isinstance(name, str):
        msg = f"the name {name!r} is not text"
        raise TypeError(msg)
    set().update(head.get("tag") or ())  # lm-eval skips a file whose tag is neither text nor a list
    if name in found.entries or (name in tags):
        found.doubled.setdefault(str(name), []).append(path)
        return
    found.entries[name] = TaskEntry(name, kind or "task", path)
    if kind != "group":
        for tag in _as_list(head.get("tag")):
            tags.setdefault(tag, set()).add(name)


def _add_tag(tag: str, members: set[str], found: Scan) -> None:
    # A task or group of the same name that came first keeps it, as in lm-eval (`setdefault` in `_register_tags`).
    if tag not in found.entries:
        found.entries[tag] = TaskEntry(tag, "tag", None, tuple(sorted(members)))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _head(path: Path, heads: dict[Path, dict[str, Any]], above: tuple[Path, ...]) -> dict[str, Any]:
    """Return the keys that decide names, includes merged in (the file's own keys win)."""
    if path in above:
        msg = f"include cycle at {path}"
        raise ValueError(msg)
    if path not in heads:
        own = _own_head(path.read_text(encoding="utf-8"))
        merged: dict[str, Any] = {}
        for include in _as_list(own.pop("include", None)):
            merged.update(_head((path.parent / include).resolve(), heads, (*above, path)))
        heads[path] = merged | own
    return heads[path]


def _own_head(text: str) -> dict[str, Any]:
    """Parse only the lines of the keys that decide names; a plain `task: name` needs no parser at all."""
    head: dict[str, Any] = {}
    for block in _blocks(text):
        plain = _PLAIN.match(block[0]) if len(block) == 1 else None
        if plain and plain[2].lower() not in _WORDS_THAT_ARE_NOT_TEXT:
            head[plain[1]] = plain[2]
        else:
            head.update(yaml.load("\n".join(block), Loader=_Loader))
    return head


def _blocks(text: str) -> list[list[str]]:
    """Split off the top-level blocks of the wanted keys: the key's line and all that belongs to it."""
    blocks: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        if line[:1] in {" ", "-", "", "\t", "]", "}"}:
            if inside and line.strip():
                blocks[-1].append(line)
        elif line[0] != "#":
            inside = _KEY.match(line) is not None
            if inside:
                blocks.append([line])
    return blocks
