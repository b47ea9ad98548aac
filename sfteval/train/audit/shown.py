"""Tokens of a row with their weight in the loss, for people to look at.

Comes in: an encoding. Goes out: pieces of text. Tokens that are no whole characters are shown together with the ones
that complete them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sfteval.train.masks import Encoded
    from sfteval.train.template import ChatTemplate

# A character takes at most four bytes, so four byte tokens.
_LONGEST = 4


def pieces_of(item: Encoded, template: ChatTemplate) -> list[dict[str, Any]]:
    """Return `{"ids", "text", "weight"}` per token; weight 0 is outside the loss."""
    weights = item.weights
    pieces: list[dict[str, Any]] = []
    place = 0
    while place < len(item.ids):
        size = 1
        while "\ufffd" in template.decode(item.ids[place : place + size]) and size < _LONGEST:
            size += 1
        if "\ufffd" in (text := template.decode(item.ids[place : place + size])):
            size, text = 1, template.decode(item.ids[place : place + 1])
        pieces.append({"ids": list(item.ids[place : place + size]), "text": text, "weight": weights[place]})
        place += size
    return pieces
