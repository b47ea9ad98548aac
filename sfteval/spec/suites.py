"""One `*.suite.yaml` to a `SuiteFile`: everything resolved, or every fault of the file at once.

Comes in: a path, the collected root, the table of checks. Goes out: the suite with its rows inline (`system` is not
yet put before them), its gates, and the hash of what it asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError
from sfteval.keys import content_key, file_key
from sfteval.records import GateSpec, Suite, SuiteFile
from sfteval.spec.check_block import check_block_faults, row_faults
from sfteval.spec.extending import read_extended
from sfteval.spec.gates import duplicate_faults, expand_gates, slice_faults
from sfteval.spec.matrix import matrix_faults, variants
from sfteval.spec.paths import Fence
from sfteval.spec.prompts import asked_row, example_faults, load_examples
from sfteval.spec.requirements import unmet
from sfteval.spec.samples import load_rows
from sfteval.spec.tags import kept_rows
from sfteval.spec.validation import validate
from sfteval.yamlfile import did_you_mean, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sfteval.records import ExampleRow, SampleRow
    from sfteval.spec.checktable import CheckTable
    from sfteval.spec.samples import PlacedRow
    from sfteval.yamlfile import Located

PLACEHOLDER = [{"id": "placeholder", "messages": [{"role": "user", "content": "judged row by row"}]}]
NOT_ASKED = {"suite", "extends", "description", "skill", "weight", "gates", "max_errored", "slices"}
NOT_ASKED |= {"requires", "matrix", "only", "skip", "template", "few_shot"}
"""What changes no answer and no score, or stands in the samples already."""
TASK_FILES = {".yaml", ".yml", ".json", ".jsonl", ".csv", ".py", ".txt"}


def load_suites(path: Path, *, root: Path, checks: CheckTable) -> tuple[SuiteFile, ...]:
    """Load one suite file: one suite, or one for each combination of its `matrix`.

    Args:
        path: The file.
        root: Folder that was collected: gate paths are relative to it, and files may come from inside it.
        checks: Table of check kinds.

    Raises:
        InputError: with all faults of the file (and of its samples file), in the order of their lines.
    """
    document = read_extended(path, root, checks)
    fence = Fence(path.parent, root)
    faults: list[Fault] = []
    missing = unmet(document, fence, faults)
    placed, examples = ([], ()) if missing else (_rows(document, fence, faults), load_examples(document, fence, faults))
    suite = _validate_suite(document, faults)
    if not missing:
        faults.extend(check_block_faults(document, fence, checks))
    if not faults:
        faults.extend(fault for row in placed for fault in row_faults(row, document.data["checks"], checks))
    faults.extend(_gate_faults(document))
    if not missing:
        faults.extend(_include_path_faults(document, fence))
    if suite is not None:
        faults.extend(matrix_faults(suite, document))
    _raise(faults, document)
    assert suite is not None
    if placed:
        suite = _with_rows(suite, [each.row for each in placed], examples, document)
    return tuple(
        _suite_file(path, variant, document, suffix, (missing, fence, checks))
        for suffix, variant in variants(suite, document)
    )


def load_suite(path: Path, *, root: Path, checks: CheckTable) -> SuiteFile:
    """Load a file that holds one suite; see `load_suites`. Raises ValueError for one with a matrix."""
    (file,) = load_suites(path, root=root, checks=checks)
    return file


def _rows(document: Located, fence: Fence, faults: list[Fault]) -> list[PlacedRow]:
    return load_rows(document, fence, faults) if document.data.get("samples") is not None else []


def _with_rows(suite: Suite, rows: Sequence[SampleRow], examples: tuple[ExampleRow, ...], document: Located) -> Suite:
    """Return the suite with its rows, those that it takes, and its examples. Raises InputError."""
    faults: list[Fault] = []
    kept = kept_rows(suite, rows, document, faults)
    if not faults:
        faults.extend(slice_faults(suite, kept, document))
    if suite.few_shot is not None:
        few_shot = suite.few_shot.model_copy(update={"examples": examples})
        suite = suite.model_copy(update={"few_shot": few_shot})
        faults.extend(example_faults(few_shot, kept, document))
    _raise(faults, document)
    return suite.model_copy(update={"samples": tuple(kept)})


def _suite_file(
    path: Path, suite: Suite, document: Located, suffix: str, given: tuple[tuple[str, ...], Fence, CheckTable]
) -> SuiteFile:
    """Return one suite (of a matrix); its samples are then what is asked, examples and template included."""
    missing, fence, checks = given
    gates = expand_gates(suite, document, suffix)
    if missing:
        return SuiteFile(path, suite, gates, content_key(suite.model_dump(mode="json", exclude=NOT_ASKED)), missing)
    if isinstance(suite.samples, tuple):
        name = suite.suite.removesuffix(f"-{suffix}") if suffix else suite.suite
        rows = tuple(asked_row(row, suite, name) for row in suite.samples)
        suite = suite.model_copy(update={"samples": rows})
    source = document.data.get("samples")
    trained = isinstance(source, dict) and "train" in source
    return SuiteFile(path, suite, gates, _fingerprint(suite, fence, checks), trained=trained)


def _raise(faults: Sequence[Fault], document: Located) -> None:
    if faults:
        raise InputError(sorted(faults, key=lambda fault: (fault.where != document.where, fault.line, fault.column)))


def require_distinct(suites: Sequence[SuiteFile]) -> None:
    """Raise InputError when two files name the same suite: their samples would be taken for one suite's."""
    first: dict[str, SuiteFile] = {}
    faults = []
    for file in suites:
        assert isinstance(file.suite, Suite)
        name, where = file.suite.suite, file.gates[0].path
        if name in first:
            found = f"the suite name {name!r}, which {first[name].gates[0].path} has too"
            faults.append(Fault(where, found, "each suite name once", "Rename one of them."))
        first.setdefault(name, file)
    if faults:
        raise InputError(faults)


