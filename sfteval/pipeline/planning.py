"""Suite files to a plan and its graders: the first joint of the line (spec, tasks and checks meet plan).

Nothing here loads a model. `load_files` is cheap (no torch, no lm-eval) and runs at pytest collection;
`plan_files` loads lm-eval tasks and runs once per session.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from sfteval.checks import CHECK_TABLE
from sfteval.errors import Fault, InputError
from sfteval.keys import content_key
from sfteval.pipeline.drawing import check_drawable, draw
from sfteval.pipeline.grading import CheckGrader, LmEvalGrader
from sfteval.pipeline.own_checks import load_installed
from sfteval.pipeline.suite_paths import FAMILIES_NAME, SUITE_SUFFIX, is_suite_path
from sfteval.plan import chat_items, make_plan
from sfteval.records import Families, Suite
from sfteval.spec import load_families, load_suites, require_distinct

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sfteval.pipeline.drawing import Drawn
    from sfteval.pipeline.grading import Graded, Known
    from sfteval.records import Gate, Inquiry, Item, MetricInfo, Plan, Sample, SuiteFile
    from sfteval.requests import Asked


class Grader(Protocol):
    """Turns the responses to one item into scores and what people are shown; `folder` is the suite file's."""

    folder: Path

    def watched(self, asked: Asked) -> Asked:
        """Return an ask whose generations end when every check is lost, if the suite wants that."""
        ...

    def follow_ups(self, item: Item, known: Known) -> tuple[Inquiry, ...]:
        """Return what must be asked (of this model or another) before `item` can be graded, () when all is known."""
        ...

    def grade(self, item: Item, known: Known) -> Graded:
        """Grade `item`; `known` holds the responses to everything that was asked."""
        ...

    def together(self, samples: Sequence[Sample]) -> list[Sample]:
        """Add what only the samples of a suite together say, such as pass@k over the repeats of a prompt."""
        ...


@dataclass(frozen=True)
class Planned:
    """A plan with what only the process that evaluates it needs."""

    plan: Plan
    graders: Mapping[str, Grader]
    metrics: Mapping[str, MetricInfo]

    def items(self, suite: str) -> tuple[Item, ...]:
        """Return the items of one suite."""
        return tuple(item for item in self.plan.items if item.suite == suite)

    def only(self, suites: Collection[str]) -> Planned:
        """Return the plan of some of its suites."""
        files = tuple(f for f in self.plan.suites if isinstance(f.suite, Suite) and f.suite.suite in suites)
        items = tuple(item for item in self.plan.items if item.suite in suites)
        fingerprint = content_key([file.fingerprint for file in files], [item.key for item in items])
        plan = replace(self.plan, suites=files, items=items, fingerprint=fingerprint)
        metrics = {key: info for key, info in self.metrics.items() if key.split("/", 1)[0] in suites}
        return replace(self, plan=plan, metrics=metrics)

    def drawn(self, suite: str) -> dict[str, Drawn]:
        """Return the draw of each task of a sequential suite; nothing for suites that are answered in full."""
        found = next(f.suite for f in self.plan.suites if isinstance(f.suite, Suite) and f.suite.suite == suite)
        return draw(found, self.items(suite)) if found.sequential else {}

    @property
    def suite_names(self) -> tuple[str, ...]:
        """Names of the suites in order, families left out."""
        return tuple(file.suite.suite for file in self.plan.suites if isinstance(file.suite, Suite))


def load_file(path: Path, root: Path) -> tuple[SuiteFile, ...]:
    """Load the suites of one file (several with a matrix), or a `families.yaml` with those of its folder behind it.

    Raises:
        InputError: with every fault of the file.
    """
    load_installed()
    if path.name != FAMILIES_NAME:
        return load_suites(path, root=root, checks=CHECK_TABLE)
    below = sorted(path.parent.rglob(f"*{SUITE_SUFFIX}"))
    suites = [suite for each in below for suite in load_suites(each, root=root, checks=CHECK_TABLE)]
    return (load_families(path, root=root, suites=suites),)


