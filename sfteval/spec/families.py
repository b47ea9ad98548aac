"""`families.yaml` to a `SuiteFile`: gates that pool the single gates of one skill.

Comes in: a path, the collected root, the suites that were loaded. Goes out: one gate per family whose members are
every single `no_regression` gate against the same baseline in suites of that skill; sequential suites stand for
themselves, since a part of their samples says when to stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.errors import InputError
from sfteval.keys import content_key
from sfteval.records import Families, Family, Gate, Suite, SuiteFile
from sfteval.spec.paths import shown_path
from sfteval.spec.validation import validate
from sfteval.yamlfile import did_you_mean, read_yaml, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.errors import Fault
    from sfteval.yamlfile import FieldPath, Located

PLACEHOLDER = {"name": "placeholder", "no_regression": {"against": "base"}}


def load_families(path: Path, *, root: Path, suites: Sequence[SuiteFile]) -> SuiteFile:
    """Load the family gates of a folder.

    Raises:
        InputError: with all faults of the file; a family without a member is one.
    """
    document = read_yaml(path, shown_path(path, root))
    if not isinstance(document.data, dict):
        raise InputError(document.fault((), shown(document.data), "a mapping with the field 'family'"))
    faults: list[Fault] = []
    written = document.data.get("family")
    stand_in = {"family": PLACEHOLDER} if "family" in document.data else {}
    validate(Families, document, (), faults, document.data | stand_in)
    if "family" in document.data and not (isinstance(written, dict | list) and written):
        faults.append(document.fault(("family",), f"{shown(written)} in family", "a family or a list of families"))
    placed = _families(document, faults)
    gates = tuple(_gate(family, place, document, suites, faults) for place, family in placed.items())
    _duplicates(placed, gates, document, faults)
    if faults:
        raise InputError(sorted(faults, key=lambda fault: (fault.line, fault.column)))
    families = tuple(placed.values())
    return SuiteFile(path, Families(family=families), gates, content_key(list(families)))


def _families(document: Located, faults: list[Fault]) -> dict[FieldPath, Family]:
    written = document.data.get("family")
    places: list[FieldPath] = [("family",)] if isinstance(written, dict) and written else []
    if isinstance(written, list):
        places = [("family", index) for index in range(len(written))]
    loaded = {place: validate(Family, document, place, faults) for place in places}
    return {place: family for place, family in loaded.items() if family is not None}


def _gate(
    family: Family, place: FieldPath, document: Located, suites: Sequence[SuiteFile], faults: list[Fault]
) -> Gate:
    against = family.no_regression.against
    members = tuple(
        gate
        for file in suites
        if isinstance(file.suite, Suite) and file.suite.skill == family.name and not file.suite.sequential
        for gate in file.gates
        if gate.demand == "no_regression" and gate.against == against and not gate.slice
    )
    if not members:
        skills = {file.suite.skill for file in suites if isinstance(file.suite, Suite)}
        found = f"the family {family.name!r} without a member"
        expected = f"a no_regression gate against {against} in a suite with skill: {family.name}"
        faults.append(
            document.fault((*place, "name"), found, expected, did_you_mean(family.name, skills - {family.name}))
        )
    return Gate(
        id=f"{family.name}-no_regression-against-{against}",
        path=document.where,
        line=document.mark(place).line,
        suite="",
        task="",
        check=family.name,
        demand="no_regression",
        threshold=family.no_regression.margin,
        against=against,
        proof=family.proof,
        alpha=family.alpha,
        members=members,
    )


def _duplicates(
    placed: dict[FieldPath, Family], gates: tuple[Gate, ...], document: Located, faults: list[Fault]
) -> None:
    first: dict[str, int] = {}
    for place, gate in zip(placed, gates, strict=True):
        if gate.id in first:
            found = f"the gate id {gate.id!r} twice (first in line {first[gate.id]})"
            faults.append(document.fault(place, found, "each family once per baseline"))
        first.setdefault(gate.id, gate.line)
