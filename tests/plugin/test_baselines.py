"""The life of a baseline: evaluate, promote, compare with it; and everything that can be missing."""

from __future__ import annotations

import json
import shutil

from sfteval.pipeline.baselines import baseline_run
from sfteval.pipeline.settings import Settings
from sfteval.store import RunStore

from .conftest import gate, scripted


def runs(project) -> list[str]:
    return [m.run_id for m in RunStore(project.path / "runs").manifests()]


def test_promote_on_pass_makes_the_next_previous(project) -> None:
    first = gate(project, "--previous", "none", "--promote-on-pass")
    assert first.ret == 0
    promoted = RunStore(project.path / "runs").promoted()
    assert promoted is not None
    assert promoted.because == "pytest --promote-on-pass"
    second = gate(project, candidate="worse")
    second.assert_outcomes(failed=3, passed=1)
    assert second.ret == 1


def test_a_failing_candidate_is_not_promoted(project) -> None:
    assert gate(project, "--previous", "none", "--promote-on-pass", candidate="worse").ret == 1
    assert RunStore(project.path / "runs").promoted() is None


def test_a_part_of_the_plan_promotes_nothing(project) -> None:
    result = gate(project, "--previous", "none", "--promote-on-pass", "-k", "brief")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["sfteval: --promote-on-pass: found 1 of 4 gates judged; expected all of them. Judge the whole plan*"]
    )
    assert RunStore(project.path / "runs").promoted() is None
    assert gate(project, "--previous", "none", "--promote-on-pass", "-n", "2").ret == 0
    assert RunStore(project.path / "runs").promoted() is not None


def test_the_latest_run_is_none_of_the_session_that_asks(project) -> None:
    """A worker that comes late finds the candidate's run finished by another one."""
    gate(project, "--previous", "none")
    store, (*_, before, own) = RunStore(project.path / "runs"), runs(project)
    settings = Settings("scripted:good.yaml", runs_dir=store.root, run_ids={"candidate": own})
    assert baseline_run(store, "previous", "latest", settings).manifest.run_id == before


def test_a_named_previous_that_is_not_there_is_never_a_skip(project) -> None:
    result = gate(project, "--previous", "20260101-000000-nothing-abcdef")
    assert result.ret == 21
    assert "20260101-000000-nothing-abcdef" in result.stdout.str()


def test_a_promoted_run_that_was_deleted_breaks(project) -> None:
    gate(project, "--previous", "none", "--promote-on-pass")
    promoted = RunStore(project.path / "runs").promoted()
    shutil.rmtree(project.path / "runs" / promoted.run_id)
    result = gate(project)
    assert result.ret == 21


def test_nothing_is_computed_twice(project) -> None:
    gate(project, "--previous", "none")
    gate(project, "--previous", "none")
    counts = [m.counts["computed"] for m in RunStore(project.path / "runs").manifests()]
    assert counts == [40, 40, 0, 0]


def test_a_candidate_may_be_a_stored_run(project) -> None:
    gate(project, "--previous", "none", candidate="worse")
    candidate = next(r for r in runs(project) if "worse" in r)
    result = project.runpytest("suites", "--candidate", candidate, "--base", "scripted:base.yaml", "--previous", "none")
    assert result.ret == 1
    assert len(runs(project)) == 3


def test_a_base_that_nobody_names(project) -> None:
    result = gate(project, "--previous", "none", base=None)
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*NOT_COMPARABLE: base: *Give --base MODEL*"])


def test_settings_come_from_pyproject_and_options_win(project) -> None:
    project.makepyprojecttoml(
        '[tool.pytest.ini_options]\n[tool.sfteval]\ncandidate = "scripted:worse.yaml"\nbase = "scripted:base.yaml"\n'
        'previous = "none"\nruns-dir = "kept"\n'
    )
    assert project.runpytest("suites").ret == 1
    assert (project.path / "kept").is_dir()
    assert project.runpytest("suites", "--candidate", "scripted:good.yaml").ret == 0


def test_settings_with_mistakes(project) -> None:
    project.makepyprojecttoml('[tool.pytest.ini_options]\n[tool.sfteval]\ncandidat = "x"\nbase = 3\n')
    result = project.runpytest("suites")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            "*[[]tool.sfteval[]] candidat: found an unknown key; *Did you mean 'candidate'?",
            "*[[]tool.sfteval[]] base: found a int; expected a string*",
        ]
    )


def test_a_changed_suite_against_previous_names_the_first_difference(project) -> None:
    gate(project, "--previous", "none", "--promote-on-pass")
    rows = project.path / "suites" / "q.jsonl"
    changed = [json.loads(line) for line in rows.read_text().splitlines()]
    for row in changed:
        row["messages"][0]["content"] += " really"
    rows.write_text("".join(json.dumps(row) + "\n" for row in changed))
    result = gate(project)
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*NOT_COMPARABLE: 40 of 40 samples of answers are missing or differ*first in 'q0'*"])


def test_a_suite_that_vanished_from_the_candidate_run(project) -> None:
    gate(project, "--previous", "none", "--promote-on-pass")
    suite = project.path / "suites" / "answers.suite.yaml"
    suite.write_text(suite.read_text().replace("suite: answers", "suite: renamed"))
    result = gate(project)
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*NOT_COMPARABLE: the metric 'polite' of renamed is not in the run of previous*"])


def test_nan_is_never_a_pass(project) -> None:
    scripted(project, "silent", "yes please", more="fail: [{contains: question, kind: timeout, message: slow}]")
    result = gate(project, "--previous", "none", candidate="silent")
    assert result.ret == 21
