"""Gate specifications to gates with ids.

Comes in: a valid suite with the marks of its gates. Goes out: one `Gate` per gate, per listed task in lm-eval suites.
Ids are `<check>-<demand>-against-<baseline>` or `<check>-<demand>`; a gate's `name` takes that text's place. In lm-eval
suites the task stands before it (before a name only where the suite lists several tasks).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sfteval.records import Gate
from sfteval.yamlfile import did_you_mean, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sfteval.errors import Fault
    from sfteval.records import GateSpec, SampleRow, Suite
    from sfteval.records.suite import Baseline
    from sfteval.records.verdict import Demand
    from sfteval.yamlfile import Located


def expand_gates(suite: Suite, document: Located, variant: str = "") -> tuple[Gate, ...]:
    """Return every gate of a suite in the order written; the path is the document's.

    Args:
        suite: The suite, or one variant of its matrix.
        document: Where it stands.
        variant: What the variant's gates take at the end of their ids.
    """
    tasks = suite.lm_eval.tasks if suite.lm_eval else ("",)
    return tuple(
        _gate(spec, suite, task, document, (index, variant)) for index, spec in enumerate(suite.gates) for task in tasks
    )


def gate_line(index: int, document: Located) -> int:
    """Return the line of a gate in the suite's own file: that of `extends` for a gate that comes from below."""
    own = document.where_of(("gates", index)) == document.where
    return document.mark(("gates", index) if own else ("extends",)).line


def _gate(spec: GateSpec, suite: Suite, task: str, document: Located, place: tuple[int, str]) -> Gate:
    demand, threshold, against = demand_of(spec)
    index, variant = place
    several = suite.lm_eval is not None and len(suite.lm_eval.tasks) > 1
    return Gate(
        id=gate_id(spec, task, several=several) + (f"-{variant}" if variant else ""),
        path=document.where,
        line=gate_line(index, document),
        suite=suite.suite,
        task=task,
        check=spec.check,
        demand=demand,
        threshold=threshold,
        against=against,
        proof=spec.proof or ("required" if spec.improves else "none"),
        alpha=spec.alpha,
        slice=slice_of(spec),
        weight=suite.weight,
        group=suite.suite.removesuffix(f"-{variant}") if variant else "",
    )


def slice_of(spec: GateSpec) -> tuple[tuple[str, str], ...]:
    """Return a gate's slice as (tag, value) pairs in the order of the tags."""
    return tuple(sorted((field.removeprefix("tags."), value) for field, value in spec.slice.items()))


def slice_faults(suite: Suite, rows: Sequence[SampleRow], document: Located) -> Iterator[Fault]:
    """Yield a fault for each slice that no sample is in, and each tag that no sample has."""
    tags = {tag for row in rows for tag in row.tags}
    for index, field in enumerate(suite.slices.by if suite.slices else ()):
        if field.removeprefix("tags.") not in tags:
            found = f"{field!r} in slices.by[{index}]"
            near = did_you_mean(field, [f"tags.{tag}" for tag in tags])
            yield document.fault(("slices", "by", index), found, "a tag that samples have", near)
    for index, spec in enumerate(suite.gates):
        wanted = slice_of(spec)
        if wanted and not any(row.tags.get(tag) == value for row in rows for tag, value in wanted[:1]):
            values = sorted({row.tags[wanted[0][0]] for row in rows if wanted[0][0] in row.tags})
            found = f"the slice {wanted[0][0]}={wanted[0][1]} in gates[{index}]"
            expected = f"a slice with samples: {one_of(values)}" if values else "a tag that samples have"
            yield document.fault(("gates", index, "slice"), found, expected)


def demand_of(spec: GateSpec) -> tuple[Demand, float, Baseline | None]:
    """Return a gate's demand, its margin, gain, floor or ceiling, and its baseline."""
    if spec.no_regression is not None:
        return "no_regression", spec.no_regression.margin, spec.no_regression.against
    if spec.improves is not None:
        return "improves", spec.improves.by, spec.improves.against
    if spec.at_least is not None:
        return "at_least", spec.at_least, None
    assert spec.at_most is not None  # GateSpec has exactly one demand
    return "at_most", spec.at_most, None


def gate_id(spec: GateSpec, task: str, *, several: bool) -> str:
    """Return the id of a gate for one task ("" for suites with samples)."""
    prefix = f"{slug(task)}-" if task else ""
    if spec.name is not None:
        return prefix * several + spec.name
    demand, _, against = demand_of(spec)
    part = "".join(f"-{slug(tag)}-{slug(value)}" for tag, value in slice_of(spec))
    return f"{prefix}{spec.check}-{demand}" + (f"-against-{against}" if against else "") + part


def slug(task: str) -> str:
    """Return a task's name in the letters that ids allow."""
    return re.sub(r"[^a-z0-9_-]+", "-", task.lower())


def duplicate_faults(specs: dict[int, GateSpec], tasks: tuple[str, ...], document: Located) -> Iterator[Fault]:
    """Yield a fault for each gate whose id an earlier one has; `specs` by position in the file."""
    first: dict[str, int] = {}
    for index, spec in specs.items():
        for identifier in (gate_id(spec, task, several=len(tasks) > 1) for task in tasks):
            line = gate_line(index, document)
            if identifier in first:
                found = f"the gate id {identifier!r} twice (first in line {first[identifier]})"
                yield document.fault(("gates", index), found, "each gate id once", "Give one of them a `name`.")
            first.setdefault(identifier, line)
