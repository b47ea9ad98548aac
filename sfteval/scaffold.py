"""`sfteval init`: put the shipped suites and a configuration into a user's project. Never overwrites. Rank 4."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from sfteval.errors import Fault, InputError, reason_of
from sfteval.shipped import shipped

if TYPE_CHECKING:
    from pathlib import Path

_HIDDEN = ("__pycache__", "*.pyc", ".*")


def scaffold(folder: Path) -> list[str]:
    """Copy suites, a training configuration with example data, and settings into `folder`.

    Returns:
        One line per file: written, or kept because it was there.

    Raises:
        InputError: `folder` is a file or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(Fault(str(folder), "a file", "a folder for the project"))
    project = shipped("fixtures/project")
    wanted = [(shipped("suites"), folder / "suites"), (project, folder)]
    lines: list[str] = []
    try:
        for source, target in wanted:
            lines += _copy(source, target)
    except OSError as error:
        reason = reason_of(error)
        raise InputError(Fault(str(error.filename or folder), reason, "a folder that can be written")) from None
    return [*lines, "Next: sfteval train finance.yaml, then pytest suites/ --candidate models/<the new folder>"]


def _copy(source: Path, target: Path) -> list[str]:
    lines = []
    skipped = shutil.ignore_patterns(*_HIDDEN)
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        relative = path.relative_to(source)
        if skipped(str(path.parent), [path.name]) or "__pycache__" in relative.parts:
            continue
        place = target / relative
        if place.exists():
            lines.append(f"kept    {place}")
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        lines.append(f"written {place}")
    return lines
