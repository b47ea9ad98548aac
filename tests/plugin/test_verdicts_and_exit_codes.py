"""What `pytest suites/` answers, and with which exit code."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest

from .conftest import gate, scripted


def names(result: pytest.RunResult) -> list[str]:
    return re.findall(r"suites/\S+::\S+", result.stdout.str())


def test_node_ids_say_what_is_judged(project) -> None:
    result = project.runpytest("suites", "--collect-only", "-q")
    assert result.ret == 0
    assert names(result) == [
        "suites/answers.suite.yaml::polite-no_regression-against-base",
        "suites/answers.suite.yaml::polite-no_regression-against-previous",
        "suites/answers.suite.yaml::brief-at_least",
        "suites/families.yaml::format-no_regression-against-base",
    ]


def test_an_unchanged_candidate_ships(project) -> None:
    result = gate(project, "--previous", "none")
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["*Ship: no gate objects.*"])
    assert result.ret == 0


def test_a_regression_is_stopped_with_its_evidence(project) -> None:
    result = gate(project, "--previous", "none", candidate="worse")
    result.assert_outcomes(failed=2, passed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*FAIL: a drop larger than 0.2 is proven: it is at least *",
            "*base 1.000 → candidate 0.275: -72.5 points [[]-*, -*[]], n = 40, 29 worse, 0 better*",
            "*flipped: answers/q0 (1 → 0)*",
            "*Do not ship: a regression is proven or a floor is missed.*",
        ]
    )
    assert result.ret == 1


def test_open_proof_is_its_own_code(project) -> None:
    families = project.path / "suites" / "families.yaml"
    families.write_text("family: {name: format, no_regression: {against: base, margin: 0.001}}\n")
    result = gate(project, "--previous", "none")
    result.assert_outcomes(failed=1, passed=2, skipped=1)
    result.stdout.fnmatch_lines(["*INCONCLUSIVE: a drop of up to * could still hide*"])
    assert result.ret == 20


def test_errored_samples_break_the_release_and_outrank_a_regression(project) -> None:
    scripted(project, "broken", "no", more="fail: [{contains: 'question 7', kind: out_of_memory, message: no room}]")
    result = gate(project, "--previous", "none", candidate="broken")
    result.stdout.fnmatch_lines(
        ["*NOT_COMPARABLE: 1 of 40 samples of answers errored on the candidate (cap 0%); first: 'q7': out_of_memory*"]
    )
    assert result.ret == 21


def test_no_promoted_run_says_how_to_make_one(project) -> None:
    result = gate(project)
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*sfteval runs promote*", "*--previous none*"])


def test_no_candidate_is_one_message(project) -> None:
    result = project.runpytest("suites")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: pytest suites/: found no candidate; expected the model that wants to ship.*"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_selection_keeps_the_release_s_correction(project) -> None:
    result = gate(project, "-k", "polite and base", "--previous", "none", candidate="worse")
    result.assert_outcomes(failed=1, deselected=3)
    assert result.ret == 1


def test_everything_undecided_by_declaration_is_not_a_pass(project) -> None:
    result = gate(project, "-k", "previous", "--previous", "none")
    result.assert_outcomes(skipped=1, deselected=3)
    assert result.ret == 21


def test_an_ordinary_test_that_fails_counts_as_one(project) -> None:
    project.makepyfile(test_own="def test_own():\n    assert 1 == 2\n")
    assert (
        project.runpytest(
            "suites",
            "test_own.py",
            "--candidate",
            "scripted:good.yaml",
            "--base",
            "scripted:base.yaml",
            "--previous",
            "none",
        ).ret
        == 1
    )


def test_silent_without_suites(pytester) -> None:
    pytester.makepyfile("def test_one():\n    pass\n")
    result = pytester.runpytest()
    assert result.ret == 0
    said = [line for line in result.outlines if "sfteval" in line and not line.startswith(("plugins:", "rootdir:"))]
    assert said == []


def test_junit_carries_every_figure(project) -> None:
    gate(project, "--previous", "none", "--junitxml", "junit.xml", candidate="worse")
    root = ET.parse(project.path / "junit.xml").getroot()
    case = next(c for c in root.iter("testcase") if c.get("name") == "polite-no_regression-against-base")
    figures = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert figures["sfteval.verdict"] == "FAIL"
    assert figures["sfteval.n"] == "40"
    assert float(figures["sfteval.difference"]) == pytest.approx(-0.725)
    assert float(figures["sfteval.low"]) < float(figures["sfteval.difference"]) < float(figures["sfteval.high"])
    assert {"sfteval.p_value", "sfteval.margin", "sfteval.run.candidate", "sfteval.run.base"} <= set(figures)
    assert case.find("failure") is not None


def test_verdicts_file_and_pages(project) -> None:
    scripted(project, "hostile", "<script>alert(1)</script> {{ 7*7 }}")
    gate(project, "--previous", "none", "--verdicts", "out/v.json", "--report", "site", candidate="hostile")
    verdicts = json.loads((project.path / "out" / "v.json").read_text())
    assert (verdicts["exit_code"], verdicts["verdict"]) == (1, "FAIL")
    assert {
        "suite",
        "check",
        "slice",
        "n",
        "reference",
        "candidate",
        "difference",
        "low",
        "high",
        "margin",
        "verdict",
        "detectable",
        "missing",
    } <= set(verdicts["gates"][0])
    page = (project.path / "site" / "index.html").read_text()
    assert "Do not ship: answers polite" in page
    assert "<script>" not in page
    (part,) = (project.path / "site" / "data" / "samples").glob("*hostile*/answers/0.js")
    assert "<script>alert(1)</script> {{ 7*7 }}" in part.read_text()


def test_quiet_is_one_line_and_verbose_shows_flips(project) -> None:
    quiet = gate(project, "--previous", "none", "-q")
    quiet.stdout.fnmatch_lines(["*Ship: no gate objects.*"])
    assert "before" not in quiet.stdout.str()
    loud = gate(project, "--previous", "none", "-v", candidate="worse")
    loud.stdout.fnmatch_lines(["*flipped: answers/q0*"])