def load_files(paths: Iterable[Path], root: Path) -> tuple[SuiteFile, ...]:
    """Load all suite files under `paths` (files or folders), suites before families.

    Raises:
        InputError: with the faults of all files at once.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(Fault(str(path), "nothing", "a suite file or a folder of suites"))
        found += sorted(p for p in path.rglob("*.yaml") if is_suite_path(p)) if path.is_dir() else [path]
    faults: list[Fault] = []
    files: list[SuiteFile] = []
    for path in sorted(dict.fromkeys(found), key=lambda p: (p.name == FAMILIES_NAME, str(p))):
        try:
            files += load_file(path, root)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    if not files:
        where = ", ".join(str(p) for p in paths)
        raise InputError(Fault(where, "no suite files", f"files named *{SUITE_SUFFIX}", "Make some with: sfteval init"))
    return tuple(files)


def plan_files(files: Sequence[SuiteFile], gates: Sequence[Gate] | None = None) -> Planned:
    """Load tasks, resolve items and metrics, and make the plan.

    Args:
        files: All suite files of the session.
        gates: The gates that are selected; suites that none of them needs are left out of the items. None: all.

    Raises:
        InputError: two suites of one name, an unknown task, a gate on a metric that nothing makes.
    """
    require_distinct([file for file in files if isinstance(file.suite, Suite)])
    needed = None if gates is None else {member.suite for gate in gates for member in (gate.members or (gate,))}
    there = [file for file in files if not file.unmet]
    kept = [f for f in there if not isinstance(f.suite, Suite) or needed is None or f.suite.suite in needed]
    items: dict[str, Sequence[Item]] = {}
    metrics: dict[str, dict[str, MetricInfo]] = {}
    graders: dict[str, Grader] = {}
    warnings = [warning for file in files for warning in _left_out(file)]
    for file in kept:
        if isinstance(file.suite, Suite):
            items[file.suite.suite] = _resolve(file, metrics, graders, warnings)
    selected = [f for f in kept if isinstance(f.suite, Suite)]
    selected += [f for f in files if isinstance(f.suite, Families) and (gates is None or set(f.gates) & set(gates))]
    plan = make_plan(selected, items, metrics, warnings)
    flat = {f"{place}/{name}": info for place, made in metrics.items() for name, info in made.items()}
    for file in selected:
        if isinstance(file.suite, Suite) and file.suite.sequential:
            check_drawable(file, items[file.suite.suite], flat)
    return Planned(plan, graders, flat)


def _resolve(
    file: SuiteFile, metrics: dict[str, dict[str, MetricInfo]], graders: dict[str, Grader], warnings: list[str]
) -> Sequence[Item]:
    suite = file.suite
    assert isinstance(suite, Suite)
    if suite.lm_eval is None:
        metrics[f"{suite.suite}/"] = CHECK_TABLE.metrics(suite.checks, file.path.parent)
        grader = CheckGrader(suite.checks, file.path.parent, early_exit=suite.early_exit)
        graders[suite.suite] = grader
        warnings += _doubts(suite, grader)
        return [grader.with_asks(item) for item in chat_items(suite)]
    from sfteval.tasks import load_tasks

    loaded = load_tasks(suite.suite, suite.lm_eval, folder=file.path.parent)
    graders[suite.suite] = LmEvalGrader(file.path.parent)
    for task in loaded:
        metrics[f"{suite.suite}/{task.name}"] = dict(task.metrics)
        warnings += task.warnings
    return [item for task in loaded for item in task.items]


def _doubts(suite: Suite, grader: CheckGrader) -> Iterator[str]:
    """Yield what a suite asks for in vain."""
    if suite.early_exit and grader.only_whole:
        names = ", ".join(grader.only_whole)
        yield f"{suite.suite}: early_exit has no effect: only a whole answer settles {names}"
    if suite.n > 1 and suite.generate.temperature == 0:
        yield f"{suite.suite}: n: {suite.n} at temperature 0: all repeats of a prompt are one and the same answer"


def _left_out(file: SuiteFile) -> Iterator[str]:
    """Yield that a suite is not evaluated because something that it requires is missing."""
    if file.unmet and isinstance(file.suite, Suite):
        yield f"{file.suite.suite}: not evaluated: {'; '.join(file.unmet)}"
