"""Names and places: what a run is called, and where its files lie.

Comes in: a run id or suite name that a person or another process gave. Goes out: paths that cannot leave the store.

    <root>/.lock                    held while a run begins, is removed or promoted (moments)
    <root>/promotions.jsonl         see `promotions`
    <root>/<run id>/run.json        header: written first, so that a killed run is recognised
    <root>/<run id>/work/           while it runs: one lock and journal per writer, leases, one part per finished suite
    <root>/<run id>/samples.parquet, responses.parquet, manifest.json     at the end, in this order
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sfteval.errors import Fault, InputError
from sfteval.records import NAME_PATTERN

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

RESERVED = ("latest", "promoted", "none")
ROOT_LOCK = ".lock"
PROMOTIONS = "promotions.jsonl"
_SLUG_LENGTH = 24
_SUITE_LENGTH = 80
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SUITE = re.compile(NAME_PATTERN.strip("^$"))


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of one run."""

    path: Path

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def header(self) -> Path:
        """What is known when the run begins."""
        return self.path / "run.json"

    @property
    def manifest(self) -> Path:
        """Written last: its presence says that the run is whole."""
        return self.path / "manifest.json"

    @property
    def samples(self) -> Path:
        """All samples of a whole run."""
        return self.path / "samples.parquet"

    @property
    def verdicts(self) -> Path:
        """What the gates said of this run when it was the candidate; not there if it was none."""
        return self.path / "verdicts.json"

    @property
    def responses(self) -> Path:
        """All responses of a whole run, for reuse."""
        return self.path / "responses.parquet"

    @property
    def work(self) -> Path:
        """Everything that is gone once the run is whole."""
        return self.path / "work"

    @property
    def finishing(self) -> Path:
        """Lock of the process that finishes the run."""
        return self.work / "finish.lock"

    def part(self, suite: str) -> Path:
        """Samples of one finished suite."""
        return self.work / f"part-{checked_suite(suite)}.parquet"

    def lease(self, suite: str) -> Path:
        """Lock of the process that works on one suite."""
        return self.work / f"lease-{checked_suite(suite)}.lock"

    def writer_lock(self, writer: str) -> Path:
        """Lock that a writer holds as long as it lives."""
        return self.work / f"writer-{writer}.lock"

    def writer_locks(self) -> list[Path]:
        """Locks of all writers, living and dead."""
        return sorted(self.work.glob("writer-*.lock"))

    def leases(self) -> list[Path]:
        """Locks of all suites that ever were worked on."""
        return sorted(self.work.glob("lease-*.lock"))

    def journal(self, writer: str, volume: int) -> Path:
        """Journal of one writer; a new volume is begun after a failed write."""
        return self.work / f"journal-{writer}-{volume}.jsonl"

    def journals(self) -> list[Path]:
        """Journals of all writers, living and dead."""
        return sorted(self.work.glob("journal-*.jsonl"))


def run_files(root: Path, run_id: str) -> RunFiles:
    """Return the files of `run_id`. Raises InputError for an id that is no plain name."""
    if not is_run_id(run_id):
        fault = Fault(
            "run id",
            repr(run_id),
            "letters, digits, '.', '_' and '-' (at most 128, beginning with a letter or digit) and not "
            + ", ".join(RESERVED),
            "List the runs with: sfteval runs list",
        )
        raise InputError(fault)
    return RunFiles(root / run_id)


def is_run_id(text: str) -> bool:
    """Return True for a plain name that no reference word shadows."""
    return _RUN_ID.fullmatch(text) is not None and text not in RESERVED


def checked_suite(suite: str) -> str:
    """Return `suite`. Raises InputError for a name that could not be a suite's."""
    if _SUITE.fullmatch(suite) is None or len(suite) > _SUITE_LENGTH:
        fault = Fault("suite name", repr(suite), f"a name that matches {NAME_PATTERN}, at most {_SUITE_LENGTH} long")
        raise InputError(fault)
    return suite


def new_run_id(reference: str, now: datetime) -> str:
    """Return `YYYYmmdd-HHMMSS-<slug of the model>-<6 hex>`; `now` is in UTC."""
    return f"{now:%Y%m%d-%H%M%S}-{_slug(reference)}-{secrets.token_hex(3)}"


def _slug(reference: str) -> str:
    name = re.sub(r"@https?://.*", "", reference).removesuffix(".gguf").removesuffix("/checkpoint")
    words = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in re.split(r"[/\\:]+", name)]
    last = next((word for word in reversed(words) if word), "model")
    return last[:_SLUG_LENGTH].strip("-")
