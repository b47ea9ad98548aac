"""The user's cache folder, and a cache of file hashes in it.

Comes in: paths. Goes out: the folder (`SFTEVAL_CACHE`, else the platform's), and sha256 hashes of files that are
computed again only when a file's size, modification or change time differs. Each hash is its own small file, replaced
atomically, so processes that write at once cannot disturb each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from sfteval.keys import file_key

SETTLED_NS = 2_000_000_000


def cache_dir() -> Path:
    """Return the user's cache folder: `$SFTEVAL_CACHE`, else `sfteval` in the platform's cache folder."""
    if chosen := os.environ.get("SFTEVAL_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "sfteval"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sfteval"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sfteval"


def encodings_dir() -> Path:
    """Return where the token ids of training rows are kept."""
    return cache_dir() / "encodings"


def file_hash(path: Path) -> str:
    """Return the sha256 of a file's bytes, 64 hex digits, from the cache when the file has not changed."""
    path = path.resolve()
    before = _stamp(path)
    entry = cache_dir() / "hashes" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    known = _read(entry)
    if known.get("stamp") == before and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    digest = file_key(path)
    # A file written within the clock's resolution could change again without its stamp changing.
    if _stamp(path) == before and time.time_ns() - before[2] > SETTLED_NS:
        _write(entry, {"path": str(path), "stamp": before, "sha256": digest})
    return digest


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _read(entry: Path) -> dict[str, object]:
    try:
        known = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(entry: Path, content: dict[str, object]) -> None:
    # Only speed depends on it: a cache folder that is full or read-only must not stop an evaluation.
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=entry.parent, delete=False, suffix=".tmp") as file:
            json.dump(content, file)
        try:
            Path(file.name).replace(entry)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
