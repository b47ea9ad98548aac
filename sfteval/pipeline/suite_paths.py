"""Which files are sfteval's. Imports nothing: pytest asks for every file of every project."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SUITE_SUFFIX = ".suite.yaml"
FAMILIES_NAME = "families.yaml"


def is_suite_path(path: Path) -> bool:
    """Say whether sfteval collects this file."""
    return path.name.endswith(SUITE_SUFFIX) or path.name == FAMILIES_NAME
