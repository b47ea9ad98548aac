"""The pytest plugin: suite files become items, one per gate; the verdict is the exit status. Rank 4, no logic.

Comes in: pytest's hooks. Goes out: items, reports with every gate's figures as JUnit properties, and the exit codes of
the design (0 ship, 1 do not ship, 20 open where proof is required, 21 broke; 4 for mistakes in suites or options).
Loading the plugin is nearly free, and collection imports neither torch nor lm-eval. All evidence of the session is in
before the first item reports.

Under pytest-xdist every worker evaluates the suites that it can lease, waits for the rest and judges from the store;
the controller sets the exit code from the workers' reports. Silent where no suite is collected.
"""

from __future__ import annotations

import keyword
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from sfteval.errors import (
    EXIT_BROKE,
    EXIT_DO_NOT_SHIP,
    EXIT_SHIP,
    DiskError,
    Fault,
    InputError,
    SftevalError,
    StoreError,
)
from sfteval.model_fixtures import SAMPLES_MARK, base, candidate, previous, session_settings
from sfteval.pipeline.settings import no_candidate
from sfteval.pipeline.suite_paths import SUITE_SUFFIX, is_suite_path

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from sfteval.pipeline.release import Release
    from sfteval.pipeline.settings import Settings
    from sfteval.records import Gate, SuiteFile

FIXTURES = (base, candidate, previous)
"""pytest finds them in this module's namespace."""
USAGE_ERROR = int(pytest.ExitCode.USAGE_ERROR)
_OPTIONS = (
    ("--candidate", "MODEL", "model that wants to ship: hub id, checkpoint or adapter folder, .gguf file, run id"),
    ("--base", "MODEL", "model before SFT (default: the candidate's own base)"),
    ("--previous", "RUN", "last release: a run id, 'promoted' (default), 'latest', or 'none' if there is none yet"),
    ("--runs-dir", "DIR", "where runs are stored (default: runs/ at the root)"),
    ("--verdicts", "FILE", "write every verdict as JSON to FILE"),
    ("--report", "DIR", "write the pages of this release, and of all runs, to DIR"),
    ("--summary", "FILE", "write a Markdown summary of this release to FILE (in GitHub Actions also to the job's)"),
)


class BlockedError(Exception):
    """A gate keeps the release from shipping; the text is the evidence."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each of the first four can also be set under [tool.sfteval] in pyproject.toml."""
    group = parser.getgroup("sfteval", "gates on fine-tuned models (sfteval)")
    for flag, metavar, text in _OPTIONS:
        group.addoption(flag, metavar=metavar, default=None, help=text)
    group.addoption("--promote-on-pass", action="store_true", help="make the candidate's run the next 'previous'")


_SESSION = pytest.StashKey["Session"]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the session's hooks."""
    session = Session(config)
    config.stash[_SESSION] = session
    config.pluginmanager.register(session, "sfteval-session")
    config.addinivalue_line("markers", f"{SAMPLES_MARK}(generation): set by sfteval.samples: one test per sample")
    config.addinivalue_line("markers", "gate: set on every gate of one suite, beside its skill")
    config.addinivalue_line("markers", "family: set on every gate of a family, beside its skill")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SuiteCollector | None:
    """Collect `*.suite.yaml` and `families.yaml`."""
    if not is_suite_path(file_path):
        return None
    parent.config.stash[_SESSION].paths.append(file_path)
    return SuiteCollector.from_parent(parent, path=file_path)


class SuiteCollector(pytest.File):
    """One suite file."""

    def collect(self) -> Iterator[GateItem]:
        """Yield one item per gate; all faults of the file are raised at once."""
        session = self.config.stash[_SESSION]
        for file in session.load(self.path):
            for gate in file.gates:
                item = GateItem.from_parent(self, name=gate.id, gate=gate)
                item.add_marker("family" if gate.members else "gate")
                item.add_marker(session.mark(getattr(file.suite, "skill", gate.check)))
                yield item

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show an author's mistakes without a traceback."""
        del style
        return str(excinfo.value) if isinstance(excinfo.value, SftevalError) else super().repr_failure(excinfo)


