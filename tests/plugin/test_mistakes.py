"""Mistakes of the author: exit code 4, one message each, no traceback; also under xdist."""

from __future__ import annotations

import pytest

from .conftest import facts, gate, gate_in_a_process

XDIST = [(), ("-n", "2")]


@pytest.mark.parametrize("xdist", XDIST, ids=["plain", "xdist"])
def test_a_suite_with_faults(project, xdist) -> None:
    suite = project.path / "suites" / "answers.suite.yaml"
    suite.write_text(suite.read_text().replace("skill: format", "skil: format"))
    (project.path / "suites" / "families.yaml").unlink()
    result = gate(project, "--previous", "none", *xdist)
    assert result.ret == 4
    text = result.stdout.str()
    assert "answers.suite.yaml:3:1: found" in text
    assert "'skill'" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("xdist", XDIST, ids=["plain", "xdist"])
def test_no_candidate(project, xdist) -> None:
    result = project.runpytest("suites", *xdist)
    assert result.ret == 4
    assert "found no candidate" in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("xdist", XDIST, ids=["plain", "xdist"])
def test_a_model_that_is_not_there(project, xdist) -> None:
    result = gate(project, "--previous", "none", *xdist, candidate="goood")
    assert result.ret == 4
    text = result.stdout.str() + result.stderr.str()
    assert "goood.yaml" in text
    assert "Traceback" not in text


def test_an_unknown_lm_eval_task(project) -> None:
    facts(project, task="tiny_fact")
    result = gate_in_a_process(project)
    assert result.ret == 4
    assert "tiny_facts" in result.stderr.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_metric_that_the_task_does_not_make(project) -> None:
    facts(project, metric="acc_nrm")
    result = gate_in_a_process(project)
    assert result.ret == 4
    expected = "expected a metric that task 'tiny_facts' makes (acc, acc_norm). Did you mean 'acc_norm'?"
    result.stderr.fnmatch_lines([f"*suites/facts.suite.yaml:5: found a gate on 'acc_nrm'; {expected}"])


def test_an_lm_eval_suite_runs_beside_the_others(project) -> None:
    facts(project)
    result = gate_in_a_process(project)
    assert result.ret == 0
    result.assert_outcomes(passed=4, skipped=1)
