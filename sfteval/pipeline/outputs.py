"""What a session leaves behind: verdicts beside the run, files that were asked for, the CI job's summary, a promotion.

Comes in: all rows of the session and its exit code. Under xdist only the controller calls this, once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import EXIT_SHIP, DiskError, reason_of
from sfteval.pipeline.promotion import promote
from sfteval.pipeline.site import build_site
from sfteval.report.files import write_summary, write_verdicts
from sfteval.report.github import workflow_commands
from sfteval.report.markdown import summary
from sfteval.store import RunStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sfteval.pipeline.settings import Settings

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
ACTIONS = "GITHUB_ACTIONS"
WORKSPACE = "GITHUB_WORKSPACE"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for; None and False leave it out."""

    verdicts: str | None = None
    report: str | None = None
    summary: str | None = None
    promote_on_pass: bool = False


def leave_behind(rows: Sequence[Mapping[str, Any]], status: int, settings: Settings, wanted: Wanted) -> None:
    """Write everything that this session leaves.

    Raises:
        DiskError, StoreError: a place that cannot be written.
    """
    RunStore(settings.runs_dir).put_verdicts(rows[0]["runs"]["candidate"], rows, status)
    if wanted.verdicts:
        write_verdicts(wanted.verdicts, rows, status)
    if wanted.report:
        build_site(settings.runs_dir, Path(wanted.report))
    text = summary(rows, status)
    if wanted.summary:
        write_summary(wanted.summary, text)
    if os.environ.get(STEP_SUMMARY):
        _append(Path(os.environ[STEP_SUMMARY]), text)
    if wanted.promote_on_pass and status == EXIT_SHIP:
        promote(settings.runs_dir, rows[0]["runs"]["candidate"], because="pytest --promote-on-pass")


def github_lines(rows: Sequence[Mapping[str, Any]], root: Path) -> Iterator[str]:
    """Yield GitHub's annotations when this runs in GitHub Actions, else nothing."""
    if os.environ.get(ACTIONS) == "true":
        yield from workflow_commands(rows, root, Path(os.environ.get(WORKSPACE) or root))


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise DiskError(path, reason_of(error), "a place that can be written") from None
