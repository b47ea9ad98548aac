"""Files of a release: verdicts as JSON, the Markdown summary, pictures. Comes in: rows or text. Goes out: a path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import DiskError, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def verdicts_text(rows: Sequence[Mapping[str, Any]], status: int) -> str:
    """Return `{"exit_code", "verdict", "gates": [...]}`."""
    word = {0: "PASS", 1: "FAIL", 20: "INCONCLUSIVE"}.get(status, "BROKE")
    return json.dumps({"exit_code": status, "verdict": word, "gates": list(rows)}, indent=1)


def write_verdicts(path: str | Path, rows: Sequence[Mapping[str, Any]], status: int) -> Path:
    """Write `verdicts_text`."""
    return _write(Path(path), verdicts_text(rows, status).encode())


def write_summary(path: str | Path, text: str) -> Path:
    """Write the Markdown of a release."""
    return write_text(path, text)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text; what UTF-8 cannot hold is escaped.

    Raises:
        DiskError: It cannot be written.
    """
    return _write(Path(path), text.encode("utf-8", errors="backslashreplace"))


def write_picture(path: Path, data: bytes) -> Path:
    """Write a drawn chart."""
    return _write(path, data)


def _write(path: Path, data: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise DiskError(path, reason_of(error), "a place that can be written") from None
    return path
