"""Variants, requirements and weights of suites, from the file to the exit code."""

from __future__ import annotations

import json

import pytest

from .conftest import gate

NEEDS = "samples: q.jsonl\nrequires: {env: [SFTEVAL_TEST_KEY], files: [secret.jsonl], missing: skip}\n"


def rows(project: pytest.Pytester) -> dict[str, dict[str, object]]:
    return {row["node"].split("::")[1]: row for row in json.loads((project.path / "v.json").read_text())["gates"]}


def rewrite(project: pytest.Pytester, old: str, new: str, name: str = "answers") -> None:
    path = project.path / "suites" / f"{name}.suite.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def second(project: pytest.Pytester, more: str = "") -> None:
    """Add a suite of the same skill in which base is right and good is wrong."""
    (project.path / "suites" / "second.suite.yaml").write_text(
        f"suite: second\nskill: format\nsamples: q.jsonl\n{more}checks:\n  comma: {{contains: [',']}}\n"
        "gates:\n  - {check: comma, no_regression: {against: base, margin: 1.0}}\n"
    )


def test_each_variant_has_gates_and_answers_of_its_own(project) -> None:
    rewrite(project, "checks:", "matrix: {system: {none: null, terse: Be terse.}, temperature: [0, 0.5]}\nchecks:")
    result = gate(project, "--previous", "none", "--verdicts", "v.json", "-k", "terse and not 0-5", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*answers.suite.yaml::polite-no_regression-against-base-system-terse-temperature-0 PASSED*"]
    )
    assert [row["suite"] for row in rows(project).values()] == ["answers-system-terse-temperature-0"] * 3


def test_variants_are_one_member_of_their_family(project) -> None:
    second(project)
    gate(project, "--previous", "none", "--verdicts", "v.json")
    alone = rows(project)["format-no_regression-against-base"]
    rewrite(project, "checks:", "matrix: {system: {none: null, terse: Be terse., loud: Be loud.}}\nchecks:")
    gate(project, "--previous", "none", "--verdicts", "v.json")
    family = rows(project)["format-no_regression-against-base"]
    assert (family["n"], alone["n"]) == (160, 80)
    for figure in ("difference", "low", "high"):
        assert family[figure] == pytest.approx(alone[figure]), figure
    assert family["difference"] == -0.5


def test_weight_of_a_suite_in_its_family(project) -> None:
    second(project, "weight: 3\n")
    gate(project, "--previous", "none", "--verdicts", "v.json")
    assert rows(project)["format-no_regression-against-base"]["difference"] == -0.75


def test_a_suite_that_lacks_something_is_skipped_in_sight(project) -> None:
    rewrite(project, "samples: q.jsonl\n", NEEDS)
    second(project)
    result = gate(project, "--previous", "none", "--verdicts", "v.json", "-rs")
    reason = "the environment variable SFTEVAL_TEST_KEY is not set; the file secret.jsonl is not there"
    found = rows(project)
    assert (found["brief-at_least"]["verdict"], found["brief-at_least"]["reasons"]) == ("NOT_JUDGED", [reason])
    assert found["polite-no_regression-against-base"]["verdict"] == "NOT_JUDGED"
    family = found["format-no_regression-against-base"]
    assert (family["n"], family["difference"]) == (40, -1.0)
    assert family["reasons"][-1] == f"answers is left out: {reason}"
    result.stdout.fnmatch_lines([f"warning: answers: not evaluated: {reason}"])
    result.assert_outcomes(skipped=3, passed=1, failed=1)


def test_a_session_of_skipped_suites_is_no_pass(project) -> None:
    rewrite(project, "samples: q.jsonl\n", NEEDS)
    result = gate(project, "--previous", "none", "--verdicts", "v.json")
    assert result.ret == 21
    assert {row["verdict"] for row in rows(project).values()} == {"NOT_JUDGED"}


def test_or_it_fails(project) -> None:
    rewrite(project, "samples: q.jsonl\n", NEEDS.replace("skip", "fail"))
    second(project)
    result = gate(project, "--previous", "none", "--verdicts", "v.json")
    assert result.ret == 21
    found = rows(project)
    reason = "the environment variable SFTEVAL_TEST_KEY is not set; the file secret.jsonl is not there"
    for name in ("brief-at_least", "format-no_regression-against-base"):
        assert (found[name]["verdict"], found[name]["reasons"]) == ("NOT_COMPARABLE", [reason])
    assert found["comma-no_regression-against-base"]["verdict"] == "PASS"


def test_what_is_there_is_judged(project, monkeypatch) -> None:
    monkeypatch.setenv("SFTEVAL_TEST_KEY", "x")
    (project.path / "suites" / "secret.jsonl").write_text("")
    rewrite(project, "samples: q.jsonl\n", NEEDS.replace("{env", "{packages: [numpy>=1, sfteval], extras: [dev], env"))
    result = gate(project, "--previous", "none", "--verdicts", "v.json")
    assert result.ret == 0
    rewrite(project, "numpy>=1", "numpy>=999, no-such-package")
    result = gate(project, "--previous", "none", "--verdicts", "v.json")
    assert rows(project)["brief-at_least"]["reasons"] == [
        "the package numpy>=999 is not installed; the package no-such-package is not installed"
    ]
