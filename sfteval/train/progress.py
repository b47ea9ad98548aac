"""Live progress of a training in the terminal: loss, rate, tokens per second, time left. Silent when piped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

if TYPE_CHECKING:
    from sfteval.train.trained import CurvePoint


class ProgressBar(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """One line, redrawn by rich's own clock and not at every step."""

    def __init__(self, curve: list[CurvePoint], name: str, console: Console | None = None) -> None:
        """Read from the trainer's growing curve."""
        self.curve, self.tokens = curve, 0
        self.started = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}"),
        )
        console = console or Console(stderr=True)
        self.bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task(name, total=None, now="")

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show the bar."""
        self.started = time.monotonic()
        self.bar.update(self.task, total=state.max_steps, completed=state.global_step)
        self.bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance by one step."""
        point = self.curve[-1]
        self.tokens += point.tokens
        speed = self.tokens / max(time.monotonic() - self.started, 1e-9)
        self.bar.update(
            self.task, advance=1, now=f"loss {point.loss:.3f}  rate {point.rate:.1e}  {speed:,.0f} tokens/s"
        )

    def close(self) -> None:
        """Leave the last state on the screen; also after a failure."""
        self.bar.stop()
