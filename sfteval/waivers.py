"""Accepted regressions and quarantined samples: read, applied, expiring loudly. A stage without a model.

Comes in: the project's `accepted.yaml`, runs, verdicts, the day. Goes out: runs without their quarantined samples, and
verdicts of which some no longer block. A kind never changes: an accepted FAIL stays FAIL and says by whom it is
accepted. What has expired has no effect and says so.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from sfteval.errors import Fault, InputError
from sfteval.records import VerdictKind, Waivers
from sfteval.yamlfile import did_you_mean, read_yaml, validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from sfteval.records import AcceptedRegression, Gate, Manifest, QuarantinedSample, Run, Verdict

MAX_QUARANTINED = 0.05
"""Share of a suite's samples that may be in quarantine."""
TOLERANCE = 1e-9
_CAN_BE_ACCEPTED = (VerdictKind.FAIL, VerdictKind.INCONCLUSIVE)


def read_waivers(path: Path, where: str) -> Waivers:
    """Return what a project lives with; nothing if there is no such file.

    Raises:
        InputError: with every fault of the file.
    """
    if not path.exists():
        return Waivers()
    document = read_yaml(path, where)
    faults: list[Fault] = []
    if document.data is None:
        return Waivers()
    read = validate(Waivers, document, (), faults)
    if faults or read is None:
        raise InputError(faults)
    return read


def check_waivers(
    known: Waivers, gates: Iterable[Gate], samples: Mapping[str, set[str]], path: Path, root: Path | None = None
) -> None:
    """Refuse waivers that match nothing, and two for one thing.

    Args:
        known: What the file says.
        gates: All gates of the collected files.
        samples: Sample ids by suite, of the suites that are judged.
        path: The file; entries may be about suites beside and below it that were not collected.
        root: Folder that gates' files are shown from; None checks collected files only.

    Raises:
        InputError: a gate that its file does not have, a sample that its suite does not have, too many in quarantine.
    """
    nodes, where = {gate.node for gate in gates}, path.name
    files = {node.split("::")[0] for node in nodes}
    faults = [
        Fault(where, f"the gate {each.gate!r}", "a gate of these suites", did_you_mean(each.gate, nodes))
        for each in known.regressions
        if each.gate not in nodes and each.gate.split("::")[0] in files
    ]
    for entry in known.quarantine:
        ids = samples.get(entry.suite)
        if ids is not None and entry.sample not in ids:
            found = f"the sample {entry.sample!r} of {entry.suite}"
            faults.append(Fault(where, found, "a sample of that suite", did_you_mean(entry.sample, ids)))
    for suite, count in Counter(entry.suite for entry in known.quarantine).items():
        total = len(samples.get(suite, ()))
        if total and count > MAX_QUARANTINED * total:
            expected = f"at most {MAX_QUARANTINED:.0%} of the suite"
            do = "Mend or remove these samples: a suite that is mostly in quarantine judges nothing."
            faults.append(Fault(where, f"{count} of {total} samples of {suite} in quarantine", expected, do))
    faults += _strangers(known, files, set(samples), path, root) if root is not None else []
    faults += _twice(known, where)
    if faults:
        raise InputError(faults)


def _strangers(known: Waivers, files: set[str], suites: set[str], path: Path, root: Path) -> list[Fault]:
    """Return a fault for each entry about a file or a suite that is nowhere."""
    gone = [each.gate.split("::")[0] for each in known.regressions]
    faults = [
        Fault(path.name, f"a gate of {file}", "a suite file that is there", did_you_mean(file, files))
        for file in dict.fromkeys(gone)
        if file not in files and not (root / file).is_file()
    ]
    there = suites | _suites_below(path.parent) if known.quarantine else suites
    return faults + [
        Fault(path.name, f"samples of the suite {name!r}", "a suite that is there", did_you_mean(name, there))
        for name in dict.fromkeys(entry.suite for entry in known.quarantine)
        if name not in there
    ]


def _suites_below(folder: Path) -> set[str]:
    """Return the names of all suites below a folder, collected or not."""
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in folder.rglob("*.suite.yaml")]
    return {match.group(1) for text in texts for match in re.finditer(r"(?m)^suite:\s*[\"']?([a-z0-9_-]+)", text)}