def _validate_suite(document: Located, faults: list[Fault]) -> Suite | None:
    """Validate everything but the rows, which a placeholder stands for."""
    data = dict(document.data)
    if data.get("samples") is not None:
        data["samples"] = PLACEHOLDER
    few_shot = data.get("few_shot")
    if isinstance(few_shot, dict) and isinstance(few_shot.get("from"), list):
        data["few_shot"] = {**few_shot, "from": "judged row by row"}
    sources = list(_source_faults(document))
    own: list[Fault] = []
    suite = validate(Suite, document, (), own, data)
    combination = "a combination that does not fit"
    faults.extend(fault for fault in own if not (sources and fault.found.startswith(combination)))
    faults.extend(sources)
    return suite


def _source_faults(document: Located) -> Iterator[Fault]:
    samples, block = document.data.get("samples"), document.data.get("lm_eval")
    checks = document.data.get("checks")
    if samples is None and block is None:
        yield document.fault((), "a suite without samples", "samples (with checks) or an lm_eval block")
    if samples is not None and block is not None:
        yield document.fault(("lm_eval",), "samples and lm_eval in one suite", "one of the two", key=True)
    if samples is not None and "checks" not in document.data:
        yield document.fault((), "samples without checks", "the field 'checks'")
    if samples is not None and checks == {}:
        yield document.fault(("checks",), "an empty mapping in checks", "at least 1 check")
    if block is not None and document.data.get("early_exit") is True:
        expected = "none: no checks settle lm-eval's answers"
        yield document.fault(("early_exit",), "early_exit beside lm_eval", expected, key=True)
    if block is not None and document.data.get("n", 1) != 1:
        yield document.fault(("n",), "n beside lm_eval", "none: n repeats the prompts of samples", key=True)
    for field in ("only", "skip", "template", "few_shot"):
        if block is not None and document.data.get(field):
            expected = "none: lm-eval's tasks have documents of their own"
            yield document.fault((field,), f"{field} beside lm_eval", expected, key=True)
    if block is not None and checks and samples is None:
        yield document.fault(("checks",), "checks beside lm_eval", "none: the tasks bring their metrics", key=True)


def _gate_faults(document: Located) -> Iterator[Fault]:
    gates, block = document.data.get("gates"), document.data.get("lm_eval")
    checks = document.data.get("checks")
    if not isinstance(gates, list):
        return
    known = list(checks) if isinstance(checks, dict) else []
    specs: dict[int, GateSpec] = {}
    for index, gate in enumerate(gates):
        name = gate.get("check") if isinstance(gate, dict) else None
        if isinstance(name, str) and block is None and known and name not in known:
            path = ("gates", index, "check")
            yield document.fault(
                path, f"a gate on {name!r}", f"a check of this suite: {one_of(known)}", did_you_mean(name, known)
            )
        if document.data.get("sequential") is True and isinstance(gate, dict) and gate.get("slice"):
            expected = "a gate on the whole of a sequential suite; make the slice a suite of its own"
            yield document.fault(("gates", index, "slice"), "a gate on a slice of a sequential suite", expected)
        spec = validate(GateSpec, document, ("gates", index), [])
        if spec is not None:
            specs[index] = spec
    tasks = block.get("tasks") if isinstance(block, dict) else None
    listed = tuple(task for task in tasks if isinstance(task, str)) if isinstance(tasks, list) else ("",)
    if len(set(listed)) < len(listed):
        twice = next(task for task in listed if listed.count(task) > 1)
        yield document.fault(("lm_eval", "tasks"), f"the task {twice!r} twice", "each task once")
        listed = tuple(dict.fromkeys(listed))
    yield from duplicate_faults(specs, listed, document)


def _include_path_faults(document: Located, fence: Fence) -> Iterator[Fault]:
    block = document.data.get("lm_eval")
    written = block.get("include_path") if isinstance(block, dict) else None
    if isinstance(written, str):
        problem = fence.problem(written, "lm_eval.include_path", want_folder=True)
        if problem is not None:
            yield document.fault(("lm_eval", "include_path"), *problem)


def _fingerprint(suite: Suite, fence: Fence, checks: CheckTable) -> str:
    """Hash what is asked and how it is judged: content only, so that a renamed folder changes nothing."""
    asked: dict[str, Any] = suite.model_dump(mode="json", exclude=NOT_ASKED)
    files = [fence.path(written) for written in checks.files(suite.checks).values()]
    if suite.lm_eval is not None and suite.lm_eval.include_path is not None:
        asked["lm_eval"].pop("include_path")
        tasks = fence.path(suite.lm_eval.include_path).rglob("*")
        files += [file for file in tasks if file.suffix in TASK_FILES and file.is_file()]
    return content_key(asked, sorted(file_key(file) for file in files))
