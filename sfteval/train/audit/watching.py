"""A progress bar of the audit where a person looks; nothing where none does."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Watch = Callable[[str, int, int | None], None]


@contextmanager
def watching(*, live: bool) -> Iterator[Watch]:
    """Yield a function `watch(what, rows done, rows in all)`; None for all while nobody knows."""
    console = Console(stderr=True)
    if not (live and console.is_terminal):
        yield lambda what, done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda what, done, total: bars.update(task, description=what, completed=done, total=total)
