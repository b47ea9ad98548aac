"""Generated ids in; the text, and whether a stop string is complete in it, out.

A stop string may begin and end inside tokens, so it is looked for in decoded text: in the decoded tail at each step,
and in the whole text only when the tail holds one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TAIL_TOKENS = 32


class StopFinder:
    """Looks for one row's stop strings.

    Args:
        stops: Non-empty strings; the earliest occurrence of any ends the text.
        decode: Ids to text.
        min_tokens: Strings that are complete within the first `min_tokens` tokens do not count.
    """

    def __init__(self, stops: Sequence[str], decode: Callable[[Sequence[int]], str], min_tokens: int) -> None:
        self._stops, self._decode, self._min_tokens = tuple(stops), decode, min_tokens
        self._longest = max((len(stop) for stop in stops), default=0)
        # A character may be several tokens (bytes), and the last token long: so many tokens hold any stop string.
        self._tail_tokens = TAIL_TOKENS + max((len(stop.encode("utf-8", "replace")) for stop in stops), default=0)
        self._settled = 0

    def cut(self, output: Sequence[int]) -> str | None:
        """Return the text before the earliest stop string, or None if there is none yet."""
        if not self._stops:
            return None
        if len(output) <= self._min_tokens:
            self._settled = len(self._decode(output)) if len(output) == self._min_tokens else 0
            return None
        if not any(stop in self._tail(output) for stop in self._stops):
            return None
        text = self._decode(output)
        found = [place for stop in self._stops if (place := text.find(stop, self._from(stop))) >= 0]
        return text[: min(found)] if found else None

    def _from(self, stop: str) -> int:
        return max(0, self._settled - len(stop) + 1)

    def _tail(self, output: Sequence[int]) -> str:
        # Twice the longest stop leaves room for what decoding from the middle gets wrong at the very start of the
        # tail (a leading space, half a character); tokens that decode to nothing make the tail grow.
        count = self._tail_tokens
        while True:
            text = self._decode(output[-count:])
            if count >= len(output) or len(text) >= 2 * self._longest + TAIL_TOKENS // 2:
                return text
            count *= 2