def _twice(known: Waivers, where: str) -> list[Fault]:
    """Return a fault for each gate or sample that two entries are about: it would be unclear which one holds."""
    gates = Counter(f"the gate {entry.gate!r}" for entry in known.regressions)
    samples = Counter(f"the sample {entry.sample!r} of {entry.suite}" for entry in known.quarantine)
    do = "Keep the one that holds."
    return [
        Fault(where, f"{count} entries for {name}", "one", do) for name, count in (gates + samples).items() if count > 1
    ]


def without_quarantined(run: Run, known: Waivers, today: date) -> Run:
    """Return the run without the samples that are in quarantine today."""
    out = {(entry.suite, entry.sample) for entry in known.quarantine if today <= entry.until}
    if not out:
        return run
    kept = [(s.suite, s.sample_id) not in out for s in run.samples]
    samples = tuple(s for s, stays in zip(run.samples, kept, strict=True) if stays)
    return replace(run, samples=samples, manifest=_without_drawn(run, kept, out))


def _without_drawn(run: Run, kept: Sequence[bool], out: set[tuple[str, str]]) -> Manifest:
    """Return the manifest with the draws of sequential suites shortened by what is left out of them."""
    draws = run.manifest.extra.get("draws", {})
    if not draws:
        return run.manifest
    shortened = {}
    for place, draw in draws.items():
        mine = [stays for s, stays in zip(run.samples, kept, strict=True) if f"{s.suite}/{s.task}" == place]
        left = [sum(mine[:end]) for end in draw["ends"]]
        ends = sorted({end for end in left if end})
        gone = sum(suite == place.split("/", 1)[0] for suite, _ in out) if place.endswith("/") else mine.count(False)
        shortened[place] = {"population": draw["population"] - gone, "ends": ends}
    return replace(run.manifest, extra={**run.manifest.extra, "draws": shortened})


def with_waivers(verdicts: Sequence[Verdict], known: Waivers, today: date) -> tuple[Verdict, ...]:
    """Return the verdicts with what is accepted no longer blocking, and with what was left out or has expired said."""
    accepted = {entry.gate: entry for entry in known.regressions}
    return tuple(_quarantine_said(_accepted(v, accepted.get(v.gate.node), today), known, today) for v in verdicts)


def _accepted(verdict: Verdict, entry: AcceptedRegression | None, today: date) -> Verdict:
    if entry is None:
        return verdict
    by = f" by {entry.who}" if entry.who else ""
    if today > entry.until:
        reason = f"the acceptance of this gate{by} EXPIRED on {entry.until} ({entry.because})"
        return replace(verdict, reasons=(*verdict.reasons, reason))
    if not verdict.blocks or verdict.kind not in _CAN_BE_ACCEPTED:
        return verdict
    short = verdict.shortfall
    if short is None or short > entry.drop + TOLERANCE:
        reason = f"the accepted drop is {entry.drop:.3g}{by}; this one is larger, so it is not accepted"
        return replace(verdict, reasons=(*verdict.reasons, reason))
    accepted = f"accepted{by} until {entry.until}: {entry.because}"
    return replace(verdict, blocks=False, accepted=accepted, reasons=(*verdict.reasons, accepted))


def _quarantine_said(verdict: Verdict, known: Waivers, today: date) -> Verdict:
    suites = {member.suite for member in (verdict.gate.members or (verdict.gate,))}
    entries = [entry for entry in known.quarantine if entry.suite in suites]
    out = [entry for entry in entries if today <= entry.until]
    reasons = [f"{_named(out)} left out, in quarantine"] if out else []
    reasons += [
        f"the quarantine of {entry.suite}/{entry.sample} EXPIRED on {entry.until}; it is judged again"
        for entry in entries
        if today > entry.until
    ]
    return replace(verdict, reasons=(*verdict.reasons, *reasons)) if reasons else verdict


def _named(entries: Sequence[QuarantinedSample]) -> str:
    names = ", ".join(entry.sample for entry in entries[:3]) + (", …" if len(entries) > 3 else "")
    return f"{len(entries)} sample{'s' if len(entries) > 1 else ''} ({names})"
