"""Writes that are whole or absent, and disk errors as one message.

Comes in: paths and bytes. Goes out: files that survive a power cut, or a `StoreError` that says what to do.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from sfteval.errors import DiskError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RESUME = "Free or mend the disk and run the same command again: the run stays resumable, what was stored is kept"


@contextmanager
def writing(path: Path, do: str = RESUME) -> Iterator[None]:
    """Turn an OSError (full disk, no permission) into a DiskError that names `path`."""
    try:
        yield
    except OSError as error:
        raise DiskError(path, _reason(error), "a disk that takes the write", do) from error


@contextmanager
def reading(path: Path, do: str) -> Iterator[None]:
    """Turn an OSError into a StoreError that names `path`."""
    try:
        yield
    except OSError as error:
        raise StoreError(path, _reason(error), "a readable file", do) from error


def _reason(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return f"{error.strerror or error} ({name})"


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte of `data`; os.write may take less than it is given."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a whole file by atomic rename; on failure the old file stays. Raises StoreError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with writing(path):
        try:
            with draft.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make names in a folder survive a power cut (nothing to do on Windows, which cannot open folders)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a folder; what cannot be removed now is left for the next sweep."""
    shutil.rmtree(path, ignore_errors=True)
