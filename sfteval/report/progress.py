"""Progress of long work: a rich bar per label with rate and time left where a person looks, nothing where none does."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

    Watch = Callable[[str, int, int], None]


@contextmanager
def progress(*, live: bool | None = None) -> Iterator[Watch]:
    """Yield a function `watch(label, done, total)`.

    Args:
        live: Draw bars on stderr; None: only if stderr is a terminal.
    """
    stream = sys.__stderr__ or sys.stderr
    if not (stream.isatty() if live is None else live):
        yield lambda label, done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(file=stream), transient=False) as bars:

        def watch(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield watch
