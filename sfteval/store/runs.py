"""The run store: a folder of runs, and which of them was promoted.

Comes in: a folder. Goes out: writers for new runs, whole runs as records, and everything that is wrong with the rest.
Nothing is created before something is written; reading takes no lock that another process waits for.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, StoreError
from sfteval.records import RUN_FORMAT
from sfteval.store.disk import discard, sync_folder, writing
from sfteval.store.documents import Header, header_document, moment, read_document, read_header, write_document
from sfteval.store.journal import read_journals
from sfteval.store.layout import PROMOTIONS, RunFiles, is_run_id, new_run_id, run_files
from sfteval.store.locks import is_held, root_lock
from sfteval.store.promotions import Promotion, make_promotion, read_promotions, write_promotions
from sfteval.store.references import age, is_ahead, match, near, newest, promoted_id
from sfteval.store.whole import check_files, read_manifest, read_responses, read_run
from sfteval.store.writer import RunWriter

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from sfteval.records import Manifest, ModelIdentity, Response, Run

_NEW, _REMOVED = ".new-", ".removed-"


class RunStore:
    """Runs under one folder."""

    def __init__(self, root: Path) -> None:
        """Name the folder; it is created with the first run."""
        self.root = root

    def begin(self, model: ModelIdentity, plan: str, *, run_id: str | None = None) -> RunWriter:
        """Resume the newest incomplete run of the same model, template and plan that nobody holds, or begin one.

        With `run_id`, join or create exactly that run, which other processes may be writing too (and may have
        finished: then everything is done). Raises StoreError, InputError for an impossible `run_id`.
        """
        now = datetime.now(UTC)
        files = run_files(self.root, run_id or new_run_id(model.reference, now))
        header = Header(files.run_id, model, plan, now.isoformat())
        with root_lock(self.root):
            self._sweep()
            found = self._joinable(files, header) if run_id else self._resumable(header)
            if found is None:
                self._create(files, header)
                return RunWriter(files, header, resumed=False)
            return RunWriter(*found, resumed=True)

    def load(self, run_id: str) -> Run:
        """Return a complete run. Raises StoreError with the reason why there is none."""
        return read_run(self._complete(run_id))

    def manifests(self) -> list[Manifest]:
        """Return the manifests of the complete runs, oldest first; `problems` reports unreadable ones."""
        manifests = []
        for files in self._runs():
            if files.manifest.exists():
                with suppress(StoreError):
                    manifests.append(read_manifest(files))
        return sorted(manifests, key=age)

    def problems(self) -> list[Fault]:
        """Return what is wrong with the runs that are incomplete, unreadable or from the future, by run id."""
        return [fault for files in self._runs() for fault in _problems(files)]

    def resolve(self, reference: str, besides: Collection[str] = ()) -> str:
        """Return the full id for an id, its unique beginning, `latest` (which is none of `besides`) or `promoted`.

        An incomplete run resolves too; `load` says what is wrong with it. Raises InputError with near misses,
        BaselineMissingError when nothing was finished or promoted.
        """
        if reference == "latest":
            return newest([found for found in self.manifests() if found.run_id not in besides], self.root)
        if reference == "promoted":
            return promoted_id(self.promoted(), self._ids(), self.root)
        return match(reference, self._ids(), self.root)

    def has(self, reference: str) -> bool:
        """Tell whether `reference` is the full id of a run, complete or not."""
        return is_run_id(reference) and RunFiles(self.root / reference).header.exists()

    def new_id(self, reference: str) -> str:
        """Return an id for a run of the model `reference`, for processes that will `begin` it together."""
        return new_run_id(reference, datetime.now(UTC))

    def put_verdicts(self, run_id: str, rows: Sequence[Mapping[str, Any]], exit_code: int) -> None:
        """Keep what the gates said of a candidate's run. Raises StoreError."""
        files = self._complete(run_id)
        with writing(files.verdicts, "Free or mend the disk; the run itself is whole"):
            write_document(files.verdicts, {"format": RUN_FORMAT, "exit_code": exit_code, "gates": list(rows)})

    def judgement(self, run_id: str) -> tuple[int, list[dict[str, Any]]]:
        """Return the exit code and rows that the gates gave a run. Raises StoreError when nobody judged it."""
        files = self._complete(run_id)
        if not files.verdicts.exists():
            do = "Judge it with: pytest suites/ --candidate MODEL"
            raise StoreError(files.verdicts, "no verdicts", "a run that gates have judged", do)
        document = read_document(files.verdicts, "Judge the run again")
        return document["exit_code"], document["gates"]

    def verdicts(self, run_id: str) -> list[dict[str, Any]]:
        """Return what the gates said of a run. Raises StoreError when nobody judged it."""
        return self.judgement(run_id)[1]

    def promote(self, run_id: str, *, who: str, because: str, now: datetime) -> Promotion:
        """Make a complete run what later candidates are compared with. Raises StoreError, InputError."""
        promotion = make_promotion(read_run(self._complete(run_id)).manifest, who, because, now)
        with root_lock(self.root):
            write_promotions(self.root / PROMOTIONS, [*self.promotions(), promotion])
        return promotion

    def promoted(self) -> Promotion | None:
        """Return the newest promotion, None if there never was one. Raises StoreError."""
        return next(reversed(self.promotions()), None)

    def promotions(self) -> list[Promotion]:
        """Return the history of promotions, oldest first. Raises StoreError."""
        return read_promotions(self.root / PROMOTIONS)

    def remove(self, run_id: str, *, force: bool = False) -> None:
        """Remove a run, complete or not. Refuses the promoted run unless `force`, and always one being written."""
        files = self._existing(run_id)
        with root_lock(self.root):
            promotion = None if force else self.promoted()
            if promotion is not None and promotion.run_id == run_id:
                raise StoreError(files.path, "the promoted run", "another one", "Promote another first, or use --force")
            if _held(files):
                raise StoreError(files.path, "a run that a live process writes", "one at rest", "Wait for the process")
            grave = self.root / f"{_REMOVED}{secrets.token_hex(4)}"
            with writing(files.path, "Mend the permissions and try again"):
                files.path.rename(grave)
                sync_folder(self.root)
            discard(grave)

    def responses(self, fingerprint: str) -> dict[str, Response]:
        """Return all stored answers of one model by `response_key`, from complete and incomplete runs.

        Only the files of that model's runs are opened. What cannot be read is left out, so it is computed again.
        """
        responses: dict[str, Response] = {}
        for files in self._runs():
            with suppress(StoreError):
                if read_header(files.header).fingerprint == fingerprint:
                    responses |= _answers(files)
        return responses

    def find(self, keys: Collection[str]) -> dict[str, Response]:
        """Return the stored answers with these keys, whoever's run holds them: a judge's lie in the runs it judged.

        What cannot be read is left out, so it is computed again.
        """
        found: dict[str, Response] = {}
        for files in self._runs():
            if len(found) == len(keys):
                break
            with suppress(StoreError):
                answers = _answers(files)
                found |= {key: answers[key] for key in keys if key in answers}
        return found

    def _runs(self) -> list[RunFiles]:
        if not self.root.is_dir():
            return []
        with os.scandir(self.root) as entries:
            names = [e.name for e in entries if is_run_id(e.name) and e.is_dir(follow_symlinks=False)]
        runs = [RunFiles(self.root / name) for name in sorted(names)]
        return [files for files in runs if files.header.exists() or files.samples.exists()]

    def _ids(self) -> list[str]:
        return [files.run_id for files in self._runs()]

    def _existing(self, run_id: str) -> RunFiles:
        files = run_files(self.root, run_id)
        ids = self._ids()
        if run_id not in ids:
            raise StoreError(self.root, f"no run {run_id!r}", "a run of this store", near(run_id, ids))
        return files

    def _complete(self, run_id: str) -> RunFiles:
        files = self._existing(run_id)
        if not files.manifest.exists():
            fault = _incomplete(files)
            raise StoreError(fault.where, fault.found, fault.expected, fault.do)
        return files

    def _create(self, files: RunFiles, header: Header) -> None:
        draft = self.root / f"{_NEW}{secrets.token_hex(4)}"
        try:
            with writing(files.path, "Free or mend the disk; nothing was begun"):
                draft.mkdir()
                (draft / files.work.name).mkdir()
                write_document(draft / files.header.name, header_document(header))
                draft.rename(files.path)
                sync_folder(self.root)
        except BaseException:
            discard(draft)
            raise

    def _joinable(self, files: RunFiles, header: Header) -> tuple[RunFiles, Header] | None:
        if not files.path.exists():
            return None
        found = read_header(files.header)
        if found.identity != header.identity:
            what = "a run of another model, template or plan"
            raise StoreError(files.path, what, "a run of this model and plan", "Name another run id")
        return files, found

    def _resumable(self, header: Header) -> tuple[RunFiles, Header] | None:
        candidates = []
        for files in self._runs():
            if not files.manifest.exists():
                with suppress(StoreError):
                    found = read_header(files.header)
                    if found.identity == header.identity and found.format == header.format and not _held(files):
                        candidates.append((moment(found.started), files.run_id, files, found))
        return max(candidates, key=lambda entry: entry[:2])[2:] if candidates else None

    def _sweep(self) -> None:
        """Remove what killed processes left half made; the store's lock is held."""
        for prefix in (_NEW, _REMOVED):
            for path in self.root.glob(f"{prefix}*"):
                discard(path)
        for files in self._runs():
            if files.manifest.exists() and files.work.exists() and not _held(files):
                with suppress(StoreError):
                    check_files(files)
                    discard(files.work)


