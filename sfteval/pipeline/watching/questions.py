"""What a watched training is asked: the gates of its suites against base, and which samples choose, which judge.

Comes in: the `Hooks` settings. Goes out: `Questions`, or every fault of the suites: before a model is loaded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sfteval.errors import Fault, InputError
from sfteval.keys import content_key, share_key
from sfteval.pipeline.planning import Planned, load_files, plan_files
from sfteval.records import Gate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.records import Item, SuiteFile
    from sfteval.train.hook_config import Hooks


@dataclass(frozen=True, slots=True)
class Questions:
    """Gates and samples of a watched training.

    Attributes:
        planned: Everything that base is asked.
        budgets: `no_regression` gates against base, families among them.
        targets: What the kept checkpoint is chosen by.
        validation: Keys of the items that looks are made on.
        held_out: Keys of the items that judge the kept checkpoint.
    """

    planned: Planned
    budgets: tuple[Gate, ...]
    targets: tuple[Gate, ...]
    validation: frozenset[str]
    held_out: frozenset[str]

    def only(self, keys: frozenset[str]) -> Planned:
        """Return the plan of some of the items."""
        plan = self.planned.plan
        items = tuple(item for item in plan.items if item.key in keys)
        fingerprint = content_key(plan.fingerprint, [item.key for item in items])
        return replace(self.planned, plan=replace(plan, items=items, fingerprint=fingerprint))


def questions(hooks: Hooks) -> Questions:
    """Load the suites and decide what is asked.

    Raises:
        InputError: Faults of the suites, no gate against base, an unknown target, a suite too small to be split.
    """
    files = load_files([Path(path).expanduser() for path in hooks.suites], Path.cwd())
    gates = [gate for file in files for gate in file.gates if gate.against == "base" and not gate.slice]
    budgets = tuple(gate for gate in gates if gate.demand == "no_regression")
    targets = tuple(gate for gate in gates if gate.demand == "improves")
    if hooks.target is not None:
        targets = (_target(hooks.target, files),)
    if not budgets and not targets:
        where = ", ".join(hooks.suites)
        expected = "a no_regression gate against base (a forgetting budget) or an improves gate against base"
        raise InputError(Fault(where, "no gate against base", expected, "A training is watched against its base"))
    planned = plan_files(files, [*budgets, *targets])
    _check_target(hooks.target, targets, planned)
    validation, held_out = split_items(planned.plan.items, hooks.validation, hooks.samples)
    asked = Questions(planned, budgets, targets, validation, held_out)
    return asked if hooks.samples is None else replace(asked, planned=asked.only(validation | held_out))


def _target(name: str, files: Sequence[SuiteFile]) -> Gate:
    suite, _, check = name.rpartition("/")
    suite, _, task = suite.partition("/")
    known = {gate.suite for file in files for gate in file.gates if gate.suite}
    if suite not in known:
        expected = "SUITE/CHECK (or SUITE/TASK/CHECK) of the suites " + ", ".join(sorted(known))
        raise InputError(Fault("hooks.target", repr(name), expected))
    return Gate(f"target-{check}", "hooks", 0, suite, task, check, "improves", 0.0, "base", "none", 0.05)


def _check_target(name: str | None, targets: Sequence[Gate], planned: Planned) -> None:
    if name is None:
        return
    (target,) = targets
    if f"{target.suite}/{target.task}/{target.check}" not in planned.metrics:
        made = ", ".join(sorted(key.replace("//", "/") for key in planned.metrics))
        raise InputError(Fault("hooks.target", repr(name), f"one of {made}"))


def split_items(items: Sequence[Item], share: float, limit: int | None) -> tuple[frozenset[str], frozenset[str]]:
    """Return the keys that choose and the keys that judge: by hash, samples of one cluster on one side.

    Raises:
        InputError: One side of a suite or task is empty.
    """
    validation: set[str] = set()
    held_out: set[str] = set()
    taken: Counter[tuple[str, str]] = Counter()
    for item in sorted(items, key=_place):
        place = item.suite, item.task
        if share_key(f"{item.suite}/{item.task}/{item.cluster or item.sample_id}") >= share:
            held_out.add(item.key)
        elif limit is None or taken[place] < limit:
            taken[place] += 1
            validation.add(item.key)
    for suite, task in dict.fromkeys((item.suite, item.task) for item in items):
        mine = {item.key for item in items if (item.suite, item.task) == (suite, task)}
        if not mine & validation or not mine & held_out:
            found = f"{len(mine)} samples, none of which {'chooses' if not mine & validation else 'judges'}"
            expected = "samples on both sides of hooks.validation"
            raise InputError(Fault(f"{suite}/{task}".strip("/"), found, expected, "Add samples"))
    return frozenset(validation), frozenset(held_out)


def _place(item: Item) -> float:
    return share_key(f"order/{item.key}")
