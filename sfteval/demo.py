"""`sfteval demo`: the main job before one's eyes. Trains a careful and a reckless candidate and gates both. Rank 4.

The gate is the real one: a project is scaffolded and `pytest suites/` runs in it, in a process of its own. The careful
run is promoted before the reckless one is judged, so that the second gate has base and previous.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sfteval.errors import EXIT_DO_NOT_SHIP, EXIT_SHIP, Fault, InputError, SftevalError
from sfteval.pipeline.promotion import promote
from sfteval.pipeline.training import train_from
from sfteval.report.rows import flip_lines, points
from sfteval.report.tables import roles_table
from sfteval.shipped import shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKER = ".sfteval-demo"
PROJECTS = {"tiny": "fixtures/demo", "smollm2": "fixtures/demo_smollm2"}
EXPECTED = {"careful": EXIT_SHIP, "reckless": EXIT_DO_NOT_SHIP}
_SETTINGS = '[tool.pytest.ini_options]\ntestpaths = ["suites"]\n\n[tool.sfteval]\nruns_dir = "runs"\n'


@dataclass(frozen=True)
class Gated:
    """One candidate's way through the gate."""

    name: str
    exit_code: int
    verdicts: Mapping[str, Any]
    checkpoint: Path
    page: Path
    train_seconds: float
    gate_seconds: float

    @property
    def failed(self) -> list[Mapping[str, Any]]:
        """Rows of the gates that block, the largest drop first."""
        blocking = [row for row in self.verdicts["gates"] if row["blocks"]]
        return sorted(blocking, key=lambda row: row["difference"] if row["difference"] is not None else 0.0)

    def as_json(self) -> dict[str, Any]:
        """Return the machine-readable form."""
        failed = [
            {k: row[k] for k in ("node", "verdict", "difference", "low", "high", "n", "reasons")} for row in self.failed
        ]
        return {
            "exit_code": self.exit_code,
            "verdict": self.verdicts["verdict"],
            "failed_gates": failed,
            "checkpoint": str(self.checkpoint),
            "run": self.run_id,
            "page": str(self.page),
            "train_seconds": round(self.train_seconds, 1),
            "gate_seconds": round(self.gate_seconds, 1),
        }

    @property
    def run_id(self) -> str:
        """The candidate's run."""
        return str(self.verdicts["gates"][0]["runs"]["candidate"])


@dataclass(frozen=True)
class DemoResult:
    """Both candidates; `right` when each got the verdict that it deserves."""

    careful: Gated
    reckless: Gated
    seconds: float

    @property
    def right(self) -> bool:
        """True when the careful one ships and the reckless one is stopped."""
        return self.careful.exit_code == EXPECTED["careful"] and self.reckless.exit_code == EXPECTED["reckless"]

    def as_json(self) -> dict[str, Any]:
        """Return the machine-readable form."""
        seconds = round(self.seconds, 1)
        return {"careful": self.careful.as_json(), "reckless": self.reckless.as_json(), "seconds": seconds}


def run_demo(model: str, out: Path) -> DemoResult:
    """Scaffold the project in `out`, train and gate both candidates, and show what happened.

    Raises:
        InputError: an unknown model, or `out` holds something that is not an earlier demo.
        SftevalError: a gate ended without verdicts (its message was shown).
    """
    started = time.monotonic()
    console = Console()
    project = _scaffold(model, out)
    console.print(f"[bold]sfteval demo[/] in {project}\n")
    careful = _candidate("careful", project, "none", console)
    if careful.exit_code == EXIT_SHIP:
        promotion = promote(project / "runs", careful.run_id, because="the demo's careful candidate ships")
        console.print(f"promoted {promotion.run_id}: it is `previous` for the next candidate\n")
    previous = "promoted" if careful.exit_code == EXIT_SHIP else "none"
    result = DemoResult(careful, _candidate("reckless", project, previous, console), time.monotonic() - started)
    _conclude(result, project, console)
    return result


def _scaffold(model: str, out: Path) -> Path:
    if model not in PROJECTS:
        raise InputError(Fault("--model", repr(model), "one of " + ", ".join(PROJECTS)))
    out = out.resolve()
    if out.exists() and any(out.iterdir()) and not (out / MARKER).exists():
        raise InputError(Fault(str(out), "a folder with other things in it", "an empty or new folder", "Give --out"))
    shutil.rmtree(out, ignore_errors=True)
    source = shipped(PROJECTS[model])
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("__pycache__", "build.py", "source"))
    (out / MARKER).write_text("made by sfteval demo; made anew each time\n", encoding="utf-8")
    (out / "pyproject.toml").write_text(_SETTINGS, encoding="utf-8")
    for name in EXPECTED:
        config = out / f"{name}.yaml"
        text = config.read_text(encoding="utf-8")
        if "../tiny_base" in text:
            text = text.replace("../tiny_base", str(shipped("fixtures/tiny_base")))
        config.write_text(text, encoding="utf-8")
    return out


def _candidate(name: str, project: Path, previous: str, console: Console) -> Gated:
    """Train one candidate and send it through the gate."""
    console.rule(f"{name}: train", align="left")
    started = time.monotonic()
    trained = train_from(project / f"{name}.yaml", output=project / "models")
    trained_at = time.monotonic()
    console.print(f"{trained.steps} steps, last loss {trained.loss:.3f}, {trained_at - started:.1f} s")
    for warning in trained.warnings:
        console.print(f"[yellow]{warning}[/]")
    console.rule(
        f"{name}: pytest suites/ --candidate {trained.checkpoint.parent.name} --previous {previous}", align="left"
    )
    verdicts, page = project / "verdicts" / f"{name}.json", project / "report" / name
    code = _pytest(project, trained.checkpoint, previous, verdicts, page)
    if not verdicts.is_file():
        msg = f"demo: the gate of the {name} candidate ended with {code} and no verdicts; its message is above"
        raise SftevalError(msg)
    judged = json.loads(verdicts.read_text(encoding="utf-8"))
    times = trained_at - started, time.monotonic() - trained_at
    return Gated(name, code, judged, trained.checkpoint, page / "index.html", *times)


def _pytest(project: Path, checkpoint: Path, previous: str, verdicts: Path, page: Path) -> int:
    arguments = ["suites/", "--no-header", "--tb=no", "-rN", "-c", "pyproject.toml", "--rootdir", "."]
    arguments += ["-p", "no:cacheprovider", "--candidate", str(checkpoint), "--previous", previous]
    arguments += ["--verdicts", str(verdicts), "--report", str(page)]
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=project, check=False).returncode


def _conclude(result: DemoResult, project: Path, console: Console) -> None:
    console.rule("what happened", align="left")
    for gated in (result.careful, result.reckless):
        right = gated.exit_code == EXPECTED[gated.name]
        word = {0: "ships", 1: "is stopped"}.get(gated.exit_code, "is not settled")
        console.print(f"the {gated.name} candidate {word} (exit {gated.exit_code})" + ("" if right else ": WRONG"))
    if result.reckless.failed:
        worst = result.reckless.failed[0]
        console.print(
            f"stopped by {worst['node']}: {points(worst['difference'])} points "
            f"[{points(worst['low'])}, {points(worst['high'])}], n = {worst['n']}",
            highlight=False,
            markup=False,
        )
        for flip in worst["flips"][:2]:
            console.print("\n".join(flip_lines(flip, str(worst["against"]))), highlight=False, markup=False)
    console.print(roles_table(result.reckless.verdicts["gates"], result.careful.verdicts["gates"]))
    console.print(f"runs: {project / 'runs'}\npage: {result.reckless.page}\n{result.seconds:.0f} s in all")
