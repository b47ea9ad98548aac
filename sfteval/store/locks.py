"""Locks between processes, freed by the system when a process dies (flock under filelock).

Comes in: paths of lock files. Goes out: held locks, or the answer whether somebody living holds one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from sfteval.errors import StoreError
from sfteval.store.disk import writing
from sfteval.store.layout import ROOT_LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT_PATIENCE = 60.0
"""Seconds to wait for the store's own lock, which is held for moments."""


def take(path: Path, *, wait: bool) -> FileLock | None:
    """Return the held lock, or None when `wait` is False and a living process holds it. Raises StoreError."""
    lock = FileLock(path, thread_local=False)
    with writing(path):
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            return None
    return lock


def is_held(path: Path) -> bool:
    """Return True when a living process holds the lock, or when that cannot be found out."""
    lock = FileLock(path, thread_local=False)
    try:
        if not path.exists():
            return False
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


@contextmanager
def root_lock(root: Path) -> Iterator[None]:
    """Be the only process that begins, removes or promotes runs; creates `root`. Raises StoreError."""
    path = root / ROOT_LOCK
    with writing(root, "Name a folder that can be written with --runs-dir"):
        root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)
    try:
        with writing(path, "Name a folder that can be written, on a file system with flock, with --runs-dir"):
            lock.acquire(timeout=ROOT_PATIENCE)
    except Timeout:
        found = f"a lock that another process has held for {ROOT_PATIENCE:.0f} s"
        raise StoreError(path, found, "a lock held for moments", "Look for a hanging sfteval process") from None
    try:
        yield
    finally:
        lock.release()
