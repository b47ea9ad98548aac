"""One process's hand on a run that is being made.

Comes in: responses, batch by batch, and samples, suite by suite. Goes out: a whole run. Several writers (xdist
workers) may share a run: each has its own journal, a suite is leased to one of them, and whoever finishes first
finishes for all.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sfteval.errors import StoreError
from sfteval.records import Manifest, MetricInfo, Response, Run, Sample
from sfteval.store.columns import SAMPLES, read_metadata, read_records, read_table, write_rows
from sfteval.store.disk import discard, replace_file
from sfteval.store.documents import moment
from sfteval.store.journal import Journal, read_journals
from sfteval.store.locks import is_held, take
from sfteval.store.whole import read_manifest, read_responses, read_run, write_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from filelock import FileLock

    from sfteval.store.documents import Header
    from sfteval.store.layout import RunFiles

_METRICS_KEY = "sfteval.metrics"


class RunWriter:
    """Made by `RunStore.begin`; a context manager that lets go of the run and never deletes what it recorded.

    Attributes:
        run_id: The run's name.
        path: The run's folder.
        resumed: True when the run was there before.
    """

    def __init__(self, files: RunFiles, header: Header, *, resumed: bool) -> None:
        """Take the writer's lock. The store's own lock must be held."""
        self.run_id = files.run_id
        self.path: Path = files.path
        self.resumed = resumed
        self._files = files
        self._header = header
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._journal = Journal(files, name)
        self._lock: FileLock | None = None
        if not files.manifest.exists():
            self._lock = take(files.writer_lock(name), wait=True)

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the run."""
        self.close()

    def close(self) -> None:
        """Let go of the run: another process may resume it, if it is not finished."""
        self._journal.close()
        if self._lock is not None:
            lock, self._lock = self._lock, None
            lock.release()
            with suppress(OSError):
                Path(lock.lock_file).unlink()

    def known(self) -> dict[str, Response]:
        """Return every response that this run has stored, by `response_key`, from all its writers."""
        responses = read_journals(self._files.journals()).responses
        return read_responses(self._files) if self._files.manifest.exists() else responses

    def record(self, responses: Sequence[Response]) -> None:
        """Store a batch on the disk before returning; failures are no answers and are left out. Raises StoreError."""
        self._check_open()
        self._journal.append([response for response in responses if response.failure is None])

    @contextmanager
    def lease(self, suite: str, *, wait: bool) -> Iterator[bool]:
        """Be the only worker on a suite; False, never with `wait`, when another living one is or the run is whole.

        Ask `done` again once it is yours: meanwhile another worker may have finished the suite, or the run.
        """
        lock = self._take_unless_whole(self._files.lease(suite), wait=wait)
        try:
            yield wait or lock is not None
        finally:
            if lock is not None:
                lock.release()

    def put_samples(self, suite: str, samples: Sequence[Sample], metrics: Mapping[str, MetricInfo]) -> None:
        """Store all samples of one suite at once: the suite is then done. `metrics` maps check names to what they are.

        Raises StoreError when the disk refuses, ValueError for a sample of another suite.
        """
        strange = next((sample.suite for sample in samples if sample.suite != suite), None)
        if strange is not None:
            msg = f"a sample of suite {strange!r} among those of {suite!r}"
            raise ValueError(msg)
        self._check_open()
        path = self._files.part(suite)
        note = {_METRICS_KEY: json.dumps({name: asdict(info) for name, info in metrics.items()})}
        replace_file(path, lambda file: write_rows(file, SAMPLES, samples, note))

    def done(self, suite: str) -> bool:
        """Return True when the suite's samples are stored."""
        if self._files.part(suite).exists():
            return True
        return self._files.manifest.exists() and suite in read_manifest(self._files).suites

    def samples(self, suite: str) -> tuple[Sample, ...]:
        """Return a done suite's samples, in the order in which they were put. Raises StoreError."""
        part = self._part_unless_whole(suite)
        if part is not None:
            return part[0]
        return tuple(sample for sample in read_run(self._files).samples if sample.suite == suite)

    def metrics(self, suite: str) -> dict[str, MetricInfo]:
        """Return what `put_samples` was told about a done suite's checks. Raises StoreError."""
        part = self._part_unless_whole(suite)
        if part is not None:
            return part[1]
        metrics = read_manifest(self._files).metrics
        return {name.removeprefix(f"{suite}/"): metrics[name] for name in metrics if name.startswith(f"{suite}/")}

    def finish(self, manifest: Manifest) -> Run:
        """Make the run whole and let go of it. Where another writer has finished it already, return that run.

        Every suite of the manifest must be done; its metrics are completed from what `put_samples` was told, as
        "suite/check". Raises StoreError (the run stays resumable), ValueError for another run's manifest.
        """
        self._check(manifest)
        lock = self._take_unless_whole(self._files.finishing, wait=True)
        try:
            whole = self._files.manifest.exists()
            run = read_run(self._files) if whole else self._write(manifest)
        finally:
            if lock is not None:
                lock.release()
        self.close()
        discard(self._files.work)
        return run

    def _check_open(self) -> None:
        if self._lock is None or self._files.manifest.exists():
            found, expected = "a run that is finished or let go", "a run being written"
            raise StoreError(self.path, found, expected, "Begin the run again")

    def _check(self, manifest: Manifest) -> None:
        moment(manifest.finished)
        header = self._header
        expected = (header.run_id, header.identity, header.format)
        found = (manifest.run_id, (manifest.fingerprint, manifest.model.template, manifest.plan), manifest.format)
        if found != expected:
            msg = f"the manifest is of {found}, the run of {expected}"
            raise ValueError(msg)

    def _write(self, manifest: Manifest) -> Run:
        leased = [path.stem.removeprefix("lease-") for path in self._files.leases() if is_held(path)]
        busy = [suite for suite in leased if not self._files.part(suite).exists()]
        if busy:
            found = f"suite {', '.join(busy)} being worked on by a live process"
            raise StoreError(self.path, found, "every suite done", "Wait for it to end")
        samples: list[Sample] = []
        metrics: dict[str, MetricInfo] = {}
        for suite in manifest.suites:
            rows, notes = self._part(suite)
            samples += rows
            metrics |= {f"{suite}/{name.removeprefix(f'{suite}/')}": info for name, info in notes.items()}
        responses = read_journals(self._files.journals()).responses
        whole = replace(manifest, metrics=metrics | dict(manifest.metrics))
        return write_run(self._files, samples, list(responses.values()), whole)

    def _take_unless_whole(self, path: Path, *, wait: bool) -> FileLock | None:
        if self._files.manifest.exists():
            return None
        try:
            return take(path, wait=wait)
        except StoreError:
            if self._files.manifest.exists():  # another writer finished the run and removed the lock's folder
                return None
            raise

    def _part_unless_whole(self, suite: str) -> tuple[tuple[Sample, ...], dict[str, MetricInfo]] | None:
        if self._files.manifest.exists():
            return None
        try:
            return self._part(suite)
        except StoreError:
            if self._files.manifest.exists():  # another writer finished the run meanwhile
                return None
            raise

    def _part(self, suite: str) -> tuple[tuple[Sample, ...], dict[str, MetricInfo]]:
        path = self._files.part(suite)
        if not path.exists():
            raise StoreError(path, f"no samples of suite {suite}", "every suite of the plan done", "Run it again")
        do = "Remove this file and run again: the suite is scored anew from its stored responses"
        table = read_table(path, do)
        try:
            notes = json.loads(read_metadata(table)[_METRICS_KEY])
            metrics = {name: MetricInfo(**info) for name, info in notes.items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(path, f"metrics that do not fit ({error})", "what `put_samples` wrote", do) from error
        return tuple(read_records(table, SAMPLES, path, do)), metrics
