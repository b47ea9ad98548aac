"""Two answers side by side in the terminal (rich): what changed is marked word by word.

Comes in: a flip as plain data. Goes out: a table. Model text is data: it is never read as markup, control characters
are shown as escapes, and long texts are cut.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from sfteval.report.rows import clip

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 800
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def side_by_side(flip: Mapping[str, Any], against: str) -> Table:
    """Return one flipped sample: the prompt above, the baseline's answer left, the candidate's right.

    Args:
        flip: From `report.rows`.
        against: What the baseline is called.
    """
    place = "/".join(part for part in (flip["suite"], flip["task"], flip["sample_id"]) if part)
    title = Text(f"{clip(place)}: {clip(flip['prompt'])}")
    table = Table(title=title, title_justify="left", title_style="italic", show_lines=False, expand=True)
    table.add_column(f"{against} ({flip['reference_score']:g})", ratio=1, overflow="fold")
    table.add_column(f"candidate ({flip['candidate_score']:g})", ratio=1, overflow="fold")
    table.add_row(*marked(visible(flip["reference_output"]), visible(flip["candidate_output"])))
    return table


def visible(text: str) -> str:
    """Return text with its line breaks, other control characters as escapes, cut in the middle."""
    shown = "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)
    half = LONGEST // 2
    return shown if len(shown) <= LONGEST else f"{shown[:half]} … {shown[-half:]}"


def marked(before: str, after: str) -> tuple[Text, Text]:
    """Return both texts; words that the other lacks are red on the left and green on the right."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    left, right = Text(), Text()
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        same = kind == "equal"
        left.append("".join(old[a:b]), style="" if same else "red underline")
        right.append("".join(new[c:d]), style="" if same else "green underline")
    return left, right
