"""`kill -9` in the middle, then the same command again: nothing is computed twice, and the result is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sfteval.pipeline.commands import load_given
from sfteval.pipeline.release import Release
from sfteval.pipeline.settings import Settings
from sfteval.report.rows import verdict_row
from sfteval.store import RunStore
from sfteval.store.writer import RunWriter

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


SEQUENTIAL = """
suite: answers
samples: q.jsonl
sequential: true
checks: {polite: {contains: please}, brief: {max_words: 5}}
gates:
  - {check: polite, no_regression: {against: base, margin: 0.05}}
  - {check: brief, at_least: 0.8}
"""
POPULATION = 400


@pytest.fixture
def drawn(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project whose suite is sequential, of 400 samples; slow takes its time, quick says the same."""
    rows = [{"id": f"q{i}", "messages": [{"role": "user", "content": f"question {i}:"}]} for i in range(POPULATION)]
    (project / "suites" / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "suites" / "answers.suite.yaml").write_text(SEQUENTIAL)
    for name, delay, lapse in (("slow", 0.01, 7), ("quick", 0, 7), ("old", 0, 8)):
        text = f"name: {name}\ndefault: yes please\nreplies: [{{contains: question {lapse}, reply: no}}]\n"
        (project / f"{name}.yaml").write_text(f"{text}delay_seconds: {delay}\nbatch_size: 4\n")
    monkeypatch.chdir(project)
    return project


def release(project: Path, candidate: str, runs_dir: str = "runs", base: str = "old") -> Release:
    files = load_given([project / "suites"])
    gates = [gate for file in files for gate in file.gates]
    settings = Settings(
        candidate=f"scripted:{candidate}.yaml",
        base=f"scripted:{base}.yaml",
        runs_dir=project / runs_dir,
        previous="none",
    )
    return Release(files, gates, settings)


def alike(one: Release, other: Release) -> None:
    """Hold two releases to the same verdicts, from the same samples in the same order."""
    rows = [{n: verdict_row(v, {}) for n, v in each.verdicts().items()} for each in (one, other)]
    assert rows[0] == rows[1]
    for role, run in other.runs.items():
        assert one.runs[role].samples == run.samples
        assert one.runs[role].manifest.extra["draws"] == run.manifest.extra["draws"]


def test_a_sequential_suite_that_is_killed_goes_on_where_it_was(drawn: Path) -> None:
    arguments = ["--candidate", "scripted:slow.yaml", "--base", "scripted:old.yaml", "--previous", "none"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "suites", *arguments, "-p", "no:cacheprovider"],
        cwd=drawn,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while recorded(drawn) < 90 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = recorded(drawn)
    store = RunStore(drawn / "runs")
    assert (kept >= 90, store.manifests()) == (True, []), "killed in the middle"

    resumed = release(drawn, "slow")
    resumed.verdicts()
    done = resumed.evaluated.values()
    used = {role: len(run.samples) for role, run in resumed.runs.items()}
    assert kept / 2 < used["candidate"] == used["base"] < POPULATION
    assert [one.resumed for one in done] == [True, True]
    assert {role: one.computed + one.reused for role, one in resumed.evaluated.items()} == used
    assert kept - 4 <= sum(one.reused for one in done) <= kept, "at most the batch in flight is lost"
    alike(resumed, release(drawn, "slow", "fresh"))
    assert len(store.manifests()) == 2


def test_a_release_that_is_stopped_after_base_has_ended(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Base's run is whole then, and the candidate's, whose sequential suite is done, is resumed without it."""
    ended: list[str] = []
    finish = RunWriter.finish

    def once(writer, manifest):
        if ended:
            raise KeyboardInterrupt
        ended.append(writer.run_id)
        return finish(writer, manifest)

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "finish", once)
        with pytest.raises(KeyboardInterrupt):
            release(drawn, "quick").verdicts()
    again = release(drawn, "quick")
    again.verdicts()
    assert [one.computed for one in again.evaluated.values()] == [0, 0]
    alike(again, release(drawn, "quick", "fresh"))


def test_a_candidate_whose_sequential_suite_is_done_is_held_against_another_base(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_writer, _manifest):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "finish", stopped)
        with pytest.raises(KeyboardInterrupt):
            release(drawn, "quick").verdicts()
    again = release(drawn, "quick", base="good")
    again.verdicts()
    assert {s.key for s in again.runs["base"].samples} == {s.key for s in again.runs["candidate"].samples}
