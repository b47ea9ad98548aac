"""Promote a run: the joint between a verdict that ships and the store's next `previous`."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sfteval.store import RunStore

if TYPE_CHECKING:
    from pathlib import Path

    from sfteval.store import Promotion


def promote(runs_dir: Path, run_id: str, *, because: str, who: str | None = None) -> Promotion:
    """Make `run_id` the next `previous`, recording who, when and why.

    Raises:
        InputError: there is no such run.
        StoreError: the run is not complete, or the history cannot be written.
    """
    store = RunStore(runs_dir)
    return store.promote(store.resolve(run_id), who=who or current_user(), because=because, now=datetime.now(UTC))


def current_user() -> str:
    """Return who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
