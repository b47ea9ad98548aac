"""The history of a training: one JSON line per event, in `<runs>/trainings/NAME.jsonl`.

Comes in: events as they happen. Goes out: the file, and its events as a report page wants them. Each line has `event`:

- `begin`: `sfteval` (version), `format`, `name`, `base_run` (run id of base), `schedule` (steps that will be looked
  at), `alpha` (error rate of each single test), `budgets` and `targets` (gates), `validation` and `held_out` (samples);
- `look`: a `records.Look` (`step`, `gates` with `base`, `now`, `difference`, `low`, `high`, `state`; `target`,
  `inside`, `best`, `seconds`), `why` it ends the training ("" if not), and `curve`: the training's own figures since
  the last look, each with `step` and `loss`;
- `resumed`: `step` that the training went back to; looks after it were made by the process that died, and are void;
- `end`: `steps`, `kept` (step of the restored checkpoint, null if none is inside every budget), `why`, `held_out`
  (verdicts on the samples that chose nothing), `looks_seconds`, `base_seconds`, `training_seconds`, `share`.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from sfteval.errors import StoreError
from sfteval.store.disk import reading, write_all, writing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HISTORY_FORMAT = 1
FOLDER = "trainings"


class TrainingHistory:
    """An append-only file; every event is on disk when `add` returns."""

    def __init__(self, root: Path, name: str) -> None:
        """Name the training; the file comes with the first event."""
        self.path = root / FOLDER / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('.-') or 'training'}.jsonl"

    def add(self, event: str, fields: Mapping[str, Any]) -> None:
        """Append one event. Raises DiskError."""
        line = json.dumps({"event": event} | dict(fields), allow_nan=False) + "\n"
        with writing(self.path, "Free or mend the disk; the training's own checkpoints are kept"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Both ways: a torn tail is looked for before anything is added.
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
                write_all(descriptor, line.encode() if whole else b"\n" + line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def read_history(path: Path) -> list[dict[str, Any]]:
    """Return the events that hold: a torn line is left out, and so are looks that a resumed training made again.

    Raises:
        StoreError: The file cannot be read or is of a newer format.
    """
    with reading(path, "Name a file under trainings/"):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    events: list[dict[str, Any]] = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if not isinstance(event, dict) or "event" not in event:
            continue
        if event["event"] == "begin" and event["format"] > HISTORY_FORMAT:
            do = "Read it with the version that wrote it"
            raise StoreError(path, f"a history of format {event['format']}", f"at most {HISTORY_FORMAT}", do)
        if event["event"] == "begin":
            events = []
        if event["event"] == "resumed":
            events = [old for old in events if old["event"] == "begin" or old.get("step", 0) <= event["step"]]
            events = [old for old in events if old["event"] != "end"]
        events.append(event)
    return events