class GateItem(pytest.Item):
    """One gate of a release."""

    def __init__(self, *, gate: Gate, **kwargs: Any) -> None:
        """Keep the gate; its row arrives when it is judged."""
        super().__init__(**kwargs)
        self.gate = gate
        self.row: dict[str, Any] | None = None

    def runtest(self) -> None:
        """Judge the gate: return to pass, skip what has no baseline by declaration, raise what blocks."""
        from sfteval.report.rows import evidence, properties

        self.row = self.config.stash[_SESSION].row(self.gate)
        self.user_properties.extend(properties(self.row))
        if self.row["blocks"]:
            raise BlockedError(evidence(self.row))
        if self.row["verdict"] == "NOT_JUDGED":
            pytest.skip("; ".join(self.row["reasons"]))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Point at the gate's line in its file."""
        return self.path, max(self.gate.line - 1, 0), self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the evidence instead of a traceback."""
        if isinstance(excinfo.value, (SftevalError, BlockedError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)


class Session:
    """The hooks of one pytest session: what was collected, the release, and the rows that items brought back."""

    def __init__(self, config: pytest.Config) -> None:
        """Start empty."""
        self.config = config
        self.paths: list[Path] = []
        self._marks: dict[str, str] = {}
        self._loaded: dict[Path, tuple[SuiteFile, ...]] = {}
        self.release: Release | None = None
        self.error: SftevalError | None = None
        self.rows: dict[str, dict[str, Any]] = {}
        self.warnings: dict[str, None] = {}
        self.codes: list[int] = []
        self.other_failures = False
        self.faulty = False
        self.planned = 0
        self.skipped = False

    @property
    def settings(self) -> Settings:
        """Options, `[tool.sfteval]`, defaults."""
        return session_settings(self.config)

    @property
    def is_worker(self) -> bool:
        """True in an xdist worker."""
        return hasattr(self.config, "workerinput")

    def row(self, gate: Gate) -> dict[str, Any]:
        """Return the judged gate as plain data, or raise what kept the evidence from being made."""
        from sfteval.report.rows import verdict_row

        if self.error is not None:
            raise self.error
        if self.release is None:
            msg = "the evidence of this session was not gathered"
            raise SftevalError(msg)
        return verdict_row(self.release.verdicts()[gate.node], self.release.runs, self.release.slices(gate))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Gather all evidence before the first item (in each worker under xdist, sharing the work by leases)."""
        gates = [item.gate for item in session.items if isinstance(item, GateItem)]
        stopped = session.testsfailed and not self.config.option.continue_on_collection_errors
        if not gates or stopped or self.config.option.collectonly:
            return
        try:
            self._gather(gates)
        except SftevalError as error:
            self.error = error
            if not self.is_worker:
                self.codes.append(_code(error))
                _stop(error)

    def mark(self, skill: str) -> str:
        """Return the mark of a skill, known to pytest from now on; "-" becomes "_".

        A name that means something already (`skip` would skip the gates), or that `-m` or a mark cannot be, gets
        "skill_" before it.
        """
        if skill not in self._marks:
            name = skill.replace("-", "_")
            if name in self._taken or keyword.iskeyword(name) or name.startswith("_"):
                name = f"skill_{name}"
            self._marks[skill] = name
            self.config.addinivalue_line("markers", f"{name}: set on gates of the skill {skill!r}")
        return self._marks[skill]

    @cached_property
    def _taken(self) -> frozenset[str]:
        """Marks of pytest, of its plugins and of the project, as they were before the first skill's."""
        return frozenset(line.split(":")[0].split("(")[0].strip() for line in self.config.getini("markers"))

    def load(self, path: Path) -> tuple[SuiteFile, ...]:
        """Return the suites of a file, read once. Raises InputError with its faults."""
        from sfteval.pipeline.planning import load_file

        if path not in self._loaded:
            self._loaded[path] = load_file(path, self.config.rootpath)
        return self._loaded[path]

    def _files(self) -> list[SuiteFile]:
        """Return every suite of the session, also those that `--lf` passes over and those that families pool.

        The error rate is that of the whole plan, whatever is selected from it.
        """
        paths = list(dict.fromkeys(self.paths))
        members = [
            member for path in paths for file in self.load(path) for gate in file.gates for member in gate.members
        ]
        paths += [self.config.rootpath / member.path for member in members]
        return [file for path in dict.fromkeys(paths) for file in self.load(path)]

    def _gather(self, gates: list[Gate]) -> None:
        from sfteval.pipeline.release import Release
        from sfteval.report.progress import progress

        stream = sys.__stderr__
        live = stream is not None and stream.isatty() and not self.is_worker
        with progress(live=live) as watch:
            files = self._files()
            self.planned = sum(len(file.gates) for file in files)
            self.release = Release(files, gates, self.settings, watch)
            self.release.verdicts()

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Mark the report of a suite file with faults, so that an xdist controller knows the exit code too."""
        report = yield
        if report.failed and isinstance(collector, SuiteCollector):
            report.sfteval_faulty = True  # type: ignore[attr-defined]
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note suite files with faults."""
        self.faulty |= getattr(report, "sfteval_faulty", False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the gate's row (or the exit code of what went wrong) to its report; it travels to a controller."""
        report = yield
        if isinstance(item, GateItem) and call.when == "call":
            report.sfteval_row = item.row  # type: ignore[attr-defined]
            report.sfteval_warnings = list(self.release.warnings) if self.release else []  # type: ignore[attr-defined]
            report.sfteval_planned = self.planned  # type: ignore[attr-defined]
            if item.row is None:
                error = call.excinfo.value if call.excinfo else None
                report.sfteval_code = _code(error)  # type: ignore[attr-defined]
        elif call.excinfo is not None and _broke(call.excinfo.value):
            report.sfteval_code = EXIT_BROKE  # type: ignore[attr-defined]
        elif isinstance(item, GateItem) and report.skipped:
            report.sfteval_skipped = True  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect rows and codes (on the controller as well)."""
        row = getattr(report, "sfteval_row", None)
        self.warnings |= dict.fromkeys(getattr(report, "sfteval_warnings", ()))
        self.planned = max(self.planned, getattr(report, "sfteval_planned", 0))
        self.skipped |= getattr(report, "sfteval_skipped", False)
        if row is not None:
            self.rows[report.nodeid] = row
            self.codes.append(row["exit_code"])
        elif hasattr(report, "sfteval_code"):
            self.codes.append(report.sfteval_code)
        elif report.failed and is_suite_path(Path(report.nodeid.split("::")[0])):
            self.codes.append(EXIT_BROKE)  # a gate without an answer: its worker is gone
        elif report.failed:
            self.other_failures = True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Close with the table of this release."""
        if not self.rows or self.is_worker:
            return
        from sfteval.pipeline.outputs import github_lines
        from sfteval.report.terminal import summary

        writer = terminalreporter._tw  # the public API gives neither width nor colour support
        verbosity = self.config.get_verbosity()
        terminalreporter.write_line("")
        for line in summary(
            list(self.rows.values()), width=writer.fullwidth, colour=writer.hasmarkup, verbosity=verbosity
        ):
            terminalreporter.write_line(line)
        for text in self.warnings:
            terminalreporter.write_line(f"warning: {text}")
        for line in github_lines(list(self.rows.values()), self.config.rootpath):
            terminalreporter.write_line(line)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Set the exit code, write what was asked for, promote on a pass."""
        if self.is_worker:
            return
        if self.faulty:
            session.exitstatus = USAGE_ERROR
        elif self.codes and exitstatus in (0, 1):
            session.exitstatus = _joined(self.codes, self.other_failures, list(self.rows.values()))
        elif self.skipped and exitstatus == 0:
            sys.stderr.write("sfteval: every gate was skipped by a mark: nothing was judged\n")
            session.exitstatus = EXIT_BROKE
        if self.rows:
            try:
                self._write(int(session.exitstatus))
            except SftevalError as error:
                sys.stderr.write(f"sfteval: {error}\n")
                session.exitstatus = _code(error)

    def _write(self, status: int) -> None:
        from sfteval.pipeline.outputs import Wanted, leave_behind

        option = self.config.option
        whole = len(self.rows) >= self.planned
        wanted = Wanted(option.verdicts, option.report, option.summary, option.promote_on_pass and whole)
        leave_behind(list(self.rows.values()), status, self.settings, wanted)
        if option.promote_on_pass and not whole and status == EXIT_SHIP:
            do = "Judge the whole plan (no -k, -m, --lf), or promote by hand: sfteval runs promote RUN"
            found = f"{len(self.rows)} of {self.planned} gates judged"
            raise InputError(Fault("--promote-on-pass", found, "all of them", do))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give every xdist worker the same runs to write."""
        from sfteval.pipeline.release import new_run_ids

        if not hasattr(self, "_run_ids"):
            self._run_ids = new_run_ids(self.settings)
        node.workerinput["sfteval_run_ids"] = self._run_ids

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Say once, on the controller, that there is no candidate."""
        del node
        gated = any(f"{SUITE_SUFFIX}::" in node_id for node_id in ids)
        if gated and self.settings.candidate is None and not self.config.option.collectonly:
            _stop(InputError(no_candidate()))


def _joined(codes: list[int], other_failures: bool, rows: list[dict[str, Any]]) -> int:
    from sfteval.records import worst
    from sfteval.report.rows import rows_code

    if USAGE_ERROR in codes:
        return USAGE_ERROR
    return worst([*codes, *([rows_code(rows)] if rows else []), *([EXIT_DO_NOT_SHIP] if other_failures else [])])


def _code(error: BaseException | None) -> int:
    """Return the exit code of an error: what a person wrote or named is pytest's usage error, the rest broke."""
    if isinstance(error, DiskError):
        return EXIT_BROKE
    if isinstance(error, (InputError, StoreError)):
        return USAGE_ERROR
    return error.exit_code if isinstance(error, SftevalError) else EXIT_BROKE


def _broke(error: BaseException) -> bool:
    """Say whether an ordinary test lacks a baseline (or its engine), which is not the model's fault."""
    cause = getattr(error, "sfteval_error", error)
    return isinstance(cause, SftevalError) and cause.exit_code == EXIT_BROKE


def _stop(error: SftevalError) -> NoReturn:
    """End the session with one message."""
    code = _code(error)
    if code == USAGE_ERROR:
        raise pytest.UsageError(str(error))
    pytest.exit(str(error), returncode=code)
