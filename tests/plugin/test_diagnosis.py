"""The gate names the cause: in the evidence, the summary, the verdicts file and the pages."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import gate, scripted


def test_the_cause_stands_beside_the_objection(project: pytest.Pytester) -> None:
    scripted(project, "roles", "yes.\nUser: and?")
    options = ("--previous", "none", "--verdicts", "v.json", "--report", "site", "--summary", "s.md")
    result = gate(project, *options, candidate="roles")
    assert result.ret == 1
    said = "cause: token or role leak (40 of 40 worsened answers leak special tokens or play another role)"
    result.stdout.fnmatch_lines([f"*{said}"])
    rows = {row["node"].split("::")[1]: row for row in json.loads((project.path / "v.json").read_text())["gates"]}
    (cause,) = rows["polite-no_regression-against-base"]["diagnosis"]
    assert (cause["cause"], cause["weight"]) == ("token_or_role_leak", 1.0)
    assert len(cause["samples"]) == 20
    page = (project.path / "site" / "index.html").read_text()
    assert "<strong>token or role leak</strong>" in page
    assert f"id={cause['samples'][0]}" in page
    assert "token or role leak" in (project.path / "s.md").read_text()


def test_a_pass_has_no_diagnosis(project: pytest.Pytester) -> None:
    assert gate(project, "--previous", "none", "--verdicts", "v.json").ret == 0
    rows = json.loads((project.path / "v.json").read_text())["gates"]
    assert [row["diagnosis"] for row in rows] == [[]] * len(rows)
