"""The table from head key to check kind, and what can be asked of it without an answer.

Comes in: kinds. Goes out: models, files, faults, metrics and schemas for `checks:` blocks. Implements
`sfteval.spec.CheckTable`.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from sfteval.checks.kinds import CheckFault, CheckKind, Context, Params
from sfteval.keys import file_key
from sfteval.records import MetricInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

PER_SAMPLE = "per_sample"
ROW_CHECKS = "checks"
"""Name in a row's `vars` under which its own checks stand."""


class Table:
    """Check kinds by head key."""

    def __init__(self, kinds: Iterable[CheckKind]) -> None:
        """Take the kinds. Raises ValueError when two share a name."""
        self.kinds: dict[str, CheckKind] = {}
        for each in kinds:
            if each.name in self.kinds:
                msg = f"two check kinds are named {each.name}"
                raise ValueError(msg)
            self.kinds[each.name] = each

    def names(self) -> tuple[str, ...]:
        """Return every head key, sorted."""
        return tuple(sorted(self.kinds))

    def kind_of(self, check: Mapping[str, Any]) -> CheckKind | None:
        """Return the kind of a mapping: the one that knows all its keys, else the first key's that is a head."""
        heads = [self.kinds[key] for key in check if key in self.kinds]
        fitting = [kind for kind in heads if set(check) <= set(kind.params.keys())]
        return next(iter(fitting or heads), None)

    def params(self, check: Mapping[str, Any]) -> type[BaseModel] | None:
        """Return the strict model of one check's mapping, None when no key of it is a head."""
        kind = self.kind_of(check)
        return kind.params if kind else None

    def read(self, check: Mapping[str, Any]) -> tuple[CheckKind, Params]:
        """Return kind and parameters of a valid mapping. Raises ValueError (pydantic's too) otherwise."""
        kind = self.kind_of(check)
        if kind is None:
            head = next(iter(check), "")
            near = difflib.get_close_matches(head, self.names(), n=1)
            msg = f"unknown check {head!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            raise ValueError(msg)
        return kind, kind.params.model_validate_json(json.dumps(check))

    def files(self, checks: Mapping[str, Mapping[str, Any]]) -> Mapping[tuple[str | int, ...], str]:
        """Return the files that valid checks name, as written, by field path."""
        return {
            (name, field): written
            for name, check in checks.items()
            for field, written in self.read(check)[1].files().items()
        }

    def metrics(self, checks: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, MetricInfo]:
        """Return range, direction and version of each check's scores.

        Parameters, and the content of files (relative to `folder`), are part of the version; a combination names its
        members' versions.
        """
        return {name: self._metric(name, checks, folder) for name in checks}

    def _metric(self, name: str, checks: Mapping[str, Mapping[str, Any]], folder: Path) -> MetricInfo:
        kind, params = self.read(checks[name])
        metric = kind.metric
        files = [file_key(folder / written)[:8] for written in params.files().values()]
        version = "/".join(part for part in (metric.version, params.version(), *files) if part)
        metric = replace(metric, version=version)
        if not params.siblings():
            return metric
        named = [f"{each}={self._metric(each, checks, folder).version}" for each in sorted(params.siblings())]
        members = ",".join(named)
        return MetricInfo(metric.lower, metric.upper, metric.higher_is_better, f"{metric.version}({members})")

    def repeats_needed(self, checks: Mapping[str, Mapping[str, Any]]) -> Mapping[tuple[str | int, ...], int]:
        """Return how many repeats of a prompt valid checks need, by the field that says so."""
        read = {name: self.read(check)[1] for name, check in checks.items()}
        return {(name, "k"): getattr(params, "k", 1) for name, params in read.items() if params.spans() == "repeats"}

    def examine(self, checks: Mapping[str, Mapping[str, Any]], folder: Path) -> Sequence[CheckFault]:
        """Return the faults of checks with valid parameters: unknown siblings, cycles, schemas that do not load."""
        faults: list[CheckFault] = []
        read = {name: self.read(check) for name, check in checks.items()}
        for name, (kind, params) in read.items():
            for sibling in params.siblings():
                if sibling not in checks:
                    near = difflib.get_close_matches(sibling, list(checks), n=1)
                    do = f"Did you mean {near[0]!r}?" if near else ""
                    expected = "a check of this suite: one of " + ", ".join(sorted(checks))
                    faults.append(CheckFault((name, kind.name), f"{sibling!r}", expected, do))
                elif read[sibling][0].metric.upper is None and not params.spans():
                    expected = "a check whose scores lie in 0…1"
                    faults.append(CheckFault((name, kind.name), f"{sibling!r}, whose scores have no bounds", expected))
            faults.extend(_spanning_faults(name, kind, params, read))
            try:
                kind.prepare(params, Context(folder, self))
            except (ValueError, OSError) as error:
                faults.append(CheckFault((name, kind.name), str(error), _EXPECTED.get(kind.name, "usable parameters")))
        if not faults:
            faults += [
                CheckFault(
                    (name, read[name][0].name),
                    f"the circle {' → '.join(circle)}",
                    "checks that do not wait for one another",
                )
                for name, circle in [find_circle({name: params.siblings() for name, (_, params) in read.items()})]
                if circle
            ]
        return faults

    def examine_row(self, checks: Mapping[str, Mapping[str, Any]], row: Mapping[str, Any]) -> Sequence[CheckFault]:
        """Return what a row lacks: the reference that a check reads, or its own checks and their faults."""
        faults: list[CheckFault] = []
        read = {name: self.read(check) for name, check in checks.items()}
        answers = 1 + len(row.get("turns") or ())
        for name, (_, params) in read.items():
            if params.turns_needed() > answers:
                expected = f"at least {params.turns_needed()}, for the check {name!r}"
                found = f"a conversation of {answers} answer" + "s" * (answers > 1)
                faults.append(CheckFault((), found, expected, "Add user messages under `turns`."))
            if answers > 1 and params.asks_models() and not params.reads_answer():
                expected = f"a prompt without turns, for the check {name!r} of given texts"
                faults.append(CheckFault(("turns",), "a conversation with the model's own answers", expected))
        wanting = [name for name, (_, params) in read.items() if params.needs_reference()]
        if wanting and row.get("reference") is None:
            expected = f"the field 'reference', which the check {wanting[0]!r} compares with"
            faults.append(CheckFault((), "no 'reference'", expected))
        else:
            problems = {name: read[name][1].reference_problem(row.get("reference")) for name in wanting}
            faults += [
                CheckFault(("reference",), "a reference that does not fit", f"{expected} (check {name!r})")
                for name, expected in problems.items()
                if expected is not None
            ]
        others = (params.row_problem(row) for _, params in read.values())
        faults += [fault for fault in others if fault is not None]
        own = [name for name, (kind, _) in read.items() if kind.name == PER_SAMPLE]
        if own:
            faults.extend(self._examine_own(own[0], row.get("vars", {}).get(ROW_CHECKS)))
        return faults

    def own_checks(
        self, checks: Mapping[str, Mapping[str, Any]], row: Mapping[str, Any]
    ) -> Mapping[tuple[str | int, ...], Mapping[str, Any]]:
        """Return the checks that a row brings itself, by their path inside the row."""
        written = row.get("vars", {}).get(ROW_CHECKS)
        if not isinstance(written, list) or not any(
            self.read(check)[0].name == PER_SAMPLE for check in checks.values()
        ):
            return {}
        return {("vars", ROW_CHECKS, index): check for index, check in enumerate(written) if isinstance(check, dict)}

    def _examine_own(self, name: str, written: Any) -> Iterable[CheckFault]:
        path = ("vars", ROW_CHECKS)
        if not (isinstance(written, list) and written and all(isinstance(each, dict) for each in written)):
            expected = f"a list of checks under vars.{ROW_CHECKS}, which the check {name!r} judges"
            yield CheckFault(("vars",), "no such list" if written is None else "something else", expected)
            return
        for index, check in enumerate(written):
            kind, params = self.read(check)
            asking = type(params).asks is not Params.asks or type(params).follow_ups is not Params.follow_ups
            if asking or params.siblings() or params.files() or params.needs_reference() or kind.name == PER_SAMPLE:
                expected = "a check without siblings, files, reference or questions to a model"
                yield CheckFault((*path, index), f"the check {kind.name!r}", expected)

    def schemas(self) -> Mapping[str, dict[str, Any]]:
        """Return the JSON Schema of each kind's parameters by head key."""
        result = {}
        for name, kind in self.kinds.items():
            schema = kind.params.model_json_schema(ref_template="#/$defs/{model}")
            schema["required"] = sorted({*schema.get("required", []), name})
            result[name] = schema
        return result