def _held(files: RunFiles) -> bool:
    return any(is_held(path) for path in files.writer_locks())


def _answers(files: RunFiles) -> dict[str, Response]:
    answers = read_journals(files.journals()).responses
    return answers | read_responses(files) if files.manifest.exists() else answers


def _incomplete(files: RunFiles) -> Fault:
    if _held(files):
        return Fault(str(files.path), "a run that a live process is writing", "a complete run", "Wait for it to end")
    do = f"Run the same command again to resume it, or remove it with: sfteval runs rm {files.run_id}"
    return Fault(str(files.path), "an incomplete run (no manifest.json)", "a complete run", do)


def _problems(files: RunFiles) -> list[Fault]:
    try:
        read_header(files.header)
        if not files.manifest.exists():
            return [_incomplete(files), *_damage(files)]
        manifest = read_manifest(files)
        check_files(files)
    except StoreError as error:
        return [error.fault]
    return _skew(files, manifest)


def _damage(files: RunFiles) -> list[Fault]:
    damaged = read_journals(files.journals()).damaged
    do = "Check the disk; these responses are computed again"
    fault = Fault(str(files.work), f"{damaged} damaged journal lines", "lines whose checksum is right", do)
    return [fault] if damaged else []


def _skew(files: RunFiles, manifest: Manifest) -> list[Fault]:
    if not is_ahead(manifest):
        return []
    do = "Mend the clock; until that time `latest` names this run, so name runs by id"
    return [
        Fault(str(files.manifest), f"a run finished at {manifest.finished}", "a time that is not in the future", do)
    ]
