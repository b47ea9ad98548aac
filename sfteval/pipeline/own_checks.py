"""Where users' own checks come from: installed packages, and conftest.py files when pytest is not the one who runs.

Comes in: suite paths. Goes out: nothing; the checks enter the catalog when their modules are imported.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING

from sfteval.checks import load_entry_points
from sfteval.errors import Fault, InputError, SftevalError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CONFTEST = "conftest.py"
MARK = "sfteval"


@functools.cache
def load_installed() -> None:
    """Import the checks of installed packages, once. Raises InputError for one that cannot be imported."""
    load_entry_points()


def load_conftests(suites: Iterable[Path], root: Path) -> None:
    """Run the conftest.py files from `root` down to the suites that mention sfteval, as pytest would have done.

    Raises:
        InputError: a conftest.py that cannot be run.
    """
    folders: dict[Path, None] = {}
    for suite in suites:
        place = suite.resolve()
        folder = place if place.is_dir() else place.parent
        above = [folder, *folder.parents]
        inside = [each for each in above if each.is_relative_to(root.resolve())]
        folders |= dict.fromkeys(reversed(inside or [folder]))
    for folder in folders:
        path = folder / CONFTEST
        if path.is_file() and MARK in path.read_text(encoding="utf-8", errors="replace"):
            _run(path)


@functools.cache
def _run(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(f"sfteval_conftest_{abs(hash(path))}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SftevalError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary: a user's own code may raise anything
        found = f"{type(error).__name__}: {error}"
        raise InputError(Fault(str(path), found, "a conftest.py that can be imported")) from None
