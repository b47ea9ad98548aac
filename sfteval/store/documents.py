"""The JSON files of a run: `run.json` (header) and `manifest.json`.

Comes in: records. Goes out: JSON, and the equal records from it, or a `StoreError` that says what is wrong with the
file. Text with lone surrogates (paths may hold them) survives as JSON escapes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sfteval.errors import StoreError
from sfteval.keys import model_fingerprint
from sfteval.records import RUN_FORMAT, Manifest, MetricInfo, ModelIdentity
from sfteval.store.disk import reading, replace_file

if TYPE_CHECKING:
    from pathlib import Path

_MANIFEST_TYPES: dict[str, type | tuple[type, ...]] = {
    "run_id": str,
    "fingerprint": str,
    "model": dict,
    "plan": str,
    "suites": dict,
    "metrics": dict,
    "counts": dict,
    "versions": dict,
    "hardware": dict,
    "started": str,
    "finished": str,
    "seconds": (int, float),
    "seed": int,
    "format": int,
    "extra": dict,
}


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a run when it begins; what decides whether a later process may resume it.

    `started` is ISO 8601 UTC.
    """

    run_id: str
    model: ModelIdentity
    plan: str
    started: str
    format: int = RUN_FORMAT

    @property
    def fingerprint(self) -> str:
        """The model's `keys.model_fingerprint`."""
        return model_fingerprint(self.model)

    @property
    def identity(self) -> tuple[str, str, str]:
        """Runs with the same identity are the same work."""
        return (self.fingerprint, self.model.template, self.plan)


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON by atomic rename. Raises StoreError."""
    text = json.dumps(document, indent=2, ensure_ascii=True, default=_plain) + "\n"
    replace_file(path, lambda file: file.write(text.encode("ascii")))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"a run's manifest cannot hold a {type(value).__name__}"
    raise TypeError(msg)


def read_document(path: Path, do: str) -> dict[str, Any]:
    """Return a JSON object that has a `format` this version can read. Raises StoreError."""
    with reading(path, do):
        data = path.read_bytes()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StoreError(path, f"no JSON ({error})", "a whole JSON object", do) from error
    if not isinstance(document, dict) or type(document.get("format")) is not int:
        raise StoreError(path, "no object with an integer `format`", "a run's JSON object", do)
    newer_format(path, document["format"])
    return document


def newer_format(path: Path, found: int) -> None:
    """Raise StoreError for a format that only a later sfteval can read."""
    if found > RUN_FORMAT:
        raise StoreError(
            path, f"run format {found}", f"format {RUN_FORMAT} or older", "Upgrade sfteval, or evaluate again"
        )


def read_header(path: Path) -> Header:
    """Return a run's header. Raises StoreError."""
    do = f"If it is no longer needed, remove the folder {path.parent}"
    document = read_document(path, do)
    try:
        header = Header(**(document | {"model": ModelIdentity(**document["model"])}))
        moment(header.started)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(path, f"fields that do not fit ({error})", "the header of a run", do) from error
    if header.run_id != path.parent.name:
        raise StoreError(path, f"the header of run {header.run_id}", f"that of {path.parent.name}", do)
    return header


def header_document(header: Header) -> dict[str, Any]:
    """Return a header as JSON values."""
    return asdict(header)


def manifest_document(manifest: Manifest, files: Mapping[str, Mapping[str, int | str]]) -> dict[str, Any]:
    """Return a manifest as JSON values; `files` what is noted of each Parquet file."""
    document = {field.name: getattr(manifest, field.name) for field in fields(manifest)}
    document["model"] = asdict(manifest.model)
    document["metrics"] = {name: asdict(info) for name, info in manifest.metrics.items()}
    return document | {"files": files}


def parse_manifest(document: Mapping[str, Any], path: Path, do: str) -> Manifest:
    """Return the manifest that a document of the current format holds. Raises StoreError."""
    values = {name: value for name, value in document.items() if name != "files"}
    wrong = [n for n, kind in _MANIFEST_TYPES.items() if n in values and not isinstance(values[n], kind)]
    if wrong:
        raise StoreError(path, f"a wrong type in {', '.join(wrong)}", "a run's manifest", do)
    try:
        values["model"] = ModelIdentity(**values["model"])
        values["metrics"] = {name: MetricInfo(**info) for name, info in values["metrics"].items()}
        manifest = Manifest(**values)
        moment(manifest.finished)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(path, f"fields that do not fit ({error})", "a run's manifest", do) from error
    if manifest.run_id != path.parent.name:
        raise StoreError(path, f"the manifest of run {manifest.run_id}", f"that of {path.parent.name}", do)
    return manifest


def moment(text: str) -> datetime:
    """Return an ISO 8601 time, UTC where it names no zone. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
