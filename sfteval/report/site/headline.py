"""The verdict in words: what a release manager reads first.

Comes in: the rows of a release and its exit code. Goes out: one sentence, and the figures behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.report.rows import points
from sfteval.report.terminal import WORDS, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHORT = {0: "Ship", 1: "Do not ship", 20: "Open", 21: "Broke"}
SHOWN = 3


def short(status: int) -> str:
    """Return the verdict in a word or two."""
    return SHORT.get(status, f"pytest ended with {status}")


def headline(rows: Sequence[Mapping[str, Any]], status: int) -> str:
    """Return the verdict with what decided it and what it was bought for.

    For example: "Do not ship: tiny_facts acc −6.1 points [−8.9, −3.4] against base; json valid_json improved +31.0."
    """
    parts = [_objection(row) for row in _worst(rows)] or [WORDS.get(status, "").split(": ", 1)[-1].rstrip(".")]
    parts += [f"{name_of(row)} improved {points(_better(row))}" for row in _gains(rows)]
    return f"{short(status)}: {'; '.join(part for part in parts if part)}."


def _worst(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what objects, the worst first, each metric once."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in sorted((row for row in rows if row["blocks"]), key=lambda row: (-row["exit_code"], _better(row))):
        found.setdefault(name_of(row), row)
    return list(found.values())[:SHOWN]


def _gains(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the metrics that are proven to be better than base, the largest gain first, each once."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in sorted(rows, key=_better, reverse=True):
        proven = row["against"] == "base" and row["difference"] is not None and _low(row) > 0 and not row["family"]
        if proven:
            found.setdefault(name_of(row), row)
    return list(found.values())[:SHOWN]


def _objection(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return f"{name_of(row)}: {'; '.join(row['reasons'])}"
    interval = f"[{points(row['low'])}, {points(row['high'])}]"
    return f"{name_of(row)} {points(row['difference'])} points {interval} against {row['against']}"


def _better(row: Mapping[str, Any]) -> float:
    if row["difference"] is None:
        return 0.0
    return float(row["difference"] if row["higher_is_better"] else -row["difference"])


def _low(row: Mapping[str, Any]) -> float:
    bound = row["low"] if row["higher_is_better"] else row["high"]
    return 0.0 if bound is None else float(bound if row["higher_is_better"] else -bound)
