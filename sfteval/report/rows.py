"""Verdicts as plain data: one JSON-able row per gate, from which every table, page and JUnit property is made.

Plain data travels from xdist workers to the controller and into `--verdicts` files unchanged.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sfteval.records import finite, release_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sfteval.records import Comparison, Gate, Role, Run, Verdict

SHOWN_FLIPS = 20
_FIGURES = ("n", "reference", "candidate", "difference", "low", "high", "p_value", "detectable", "missing")


def verdict_row(verdict: Verdict, runs: Mapping[Role, Run], slices: Sequence[Comparison] = ()) -> dict[str, Any]:
    """Return one gate's row.

    Args:
        verdict: The judged gate.
        runs: The runs behind it, by role; their ids are put in the row.
        slices: The same comparison on parts of the suite; shown, and never judged.
    """
    gate = verdict.gate
    return {
        "node": gate.node,
        "path": gate.path,
        "line": gate.line,
        "suite": gate.suite,
        "task": gate.task,
        "check": gate.check,
        "slice": slice_name(gate),
        "slices": [_slice(part) for part in slices],
        "demand": gate.demand,
        "against": gate.against,
        "margin": gate.threshold,
        "proof": gate.proof,
        "family": [member.node for member in gate.members],
        "verdict": verdict.kind.value,
        "blocks": verdict.blocks,
        "accepted": verdict.accepted,
        "shortfall": verdict.shortfall,
        "exit_code": verdict.exit_code,
        "reasons": list(verdict.reasons),
        "diagnosis": [asdict(cause) for cause in verdict.diagnosis],
        **comparison_figures(verdict.comparison),
        "runs": {role: run.manifest.run_id for role, run in runs.items()},
    }


def slice_name(gate: Gate) -> str:
    """Return `language=de` for a gate's slice, "" for the whole suite."""
    return ",".join(f"{tag}={value}" for tag, value in gate.slice)


def _slice(part: Comparison) -> dict[str, Any]:
    figures = {name: finite(getattr(part, name)) for name in _FIGURES if name not in ("p_value", "detectable")}
    return {"slice": slice_name(part.gate), **figures, "not_comparable": part.not_comparable}


def comparison_figures(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison's figures and its first flips, the largest drop first."""
    shown = [asdict(flip) for flip in comparison.flips[:SHOWN_FLIPS]]
    return {
        **{name: finite(getattr(comparison, name)) for name in _FIGURES},
        "population": comparison.population,
        "higher_is_better": comparison.higher_is_better,
        "worse": comparison.worse,
        "better": len(comparison.flips) - comparison.worse,
        "flips": shown,
    }


def rows_code(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the exit code of a release from its rows."""
    return release_code([(row["verdict"], row["exit_code"]) for row in rows])


def properties(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a row's figures as JUnit properties."""
    names = ("verdict", "accepted", "demand", "against", "margin", "proof", *_FIGURES)
    found = [(f"sfteval.{name}", _text(row[name])) for name in names if row.get(name) is not None]
    runs = [(f"sfteval.run.{role}", run_id) for role, run_id in row["runs"].items()]
    return [*found, ("sfteval.reason", "; ".join(row["reasons"])), *runs]


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def points(value: float | None) -> str:
    """Return a difference in points (hundredths) with its sign."""
    return "–" if value is None else f"{100 * value:+.1f}"


def score(value: float | None) -> str:
    """Return a score with three digits."""
    return "–" if value is None else f"{value:.3f}"


def evidence(row: Mapping[str, Any]) -> str:
    """Return the evidence of one gate as text: figures, reasons, and the first two samples that flipped."""
    lines = [f"{row['verdict']}: {'; '.join(row['reasons'])}"]
    if row["difference"] is not None:
        against = f"{row['against']} {score(row['reference'])} → candidate {score(row['candidate'])}"
        change = f"{points(row['difference'])} points [{points(row['low'])}, {points(row['high'])}]"
        lines.append(f"{against}: {change}, n = {row['n']}, {row['worse']} worse, {row['better']} better")
    lines += [f"  {line}" for line in slice_lines(row)]
    lines += cause_lines(row)
    for flip in row["flips"][:2]:
        lines += ["", *flip_lines(flip, str(row["against"]))]
    return "\n".join(lines)


def cause_lines(row: Mapping[str, Any]) -> list[str]:
    """Return the causes of an objection, one a line, the best supported first."""
    return [f"cause: {cause['cause'].replace('_', ' ')} ({cause['says']})" for cause in row.get("diagnosis") or []]


def slice_lines(row: Mapping[str, Any]) -> list[str]:
    """Return a line per slice of a gate: the candidate's score, the change with its interval, n."""
    lines = []
    for part in row["slices"]:
        change = "" if part["difference"] is None else f", {points(part['difference'])} points"
        if part["low"] is not None and part["difference"] is not None:
            change += f" [{points(part['low'])}, {points(part['high'])}]"
        lines.append(f"{part['slice']}: {score(part['candidate'])}{change}, n = {part['n']}")
    return lines


def flip_lines(flip: Mapping[str, Any], against: str) -> list[str]:
    """Return one flipped sample as lines of plain text."""
    place = "/".join(part for part in (flip["suite"], flip["task"], flip["sample_id"]) if part)
    return [
        f"flipped: {place} ({flip['reference_score']:g} → {flip['candidate_score']:g})",
        f"  prompt:    {clip(flip['prompt'])}",
        f"  {against + ':':<10} {clip(flip['reference_output'])}",
        f"  candidate: {clip(flip['candidate_output'])}",
    ]


def clip(text: str, width: int = 160) -> str:
    """Return text on one line, control characters escaped, cut in the middle."""
    flat = "".join(c if c.isprintable() else {"\n": "⏎", "\t": " "}.get(c, f"\\u{ord(c):04x}") for c in text)
    if len(flat) <= width:
        return flat
    half = (width - 3) // 2
    return f"{flat[:half]} … {flat[-half:]}"
