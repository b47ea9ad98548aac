"""A look at a training model in the terminal (rich): each gate against base, with its interval."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from sfteval.records import Look

COLOURS = {"broken": "bold red", "over": "yellow", "inside": "green", "better": "green", "open": ""}
WORDS = {
    "broken": "proven broken",
    "over": "over, not proven",
    "inside": "inside",
    "better": "gain proven",
    "open": "not proven",
}


def look_table(look: Look) -> Table:
    """Return the table of one look."""
    title = f"step {look.step}" + (", the best so far" if look.best else "")
    table = Table(title=Text(title), title_justify="left", caption=f"{look.seconds:.1f} s", caption_justify="right")
    table.add_column("gate")
    for name in ("n", "base", "now", "difference", "interval"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for gate in look.gates:
        table.add_row(
            Text(gate.gate),
            str(gate.n),
            f"{gate.base:.3f}",
            f"{gate.now:.3f}",
            f"{gate.difference:+.3f}",
            f"{gate.low:+.3f} … {gate.high:+.3f}",
            Text(WORDS[gate.state], style=COLOURS[gate.state]),
        )
    return table


def show_warning(said: str) -> None:
    """Print what is probably a mistake on stderr."""
    sys.stderr.write(f"sfteval: warning: {said}\n")


def show_look(look: Look) -> None:
    """Print a look on stderr, above a live bar if there is one; one line per look where no person looks."""
    console = Console(file=sys.stderr)
    with console.capture() as captured:
        if console.is_terminal:
            console.print(look_table(look))
        else:
            states = (f"{gate.gate} {gate.difference:+.3f} ({WORDS[gate.state]})" for gate in look.gates)
            console.print(Text(f"step {look.step}: {', '.join(states)}"), soft_wrap=True)
    # Through the stream and not the console: a live bar of another console has put itself in front of the stream.
    sys.stderr.write(captured.get())
