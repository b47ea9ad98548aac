"""What an answer shows whatever was asked: for the diagnosis, by the same rules as the checks of hygiene.

Comes in: a text and why it ended. Goes out: `Symptoms`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.checks.hygiene import LAST_WORDS, ROLE_LINE, SPECIAL_TOKEN, WORD, longest_loop
from sfteval.checks.json_text import NotJsonError, read_json
from sfteval.checks.languages import language_of
from sfteval.records import Symptoms, Wrapping

if TYPE_CHECKING:
    from collections.abc import Collection

    from sfteval.records import FinishReason

LOOP_TIMES = 4
ENOUGH_WORDS = 6
"""Fewer words than this say nothing of the language."""
READ = 20_000
"""Characters of an answer that are looked at."""


def symptoms_of(text: str, finish: FinishReason | None, recited: Collection[str] = ()) -> Symptoms:
    """Return what one answer shows.

    Args:
        text: The answer.
        finish: Why it ended, if anyone knows.
        recited: Training answers, stripped.
    """
    part = text[:READ]
    words = WORD.findall(text[-20 * LAST_WORDS :].casefold())[-LAST_WORDS:]
    return Symptoms(
        finish=finish,
        words=len(words),
        empty=not text.strip(),
        loop=longest_loop(words, LOOP_TIMES) != (0, 0),
        leak=bool(SPECIAL_TOKEN.search(part) or ROLE_LINE.search(part)),
        wrapping=wrapping_of(part),
        language=(language_of(part) or "") if len(words) >= ENOUGH_WORDS else "",
        recited=text.strip() in recited,
        text=text,
    )


def wrapping_of(text: str) -> Wrapping:
    """Return how a text holds a JSON object or list."""
    for wrapping, options in (
        (Wrapping.BARE, {}),
        (Wrapping.FENCED, {"allow_fence": True}),
        (Wrapping.IN_PROSE, {"first_object": True}),
    ):
        try:
            if isinstance(read_json(text, **options), (dict, list)):
                return wrapping
        except NotJsonError:
            continue
    return Wrapping.NONE
