"""Whole runs: how one is written at the end and read ever after.

Comes in: samples, responses, manifest. Goes out: two Parquet files and then the manifest; and back a `Run`, or a
`StoreError` with the reason. The manifest notes size and sha256 of both files: a truncated file is noticed without
reading it, and none of the single bit flips that Parquet's own page checksums miss (25 in 7,257 bytes tried, most of
them in names and statistics) changes a score unseen.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sfteval.errors import StoreError
from sfteval.keys import file_key
from sfteval.records import Manifest, Response, Run, Sample
from sfteval.store.columns import RESPONSES, SAMPLES, Layout, read_records, read_table, write_rows
from sfteval.store.disk import reading, replace_file, writing
from sfteval.store.documents import manifest_document, parse_manifest, read_document, write_document
from sfteval.store.lazy import StoredSamples
from sfteval.store.migrations import Stored, migrate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.store.layout import RunFiles

_LAYOUTS: dict[str, Layout] = {"samples": SAMPLES, "responses": RESPONSES}


def write_run(files: RunFiles, samples: Sequence[Sample], responses: Sequence[Response], manifest: Manifest) -> Run:
    """Write all three files, the manifest last. Raises StoreError; without a manifest the run stays resumable."""
    notes: dict[str, dict[str, int | str]] = {}
    for path, rows in ((files.samples, samples), (files.responses, responses)):
        replace_file(path, partial(write_rows, layout=_LAYOUTS[path.stem], rows=rows, metadata=_label(files)))
        with writing(path):
            notes[path.name] = {"rows": len(rows), "bytes": path.stat().st_size, "sha256": file_key(path)}
    write_document(files.manifest, manifest_document(manifest, notes))
    return Run(read_manifest(files), tuple(samples), files.path)


def _label(files: RunFiles) -> dict[str, str]:
    return {"sfteval.run_id": files.run_id}


def read_manifest(files: RunFiles) -> Manifest:
    """Return a whole run's manifest. Raises StoreError."""
    return _manifest(files, migrate(Stored(_document(files)), files.manifest))


def read_run(files: RunFiles) -> Run:
    """Return a whole run. Raises StoreError with the reason why it cannot be read."""
    stored = _stored(files, "samples")
    samples = StoredSamples(stored.tables["samples"], files.samples, _advice(files))
    return Run(_manifest(files, stored), samples, files.path)


def read_responses(files: RunFiles) -> dict[str, Response]:
    """Return a whole run's responses by key. Raises StoreError."""
    stored = _stored(files, "responses")
    rows = read_records(stored.tables["responses"], RESPONSES, files.responses, _advice(files))
    return {response.key: response for response in rows}


def check_files(files: RunFiles) -> None:
    """Raise StoreError when a Parquet file is missing or is not the size that the manifest notes."""
    document = _document(files)
    for name in _LAYOUTS:
        _check_size(files, document, name)


def _document(files: RunFiles) -> dict[str, Any]:
    return read_document(files.manifest, _advice(files))


def _manifest(files: RunFiles, stored: Stored) -> Manifest:
    return parse_manifest(stored.manifest, files.manifest, _advice(files))


def _stored(files: RunFiles, name: str) -> Stored:
    document = _document(files)
    path = _check_size(files, document, name)
    expected = _note(files, document, name)["sha256"]
    with reading(path, _advice(files)):
        found = file_key(path)
    if found != expected:
        found = f"a damaged or exchanged file (sha256 {found})"
        raise StoreError(path, found, f"sha256 {expected}, as the manifest says", _advice(files))
    table = read_table(path, _advice(files))
    return migrate(Stored(document, {name: table}), files.manifest)


def _check_size(files: RunFiles, document: dict[str, Any], name: str) -> Path:
    path = files.path / f"{name}.parquet"
    expected = _note(files, document, name)["bytes"]
    if not path.is_file():
        raise StoreError(path, "no file", f"{expected} bytes, as the manifest says", _advice(files))
    found = path.stat().st_size
    if found != expected:
        kind = "a truncated file of" if found < expected else "an exchanged file of"
        raise StoreError(path, f"{kind} {found} bytes", f"{expected} bytes, as the manifest says", _advice(files))
    return path


def _note(files: RunFiles, document: dict[str, Any], name: str) -> dict[str, Any]:
    notes = document.get("files")
    note = notes.get(f"{name}.parquet") if isinstance(notes, dict) else None
    if not isinstance(note, dict) or type(note.get("bytes")) is not int or type(note.get("sha256")) is not str:
        found = f"no size and sha256 of {name}.parquet"
        raise StoreError(files.manifest, found, "both in `files`", _advice(files))
    return note


def _advice(files: RunFiles) -> str:
    return f"Restore the file, or remove the run (sfteval runs rm {files.run_id}) and evaluate again"
