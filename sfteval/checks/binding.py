"""A suite's checks bound to one function from answer to outcomes.

Comes in: the `checks:` block and the folder that its files resolve from. Goes out: `Answer` → outcome per check, in
the block's order. This is the boundary where a kind's own failure becomes an outcome without a score: the caller
marks such a sample errored and never has to catch anything.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sfteval.checks.answer import Answer, Outcome, unjudged
from sfteval.checks.catalog import CHECK_TABLE
from sfteval.checks.kinds import Context, Judge, Params
from sfteval.checks.patterns import PatternTimeoutError
from sfteval.checks.table import Table, find_circle
from sfteval.errors import Fault, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

EVIDENCE_CHARACTERS = 300


def bind(
    checks: Mapping[str, Mapping[str, Any]], folder: Path, *, table: Table = CHECK_TABLE
) -> Callable[[Answer], dict[str, Outcome]]:
    """Return the function that judges one answer by every check.

    Args:
        checks: The `checks:` block of a suite that `sfteval.spec` has accepted.
        folder: The suite file's folder.
        table: Kinds to choose from.

    Raises:
        InputError: a check, its parameters or its schema file cannot be used. Judging raises nothing: a check that
            breaks gives an outcome without a score.
    """
    bound = {name: _bound(name, check, folder, table) for name, check in checks.items()}
    waits_for = {name: params.siblings() for name, (params, _) in bound.items()}
    order = _order(waits_for)
    spanning = {name for name, (params, _) in bound.items() if params.spans()}
    in_each_turn = _closure(
        [params.siblings()[0] for params, _ in bound.values() if params.spans() == "turns"], waits_for
    )

    def judge_all(answer: Answer) -> dict[str, Outcome]:
        turns: list[dict[str, Outcome]] = []
        for each in (*answer.earlier, answer):
            outcomes: dict[str, Outcome] = {}
            turns.append(outcomes)
            for name in order if each is answer else [name for name in order if name in in_each_turn]:
                params, judge = bound[name]
                outcomes[name] = guarded(judge, each, _seen(params, turns) if name in spanning else outcomes)
        return {name: turns[-1][name] for name in checks}

    return judge_all


def bind_repeats(
    checks: Mapping[str, Mapping[str, Any]], folder: Path, *, table: Table = CHECK_TABLE
) -> Callable[[Sequence[Mapping[str, Outcome]]], dict[str, Outcome]]:
    """Return the function that judges a prompt by the checks that span its repeats.

    It takes the outcomes of all other checks in each repeat, and returns those of the spanning ones: none for most
    suites. Arguments and errors are those of `bind`.
    """
    bound = {name: _bound(name, check, folder, table) for name, check in checks.items()}
    spanning = {name: pair for name, pair in bound.items() if pair[0].spans() == "repeats"}

    def judge_repeats(repeats: Sequence[Mapping[str, Outcome]]) -> dict[str, Outcome]:
        return {
            name: guarded(judge, Answer(""), _numbered(params, repeats)) for name, (params, judge) in spanning.items()
        }

    return judge_repeats


def _bound(name: str, check: Mapping[str, Any], folder: Path, table: Table) -> tuple[Params, Judge]:
    try:
        kind, params = table.read(check)
        return params, kind.prepare(params, Context(folder, table))
    except (ValueError, OSError) as error:
        raise InputError(Fault(f"checks.{name}", str(error), "a usable check")) from None


def _seen(params: Params, turns: Sequence[Mapping[str, Outcome]]) -> Mapping[str, Outcome]:
    """Return what the judge of a check that spans is shown: its one sibling's outcomes by number."""
    return _numbered(params, turns if params.spans() == "turns" else turns[-1:])


def _numbered(params: Params, outcomes: Sequence[Mapping[str, Outcome]]) -> dict[str, Outcome]:
    """Return the outcome of the one sibling of a spanning check in each turn or repeat."""
    (sibling,) = params.siblings()
    return {str(number): each[sibling] for number, each in enumerate(outcomes, start=1)}


def _closure(names: Sequence[str], waits_for: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return the checks and all that they wait for."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += waits_for[name]
    return found


def guarded(judge: Judge, answer: Answer, outcomes: Mapping[str, Outcome]) -> Outcome:
    """Judge without ever raising; scores that are no finite number become outcomes without a score."""
    try:
        outcome = judge(answer, outcomes)
    except PatternTimeoutError as error:
        outcome = unjudged(str(error))
    except Exception as error:  # noqa: BLE001 - the boundary: hostile text or a user's own check must not end a run
        outcome = unjudged(f"the check broke: {type(error).__name__}: {error}")
    if outcome.score is not None and not math.isfinite(outcome.score):
        outcome = unjudged(f"the check gave {outcome.score}")
    evidence = _storable(outcome.evidence)
    return outcome if evidence == outcome.evidence else replace(outcome, evidence=evidence)


def _order(waits_for: dict[str, tuple[str, ...]]) -> list[str]:
    """Return the checks so that each stands after those it waits for."""
    missing = [
        f"{name} names {each}" for name, siblings in waits_for.items() for each in siblings if each not in waits_for
    ]
    circle = find_circle(waits_for)[1]
    if missing or circle:
        found = missing[0] if missing else "the circle " + " → ".join(circle)
        raise InputError(Fault("checks", found, "siblings that exist and wait for nobody in return"))
    order: list[str] = []
    while len(order) < len(waits_for):
        order += [n for n, siblings in waits_for.items() if n not in order and all(s in order for s in siblings)]
    return order


def _storable(evidence: str) -> str:
    """Cut evidence and spell out what UTF-8 cannot hold, so that every store can write it."""
    if evidence.isascii() and len(evidence) <= EVIDENCE_CHARACTERS:
        return evidence
    text = evidence if len(evidence) <= EVIDENCE_CHARACTERS else evidence[:EVIDENCE_CHARACTERS] + "…"
    return text.encode("utf-8", "backslashreplace").decode()
