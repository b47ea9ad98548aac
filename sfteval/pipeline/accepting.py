"""`sfteval accept` and `sfteval quarantine`: entries in the project's reviewed file.

Comes in: what a person accepts, and why. Goes out: the file with one entry more; comments and order are kept.
"""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import DiskError, Fault, InputError, reason_of
from sfteval.pipeline.promotion import current_user
from sfteval.store import RunStore
from sfteval.waivers import read_waivers
from sfteval.yamlfile import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = """\
# Regressions that this team accepts for a while, and samples in quarantine. Reviewed like code; entries expire.
# Written by `sfteval accept` and `sfteval quarantine`.
"""


def accept(
    runs_dir: Path, run: str, gate: str, file: Path, *, until: str, because: str, who: str | None
) -> dict[str, Any]:
    """Accept a gate's objection to a run until a day.

    Args:
        runs_dir: Folder of the run store.
        run: The candidate's run, as judged by `pytest suites/`.
        gate: The gate's node, or its end.
        file: The project's `accepted.yaml`.
        until: Last day, YYYY-MM-DD.
        because: Why.
        who: Who; the current user if left out.

    Raises:
        InputError: no such run or gate, a gate that does not object, a day that is past or no day, no reason.
    """
    store = RunStore(runs_dir)
    run_id = store.resolve(run)
    row = _row(store.verdicts(run_id), gate, f"run {run_id}")
    if not row["blocks"]:
        raise InputError(
            Fault(row["node"], f"a gate that does not object ({row['verdict']})", "one that blocks the release")
        )
    if row["verdict"] == "NOT_COMPARABLE" or row["shortfall"] is None:
        found = "a gate that could not be judged"
        raise InputError(
            Fault(row["node"], found, "a drop that was measured", "Mend what broke: it cannot be accepted.")
        )
    entry = {
        "gate": row["node"],
        "drop": round(row["shortfall"], 6),
        "until": _day(until),
        "because": _reason(because),
        "who": who or current_user(),
        "run": run_id,
    }
    _append(file, "regressions", entry)
    return {**entry, "until": until, "file": str(file)}


def quarantine(suite: str, sample: str, file: Path, *, until: str, because: str, who: str | None) -> dict[str, Any]:
    """Take a sample out of judgement until a day; whether it exists is checked when suites are run.

    Raises:
        InputError: a day that is past or no day, no reason.
    """
    entry = {
        "suite": suite,
        "sample": sample,
        "until": _day(until),
        "because": _reason(because),
        "who": who or current_user(),
    }
    _append(file, "quarantine", entry)
    return {**entry, "until": until, "file": str(file)}


def _row(rows: list[dict[str, Any]], gate: str, where: str) -> dict[str, Any]:
    found = [row for row in rows if row["node"] == gate or row["node"].endswith(f"::{gate}")]
    if len(found) != 1:
        near = did_you_mean(gate, [row["node"] for row in rows])
        named = f"{len(found)} gates called {gate!r}"
        raise InputError(Fault(where, named, "exactly one, as pytest shows it: FILE::GATE", near))
    return found[0]


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError(Fault("--until", repr(text), "a day such as 2031-12-31")) from None
    if day < datetime.now(UTC).date():
        raise InputError(Fault("--until", text, "today or later"))
    return day


def _reason(text: str) -> str:
    if not text.strip():
        raise InputError(Fault("--because", "nothing", "why this is acceptable; a reviewer reads it"))
    return text.strip()


def _append(file: Path, section: str, entry: Mapping[str, Any]) -> None:
    """Add an entry. The file that is there must be a good one; it is replaced whole or not at all."""
    from ruamel.yaml import YAML

    read_waivers(file, str(file))
    yaml = YAML()
    text = file.read_text(encoding="utf-8") if file.exists() else HEADER
    document = yaml.load(text) or yaml.map()
    known = document.get(section)
    if known is None:
        document[section] = [dict(entry)]
    else:  # a new entry takes the place of the old one about the same thing
        names = ("gate",) if section == "regressions" else ("suite", "sample")
        for at in reversed(range(len(known))):
            if all(known[at].get(name) == entry[name] for name in names):
                del known[at]
        known.append(dict(entry))
    stream = io.StringIO()
    yaml.dump(document, stream)
    out = stream.getvalue() if text != HEADER else HEADER + stream.getvalue()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        waiting = file.with_name(f".{file.name}.new")
        waiting.write_text(out, encoding="utf-8")
        waiting.replace(file)
    except OSError as error:
        raise DiskError(file, reason_of(error), "a place that can be written") from None
