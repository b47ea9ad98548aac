"""Which run is `previous`: the history of promotions.

Comes in: a whole run, who promotes it and why. Goes out: one line more in `promotions.jsonl`, which is only ever
grown, and rewritten whole by atomic rename. A line that cannot be read is an error, never "nothing promoted".
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from sfteval.errors import Fault, InputError, StoreError
from sfteval.store.disk import reading, replace_file
from sfteval.store.documents import moment

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sfteval.records import Manifest


@dataclass(frozen=True, slots=True)
class Promotion:
    """One decision that a run is what later candidates are compared with; `when` is ISO 8601 UTC."""

    run_id: str
    model: str
    fingerprint: str
    who: str
    because: str
    when: str


def make_promotion(manifest: Manifest, who: str, because: str, now: datetime) -> Promotion:
    """Return the record of a promotion. Raises InputError when nobody or no reason is named."""
    faults = [
        Fault(f"promotion of {manifest.run_id}", f"no `{name}`", meaning)
        for name, value, meaning in (("who", who, "who promotes it"), ("because", because, "the reason"))
        if not value.strip()
    ]
    if faults:
        raise InputError(faults)
    when = now.astimezone(UTC).isoformat()
    return Promotion(manifest.run_id, manifest.model.reference, manifest.fingerprint, who, because, when)


def read_promotions(path: Path) -> list[Promotion]:
    """Return the history, oldest first; empty if there is none. Raises StoreError for a broken line."""
    if not path.exists():
        return []
    with reading(path, "Restore it from a backup"):
        lines = path.read_bytes().splitlines()
    return [_parse(line, path, number) for number, line in enumerate(lines, 1)]


def _parse(line: bytes, path: Path, number: int) -> Promotion:
    try:
        promotion = Promotion(**json.loads(line))
        moment(promotion.when)
    except (TypeError, ValueError) as error:
        do = "Restore the line or remove it; the newest line names the promoted run"
        raise StoreError(f"{path}:{number}", f"a broken line ({error})", "a promotion", do) from error
    return promotion


def write_promotions(path: Path, promotions: list[Promotion]) -> None:
    """Write the whole history by atomic rename. Raises StoreError."""
    data = "".join(json.dumps(asdict(promotion)) + "\n" for promotion in promotions).encode("ascii")
    replace_file(path, lambda file: file.write(data))
