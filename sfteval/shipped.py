"""Where the shipped suites and fixtures are: package data in a wheel, the repository's root in a checkout. Rank 0."""

from __future__ import annotations

from pathlib import Path

from sfteval.errors import Fault, InputError


def shipped(name: str) -> Path:
    """Return the folder or file `name`, such as "suites" or "fixtures/demo".

    Raises:
        InputError: the installation lacks it.
    """
    package = Path(__file__).resolve().parent
    for root in (package / "_data", package.parent):
        if (root / name).exists():
            return root / name
    raise InputError(Fault(str(package / "_data" / name), "nothing", "data shipped with sfteval", "Install it again"))
