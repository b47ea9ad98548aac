"""What CI reads: Markdown summaries and GitHub annotations."""

from __future__ import annotations

import pytest

from .conftest import gate, scripted

HOSTILE = "no ```` <script>alert(1)</script> | ::error::x\r\n::set-output name=a::b %0A [x](javascript:y) \u202e"


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


def test_a_failing_release_as_markdown(project: pytest.Pytester) -> None:
    gate(project, "--previous", "none", "--summary", "out/summary.md", candidate="worse")
    lines = (project.path / "out" / "summary.md").read_text().splitlines()
    assert lines[0] == "## sfteval: Do not ship: a regression is proven or a floor is missed."
    assert lines[2] == "| | gate | asks | before | now | change [interval], points | n | left out |"
    assert lines[4].startswith("| ❌ FAIL | answers polite | base −20 | 1.000 | 0.275 | -72.5 [-")
    assert any("✅ PASS | answers brief | ≥ 0.9" in line for line in lines)
    assert any(line.startswith("**answers polite** (suites/answers.suite.yaml, line 9): a drop") for line in lines)


def test_the_jobs_summary_grows_and_annotations_mark_the_line(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project.path / "step.md"
    file.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path.parent))
    result = gate(project, "--previous", "none", candidate="worse")
    assert file.read_text().startswith("before\n## sfteval: Do not ship")
    place = f"file={project.path.name}/suites/answers.suite.yaml,line=9"
    result.stdout.fnmatch_lines([f"::error {place},title=sfteval%3A answers polite%3A FAIL::FAIL: a drop*%0A*"])
    assert not any(line.startswith("::") for line in gate(project, "--previous", "none").stdout.lines)


def test_hostile_answers_stay_text(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    scripted(project, "hostile", HOSTILE)
    result = gate(project, "--previous", "none", "--summary", "s.md", candidate="hostile")
    commands = [line for line in result.stdout.lines if line.startswith("::")]
    assert commands
    assert all(line.startswith(("::error file=suites/", "::warning file=suites/")) for line in commands)
    assert all("\r" not in line and "%250A" in line for line in commands if "javascript" in line)
    text = (project.path / "s.md").read_text()
    fence = "`" * 5
    shown = [line for line in text.splitlines() if "<script>" in line]
    assert shown
    for line in shown:
        before = text[: text.index(line)].rstrip().splitlines()[-1]
        assert before == f"{fence}text"
    assert "\u202e" not in text


def test_xdist_writes_once(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project.path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    roles = ["--candidate", "scripted:worse.yaml", "--base", "scripted:base.yaml", "--previous", "none"]
    result = project.runpytest_subprocess("suites", *roles, "-n", "2")
    assert result.ret == 1
    assert file.read_text().count("## sfteval") == 1
    assert sum(line.startswith("::error") for line in result.stdout.lines) == 2


def test_a_summary_that_cannot_be_written_is_not_a_pass(project: pytest.Pytester) -> None:
    (project.path / "blocked").write_text("")
    result = gate(project, "--previous", "none", "--summary", "blocked/summary.md")
    assert result.ret == 21
    result.stderr.fnmatch_lines(["sfteval: *blocked/summary.md*expected a place that can be written*"])