_EXPECTED = {"json_schema": "a JSON Schema that can be used without a network"}


def _spanning_faults(
    name: str, kind: CheckKind, params: Params, read: Mapping[str, tuple[CheckKind, Params]]
) -> Iterator[CheckFault]:
    """Yield what a check cannot stand on: what spans repeats stands alone, and counts passes of scores in 0…1."""
    for sibling in params.siblings():
        if sibling not in read:
            continue
        other, inner = read[sibling]
        metric = other.metric
        if inner.spans() == "repeats" or (params.spans() and inner.spans()):
            found, expected = f"{sibling!r}, which spans {inner.spans()} itself", "a check of one answer"
            yield CheckFault((name, kind.name), found, expected)
        elif params.spans() == "turns" and inner.asks_models():
            yield CheckFault((name, kind.name), f"{sibling!r}, which asks a model", "a check of the answer's text")
        elif params.spans() and (metric.lower, metric.upper, metric.higher_is_better) != (0.0, 1.0, True):
            expected = "a check that passes at 1 and fails at 0"
            yield CheckFault((name, kind.name), f"{sibling!r}, whose scores are no passes", expected)


def find_circle(waits_for: Mapping[str, Sequence[str]]) -> tuple[str, tuple[str, ...]]:
    """Return (name, circle) of the first circle, ("", ()) without one."""
    done: set[str] = set()
    for start in waits_for:
        circle = _visit(start, (), waits_for, done)
        if circle:
            return start, circle
    return "", ()


def _visit(
    name: str, trail: tuple[str, ...], waits_for: Mapping[str, Sequence[str]], done: set[str]
) -> tuple[str, ...]:
    if name in trail:
        return (*trail[trail.index(name) :], name)
    if name not in done:
        for sibling in waits_for.get(name, ()):
            circle = _visit(sibling, (*trail, name), waits_for, done)
            if circle:
                return circle
        done.add(name)
    return ()
