"""Suites that are not evaluated because something that they require is missing, and what becomes of their gates.

Comes in: the files of a session. Goes out: a reason per gate. `missing: skip` leaves a gate not judged, and a family
without that member; `missing: fail` makes both not comparable.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sfteval.records import Suite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sfteval.records import Gate, SuiteFile


class Absent:
    """Why suites are not there, by name."""

    def __init__(self, files: Iterable[SuiteFile]) -> None:
        """Take all files of the session."""
        self._skipped: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        for file in files:
            if file.unmet and isinstance(file.suite, Suite) and file.suite.requires is not None:
                skips = file.suite.requires.missing == "skip"
                (self._skipped if skips else self._failed)[file.suite.suite] = "; ".join(file.unmet)

    def skipped(self, gate: Gate) -> str | None:
        """Return why a gate is not judged: its suite, or every member of its family, is left out."""
        reasons = {self._skipped.get(each.suite) for each in (gate.members or (gate,))}
        return None if None in reasons else "; ".join(sorted(reason for reason in reasons if reason))

    def failed(self, gate: Gate) -> str | None:
        """Return why a gate cannot be compared: what its suite, or a member's, requires is missing."""
        return next((self._failed[m.suite] for m in (gate.members or (gate,)) if m.suite in self._failed), None)

    def reduced(self, gate: Gate) -> Gate:
        """Return a family without the members that are left out."""
        return replace(gate, members=tuple(m for m in gate.members if m.suite not in self._skipped))

    def left_out(self, gate: Gate) -> list[str]:
        """Return what a family's verdict says of the members that are left out."""
        names = dict.fromkeys(m.suite for m in gate.members if m.suite in self._skipped)
        return [f"{name} is left out: {self._skipped[name]}" for name in names]
