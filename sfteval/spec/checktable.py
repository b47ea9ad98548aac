"""What the loader needs to know about checks, without importing them.

Comes in: the `checks:` block of a suite as written. Goes out: the model of each check's parameters, and the faults
that only the checks themselves can see. `sfteval.checks.CHECK_TABLE` implements it; whoever joins the stages hands it
over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from sfteval.yamlfile import FieldPath


class CheckFault(Protocol):
    """One mistake in a `checks:` block; `path` starts at the check's name."""

    @property
    def path(self) -> FieldPath:
        """Field at fault, such as `("valid", "json_schema")`."""
        ...

    @property
    def found(self) -> str:
        """What is there."""
        ...

    @property
    def expected(self) -> str:
        """What should be there."""
        ...

    @property
    def do(self) -> str:
        """What to do about it, "" if there is nothing to add."""
        ...


class CheckTable(Protocol):
    """The table of check kinds, by the head key that names them in YAML."""

    def names(self) -> tuple[str, ...]:
        """Return every head key."""
        ...

    def params(self, check: Mapping[str, Any]) -> type[BaseModel] | None:
        """Return the strict model of one check's mapping, None when no key of it is a head."""
        ...

    def files(self, checks: Mapping[str, Mapping[str, Any]]) -> Mapping[FieldPath, str]:
        """Return the files that checks with valid parameters name, as written, by field path."""
        ...

    def repeats_needed(self, checks: Mapping[str, Mapping[str, Any]]) -> Mapping[FieldPath, int]:
        """Return how many repeats of a prompt valid checks need, by the field that says so."""
        ...

    def examine(self, checks: Mapping[str, Mapping[str, Any]], folder: Path) -> Sequence[CheckFault]:
        """Return the faults between checks with valid parameters: siblings, cycles, unreadable schemas."""
        ...

    def own_checks(
        self, checks: Mapping[str, Mapping[str, Any]], row: Mapping[str, Any]
    ) -> Mapping[FieldPath, Mapping[str, Any]]:
        """Return the checks that a row brings itself, by their path inside the row."""
        ...

    def examine_row(self, checks: Mapping[str, Mapping[str, Any]], row: Mapping[str, Any]) -> Sequence[CheckFault]:
        """Return what one sample row lacks for these checks; paths start at the row."""
        ...

    def schemas(self) -> Mapping[str, dict[str, Any]]:
        """Return the JSON Schema of each kind's parameters by head key."""
        ...
