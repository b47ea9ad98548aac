"""`kill -9` in the middle of `sfteval eval`, then the same command again: nothing is computed twice, same result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from sfteval.store import RunStore

from .conftest import ROWS, command

ARGUMENTS = ("eval", "--candidate", "scripted:slow.yaml", "--suites", "suites", "--json")


def recorded(project) -> int:
    return sum(journal.read_bytes().count(b"\n") for journal in (project / "runs").rglob("*.jsonl"))


def test_kill_and_resume(project) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sfteval", *ARGUMENTS], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while recorded(project) < 12 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = recorded(project)
    assert 12 <= kept < ROWS, "killed in the middle"
    assert RunStore(project / "runs").manifests() == []

    resumed = json.loads(command(*ARGUMENTS, cwd=project).stdout)
    assert resumed["resumed"] is True
    assert resumed["reused"] >= kept - 5, "at most the batch in flight is lost"
    assert resumed["computed"] == ROWS - resumed["reused"]

    fresh = json.loads(command(*ARGUMENTS, "--runs-dir", "fresh", cwd=project).stdout)
    assert fresh["metrics"] == resumed["metrics"]
    store, other = RunStore(project / "runs"), RunStore(project / "fresh")
    assert store.load(resumed["run_id"]).samples == other.load(fresh["run_id"]).samples
