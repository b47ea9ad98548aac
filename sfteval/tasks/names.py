"""Which names an `lm_eval:` block may list, and where each one's YAML is.

Comes in: include folders. Goes out: `Names`: lookups that read the include folders first and lm-eval's own tasks only
when a name is not found there, from an index cached per lm-eval version. lm_eval itself is never imported here.

The cache is `lm_eval-tasks-VERSION.json` in `$SFTEVAL_CACHE` or `~/.cache/sfteval`, written by atomic rename; one that
cannot be read is built again, one that cannot be written is done without.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sfteval.errors import Fault
from sfteval.tasks.scan import Scan, TaskEntry, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sfteval.records import LmEvalBlock

_INDEX_FORMAT = 1


class Names:
    """Names of the include folders (later folders win, as in lm-eval), then lm-eval's own."""

    def __init__(self, include: Sequence[Path]) -> None:
        """Scan the include folders; lm-eval's own tasks wait until they are needed."""
        self.scans: tuple[Scan, ...] = tuple(scan(folder) for folder in include)
        self._local = {name: entry for found in self.scans for name, entry in found.entries.items()}

    def find(self, name: str) -> TaskEntry | None:
        """Return what `name` stands for, None if nothing."""
        return self._local.get(name) or shipped_entries().get(name)

    def all(self) -> frozenset[str]:
        """Return every name; builds lm-eval's index if there is none yet."""
        return frozenset(self._local) | frozenset(shipped_entries())

    def doubts(self, name: str) -> list[str]:
        """Return a warning for each include folder in which several files claim `name`."""
        return [
            f"{name}: defined by {found.entries[name].path}, and again by {', '.join(map(str, found.doubled[name]))}, "
            "which has no effect, as in lm-eval"
            for found in self.scans
            if name in found.doubled and name in found.entries
        ]

    def near(self, name: str) -> list[str]:
        """Return up to three similar names, best first."""
        return difflib.get_close_matches(name, sorted(self.all()), n=3, cutoff=0.7)


def known_names(include_paths: Iterable[Path]) -> frozenset[str]:
    """Return every task, group and tag name of the include folders and of lm-eval."""
    return Names(list(include_paths)).all()


def unknown_names(suite: str, block: LmEvalBlock, *, folder: Path) -> tuple[Fault, ...]:
    """Return one fault per listed name that does not exist (or for a missing include folder). Cheap: no lm_eval."""
    include = include_folders(block, folder)
    missing = [path for path in include if not path.is_dir()]
    if missing:
        where = f"suite {suite}: lm_eval.include_path"
        do = "Paths resolve from the suite file's folder."
        return tuple(Fault(where, f"no folder at {path}", "a folder with task YAML files", do) for path in missing)
    names = Names(include)
    return tuple(_unknown(suite, name, names) for name in block.tasks if names.find(name) is None)


def include_folders(block: LmEvalBlock, folder: Path) -> list[Path]:
    """Return the include folder of a block, absolute; none if the block names none."""
    return [(folder / block.include_path).resolve()] if block.include_path is not None else []


def _unknown(suite: str, name: str, names: Names) -> Fault:
    near = names.near(name)
    do = f"Did you mean {' or '.join(near)}?" if near else "List the names that exist with: lm_eval ls tasks"
    broken = [f"{path} ({reason})" for found in names.scans for path, reason in found.unreadable.items()]
    if broken:
        do += f" Not readable in the include folder: {'; '.join(broken)}"
    return Fault(f"suite {suite}: lm_eval.tasks", repr(name), "a task, group or tag of lm-eval", do)


@cache
def shipped_folder() -> Path:
    """Return the folder of lm-eval's own task YAML files."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        msg = "lm-eval is not installed"
        raise ModuleNotFoundError(msg)
    return Path(spec.submodule_search_locations[0]) / "tasks"


@cache
def shipped_entries() -> dict[str, TaskEntry]:
    """Return lm-eval's own names, from the cached index; builds and stores it once per lm-eval version."""
    root = shipped_folder()
    version = importlib.metadata.version("lm_eval")
    stamp = {"format": _INDEX_FORMAT, "lm_eval": version, "folder": str(root), "changed": root.stat().st_mtime_ns}
    path = cache_folder() / f"lm_eval-tasks-{version}.json"
    stored = _read_index(path, stamp, root)
    if stored is not None:
        return stored
    print(f"sfteval: indexing the tasks of lm-eval {version}, once (a few seconds)", file=sys.stderr)
    entries = scan(root).entries
    _write_index(path, stamp, root, entries)
    return entries


def cache_folder() -> Path:
    """Return the user's cache folder: `$SFTEVAL_CACHE`, else `~/.cache/sfteval`."""
    return Path(os.environ.get("SFTEVAL_CACHE") or Path.home() / ".cache" / "sfteval")


def _read_index(path: Path, stamp: dict[str, object], root: Path) -> dict[str, TaskEntry] | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["stamp"] != stamp:
            return None
        return {
            name: TaskEntry(name, kind, root / file if file else None, tuple(members))
            for name, (kind, file, members) in stored["names"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_index(path: Path, stamp: dict[str, object], root: Path, entries: dict[str, TaskEntry]) -> None:
    rows = {
        entry.name: (entry.kind, entry.path.relative_to(root).as_posix() if entry.path else None, entry.members)
        for entry in entries.values()
    }
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"stamp": stamp, "names": rows}, file)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
