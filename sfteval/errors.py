"""The exception tree: every way in which sfteval tells a person that something is wrong.

Comes in: nothing. Goes out: exceptions that carry *where* it is, what was *found*, what was *expected* and what to
*do*. `cli` and `plugin` print `str(error)` without a traceback and exit with `error.exit_code`.

Rank 0: imports nothing of the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EXIT_SHIP = 0
EXIT_DO_NOT_SHIP = 1
EXIT_USAGE = 2
EXIT_OPEN = 20
EXIT_BROKE = 21


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in something that a person wrote.

    Attributes:
        where: File (and field) at fault.
        found: What is there.
        expected: What should be there.
        do: What to do about it, a near-miss suggestion first where there is one.
        line: 1-based line, 0 if the fault has none.
        column: 1-based column, 0 if the fault has none.
    """

    where: str
    found: str
    expected: str
    do: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return `where:line:column: found …; expected …. Do …` on one line."""
        place = self.where
        if self.line:
            place += f":{self.line}:{self.column}" if self.column else f":{self.line}"
        text = f"{place}: found {self.found}; expected {self.expected}"
        return f"{text}. {self.do}" if self.do else text


def reason_of(error: Exception) -> str:
    """Return the system's words for what went wrong, where the exception has any, else its own."""
    return getattr(error, "strerror", None) or str(error)


class SftevalError(Exception):
    """Root of the tree. `exit_code` is what a command ends with."""

    exit_code = EXIT_USAGE


class InputError(SftevalError):
    """Something that a person wrote or named is wrong; all faults of a file at once."""

    def __init__(self, faults: Fault | Sequence[Fault]) -> None:
        """Take one fault or several."""
        self.faults: tuple[Fault, ...] = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ModelError(InputError):
    """A model reference that cannot be resolved or loaded."""


class TaskError(InputError):
    """An lm-eval task that is unknown or cannot be loaded."""


class StoreError(SftevalError):
    """A stored run that is not what was asked for: incomplete, damaged, of a newer format, held by another process."""

    def __init__(self, path: Path | str, found: str, expected: str, do: str = "") -> None:
        """Name the path, what was found there, what was expected, what to do."""
        self.fault = Fault(str(path), found, expected, do)
        super().__init__(str(self.fault))


class DiskError(StoreError):
    """Something could not be written (full disk, no permission); nothing that was stored is lost."""


class BaselineMissingError(SftevalError):
    """A baseline (base or previous) was named or needed and is not there. Never a skip."""

    exit_code = EXIT_BROKE


class BaselineBrokenError(BaselineMissingError):
    """A baseline's run is there and cannot be used: damaged, incomplete, the candidate's own, or from the future."""


class EngineError(SftevalError):
    """The engine could not do its work (out of memory at the smallest budget, a broken backend)."""

    exit_code = EXIT_BROKE


class TrainingError(SftevalError):
    """Training was refused or stopped; the message names the defect."""

    exit_code = EXIT_BROKE


class AuditError(SftevalError):
    """Training data that breaks a budget; the message says which, by how much and where."""


class MissingExtraError(SftevalError):
    """An optional dependency is missing; the message says which extra brings it."""

    def __init__(self, package: str, extra: str) -> None:
        """Name the package and the extra that brings it."""
        super().__init__(f"{package} is not installed; run: pip install 'sfteval[{extra}]'")
