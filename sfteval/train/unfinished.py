"""Trainings that died: what they left, and going on from there.

Comes in: a training's key (everything that decides its result). Goes out: its folder, new or left by a process that
was killed, and the newest whole checkpoint in it.

A training's folder is called `.partial-NAME-STAMP-HEX` until it is finished. `training.lock` is held by the living
process; `key.json` says which training it is. A checkpoint is whole when `complete.json` in it says so: written last,
with the size of every file, after all of them are on disk.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from sfteval.errors import DiskError, SftevalError, reason_of
from sfteval.train.precision import FILE as PRECISION
from sfteval.train.processes import in_the_first
from sfteval.train.trained import CurvePoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PARTIAL, KEY, LOCK, COMPLETE = ".partial-", "key.json", "training.lock", "complete.json"


@dataclass(frozen=True, slots=True)
class Resumed:
    """A whole checkpoint: its folder, optimiser steps taken, the curve up to there."""

    path: Path
    step: int
    curve: tuple[CurvePoint, ...]


@contextmanager
def training_folder(output: Path, name: str, key: str) -> Iterator[tuple[Path, Path]]:
    """Yield (temporary, final) folder: that of a killed training with the same key, or a new one.

    On success the first becomes the second. When the training is refused, it vanishes; when something outside stops it
    (a full disk, an interrupt), it stays if there is a checkpoint in it to go on from.

    Raises:
        DiskError: The folder cannot be written.
    """
    locks: list[FileLock] = []

    def claim() -> Path:
        try:
            folder, lock = _claimed(output, key) or _created(output, name, key)
        except OSError as error:
            raise DiskError(output, reason_of(error), "a folder that can be written") from None
        locks.append(lock)
        return folder

    partial = in_the_first(claim)
    final = output / partial.name.removeprefix(PARTIAL)
    try:
        yield partial, final
        in_the_first(lambda: _finish(partial, final))
    except BaseException as error:
        refused = isinstance(error, SftevalError) and not isinstance(error, DiskError)
        if locks and (refused or newest_checkpoint(partial) is None):
            shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        for lock in locks:
            lock.release()


def _finish(partial: Path, final: Path) -> None:
    for leftover in (KEY, LOCK, PRECISION):
        (partial / leftover).unlink(missing_ok=True)
    partial.rename(final)


def _claimed(output: Path, key: str) -> tuple[Path, FileLock] | None:
    """Return the newest folder of a dead process with this key."""
    for folder in sorted(output.glob(f"{PARTIAL}*"), reverse=True):
        try:
            known = json.loads((folder / KEY).read_text(encoding="utf-8"))["key"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        lock = FileLock(folder / LOCK)
        if known == key:
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            return folder, lock
    return None


def _created(output: Path, name: str, key: str) -> tuple[Path, FileLock]:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = output / f"{PARTIAL}{name}-{stamp}-{secrets.token_hex(3)}"
    folder.mkdir(parents=True)
    lock = FileLock(folder / LOCK)
    lock.acquire()
    (folder / KEY).write_text(json.dumps({"key": key}), encoding="utf-8")
    return folder, lock


def newest_checkpoint(folder: Path) -> Resumed | None:
    """Return the newest whole checkpoint of a training's folder; None if there is none."""
    found = [resumed for path in folder.glob("checkpoint-*") if (resumed := _whole(path)) is not None]
    return max(found, key=lambda resumed: resumed.step, default=None)


def _whole(path: Path) -> Resumed | None:
    try:
        note = json.loads((path / COMPLETE).read_text(encoding="utf-8"))
        if any((path / name).stat().st_size != size for name, size in note["files"].items()):
            return None
        return Resumed(path, int(note["step"]), tuple(CurvePoint(**point) for point in note["curve"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def seal(path: Path, step: int, curve: Sequence[CurvePoint]) -> None:
    """Declare a checkpoint whole, once all its files are on disk, and remove the older ones.

    Raises:
        DiskError: The disk is full; the older checkpoint stays.
    """
    try:
        files = {}
        for file in sorted(path.iterdir()):
            if file.is_file():
                _to_disk(file)
                files[file.name] = file.stat().st_size
        note: dict[str, Any] = {"step": step, "files": files, "curve": [asdict(point) for point in curve]}
        draft = path / f".{COMPLETE}"
        draft.write_text(json.dumps(note), encoding="utf-8")
        _to_disk(draft)
        draft.replace(path / COMPLETE)
    except OSError as error:
        raise DiskError(path, reason_of(error), "room for a checkpoint") from None
    for other in path.parent.glob("checkpoint-*"):
        if other != path:
            shutil.rmtree(other, ignore_errors=True)


def _to_disk(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def clear_checkpoints(folder: Path, *, keep: Path | None = None) -> None:
    """Remove what is only needed to go on: all checkpoints but `keep`, and the best weights so far without `keep`."""
    for path in folder.glob("checkpoint-*"):
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)
    if keep is None:
        shutil.rmtree(folder / "sfteval-best", ignore_errors=True)
