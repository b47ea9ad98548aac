"""`matrix`: one file, a suite for each combination of systems, templates and temperatures.

Comes in: a loaded suite. Goes out: its variants, each with the suffix that its name and its gates' ids take, such as
`system-terse-temperature-0-7`. Axes combine in the order written, the last one fastest.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from sfteval.records import Suite
from sfteval.spec.gates import slug

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sfteval.errors import Fault
    from sfteval.yamlfile import Located

AXES = ("system", "template", "temperature")
MAX_NAME = 80


def variants(suite: Suite, document: Located) -> list[tuple[str, Suite]]:
    """Return (suffix, suite) of each combination; [("", suite)] without a matrix."""
    if suite.matrix is None:
        return [("", suite)]
    written = [axis for axis in document.data["matrix"] if getattr(suite.matrix, axis) is not None]
    axes = [[(axis, *each) for each in _values(suite, axis)] for axis in written]
    found = []
    for combination in product(*axes):
        suffix = "-".join(f"{axis}-{label}" for axis, label, _ in combination)
        changes: dict[str, Any] = {axis: value for axis, _, value in combination}
        if "temperature" in changes:
            changes["generate"] = suite.generate.model_copy(update={"temperature": changes.pop("temperature")})
        found.append((suffix, suite.model_copy(update={**changes, "suite": f"{suite.suite}-{suffix}"})))
    return found


def matrix_faults(suite: Suite, document: Located) -> Iterator[Fault]:
    """Yield what stands in the way of a matrix: an axis that the suite sets itself, values twice, names too long."""
    if suite.matrix is None:
        return
    axes = [axis for axis in AXES if getattr(suite.matrix, axis) is not None]
    if not axes:
        yield document.fault(("matrix",), "an empty matrix", f"at least one of {', '.join(AXES)}")
    if suite.lm_eval is not None:
        yield document.fault(("matrix",), "matrix beside lm_eval", "none: a matrix varies samples' prompts", key=True)
    for axis in axes:
        holder = document.data.get("generate") if axis == "temperature" else document.data
        if isinstance(holder, dict) and axis in holder:
            place = ("generate", axis) if axis == "temperature" else (axis,)
            yield document.fault(
                place, f"{axis} beside matrix.{axis}", "one of the two", "Remove one of them.", key=True
            )
        labels = [label for label, _ in _values(suite, axis)]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            yield document.fault(("matrix", axis), f"{twice!r} twice in matrix.{axis}", "each value once")
    longest = max((len(each.suite) for _, each in variants(suite, document)), default=0) if axes else 0
    if longest > MAX_NAME:
        found = f"suite names of up to {longest} characters by the matrix"
        yield document.fault(
            ("matrix",), found, f"at most {MAX_NAME}", "Shorten the suite's name or those in the matrix."
        )


def _values(suite: Suite, axis: str) -> list[tuple[str, Any]]:
    """Return the (label, value) pairs of an axis."""
    written = getattr(suite.matrix, axis)
    if isinstance(written, dict):
        return list(written.items())
    return [(slug(f"{value:g}"), value) for value in written or ()]
