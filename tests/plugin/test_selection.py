"""What is selected is judged as a part of the whole plan: `-k`, `-x`, `--lf`, one file."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import gate, scripted

FAMILY = "suites/families.yaml::format-no_regression-against-base"


@pytest.fixture
def two(project: pytest.Pytester) -> pytest.Pytester:
    """Return the project with a second suite of the same skill, which every model passes."""
    (project.path / "suites" / "second.suite.yaml").write_text(
        "suite: second\nskill: format\nsamples: q.jsonl\nchecks:\n  brief: {max_words: 3}\n"
        "gates:\n  - {check: brief, no_regression: {against: base, margin: 0.2}}\n"
    )
    scripted(project, "worse", "no")
    return project


def rows(project: pytest.Pytester) -> dict[str, dict[str, object]]:
    return {row["node"]: row for row in json.loads((project.path / "v.json").read_text())["gates"]}


def test_last_failed_judges_within_the_whole_plan(two: pytest.Pytester) -> None:
    options = ("--previous", "none", "--verdicts", "v.json", "-o", "cache_dir=cache")
    assert gate(two, *options, candidate="worse").ret == 1
    whole = rows(two)
    again = gate(two, *options, "--lf", candidate="worse")
    assert again.ret == 1
    again.assert_outcomes(failed=2)
    selected = rows(two)
    assert set(selected) == {
        "suites/answers.suite.yaml::polite-no_regression-against-base",
        "suites/families.yaml::format-no_regression-against-base",
    }
    for node, row in selected.items():
        for figure in ("verdict", "n", "difference", "low", "high", "detectable"):
            assert row[figure] == whole[node][figure], (node, figure)


def test_a_family_alone_brings_its_members(two: pytest.Pytester) -> None:
    roles = ("--candidate", "scripted:good.yaml", "--base", "scripted:base.yaml", "--previous", "none")
    result = two.runpytest("suites/families.yaml", *roles, "--verdicts", "v.json")
    assert result.ret == 0
    (row,) = rows(two).values()
    assert (row["verdict"], row["n"]) == ("PASS", 80)


def test_first_failure_ends_the_session_with_its_code(two: pytest.Pytester) -> None:
    result = gate(two, "--previous", "none", "-x", candidate="worse")
    assert result.ret == 1
    result.assert_outcomes(failed=1)


def test_gates_that_are_all_skipped_by_a_mark_ship_nothing(two: pytest.Pytester) -> None:
    two.makeconftest(
        "import pytest\n\n\ndef pytest_collection_modifyitems(items):\n"
        "    for item in items:\n        item.add_marker(pytest.mark.skip(reason='later'))\n"
    )
    result = gate(two, "--previous", "none")
    result.assert_outcomes(skipped=5)
    assert result.ret == 21
    result.stderr.fnmatch_lines(["sfteval: every gate was skipped by a mark: nothing was judged"])


def test_a_name_selects_gates(two: pytest.Pytester) -> None:
    result = gate(two, "--previous", "none", "-k", "second", "--verdicts", "v.json")
    assert result.ret == 0
    assert list(rows(two)) == ["suites/second.suite.yaml::brief-no_regression-against-base"]


def test_marks_select_by_skill_and_kind_within_the_whole_plan(two: pytest.Pytester) -> None:
    whole = rows_of(two)
    assert set(rows_of(two, "-m", "family")) == {FAMILY}
    assert set(rows_of(two, "-m", "format and gate", "--strict-markers")) == set(whole) - {FAMILY}
    second = two.path / "suites" / "second.suite.yaml"
    second.write_text(second.read_text().replace("skill: format", "skill: skip"))
    (node,) = rows_of(two, "-m", "skill_skip")
    assert node.startswith("suites/second.suite.yaml")


@pytest.mark.parametrize(
    ("skill", "mark"),
    [("skip", "skill_skip"), ("slow", "skill_slow"), ("-tone", "skill__tone"), ("not", "skill_not"), ("a-b", "a_b")],
)
def test_a_skill_whose_name_means_something_else_gets_a_mark_of_its_own(
    two: pytest.Pytester, skill: str, mark: str
) -> None:
    second = two.path / "suites" / "second.suite.yaml"
    second.write_text(second.read_text().replace("skill: format", f"skill: {skill}"))
    (node,) = rows_of(two, "-o", "markers=slow: takes long", "-m", f"not slow and {mark}", "--strict-markers")
    assert node.startswith("suites/second.suite.yaml")


def rows_of(project: pytest.Pytester, *options: str) -> dict[str, dict[str, object]]:
    assert gate(project, "--previous", "none", "--verdicts", "v.json", *options).ret == 0
    return rows(project)
