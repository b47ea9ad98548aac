"""What must never be green: injections that no other file here holds (docs/verdicts.md lists them all)."""

from __future__ import annotations

import shutil

import pytest

from tests.plugin.conftest import gate, scripted


def the_run(project: pytest.Pytester, model: str = "good") -> str:
    return next(path.name for path in (project.path / "runs").iterdir() if model in path.name)


def test_a_suite_that_was_emptied(project: pytest.Pytester) -> None:
    assert gate(project, "--previous", "none", "--promote-on-pass").ret == 0
    (project.path / "suites" / "q.jsonl").write_text("")
    result = gate(project)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*answers.suite.yaml:4:10: found no rows in 'q.jsonl'; expected at least 1 sample*"])


def test_every_sample_errored(project: pytest.Pytester) -> None:
    scripted(project, "down", "yes please", more="fail: [{contains: question, kind: infrastructure, message: no room}]")
    result = gate(project, "--previous", "none", candidate="down")
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*NOT_COMPARABLE: 40 of 40 samples of answers errored on the candidate*no room*"])


def test_two_runs_of_one_id(project: pytest.Pytester) -> None:
    assert gate(project, "--previous", "none").ret == 0
    run = the_run(project)
    shutil.copytree(project.path / "runs" / run, project.path / "runs" / "copied")
    result = gate(project, "--previous", "copied", candidate="worse")
    assert result.ret == 21
    result.stdout.fnmatch_lines([f"*copied*found the * of run {run}; expected that of copied*"])


def test_a_baseline_from_the_future(project: pytest.Pytester) -> None:
    assert gate(project, "--previous", "none").ret == 0
    run = the_run(project)
    manifest = project.path / "runs" / run / "manifest.json"
    text = manifest.read_text()
    year = text.split('"finished": "')[1][:4]
    manifest.write_text(text.replace(f'"finished": "{year}', '"finished": "2999'))
    result = gate(project, "--previous", "latest", candidate="worse")
    assert result.ret == 21
    result.stdout.fnmatch_lines(
        [f"*previous: `latest` is {run}, finished at 2999*, in the future; name a run by its id*"]
    )
