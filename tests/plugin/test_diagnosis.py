"""The gate names the cause: in the evidence, the summary, the verdicts file and the pages."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from sfteval.keys import file_key
from sfteval.records import MergeDifference
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


CHANGED = {"question 1": "no", "question 2": "no"}
LEAKED = sorted({f"q{i}" for i in range(40)} - {f"q{i}" for i in (0, *range(3, 10), *range(30, 40))})


def trained(project: pytest.Pytester, name: str, replies: dict[str, str], **entries: Any) -> None:
    """Write a scripted model that is polite but for some replies, with a training manifest."""
    (project.path / f"{name}.json").write_text(json.dumps({"format": 1} | entries))
    scripted(project, name, "yes please", replies, f"training: {name}.json")


def causes(project: pytest.Pytester) -> dict[str, list[str]]:
    """Return the causes of every gate of the last session, by the gate's name."""
    rows = json.loads((project.path / "v.json").read_text())["gates"]
    return {row["node"].split("::")[1]: [cause["cause"] for cause in row["diagnosis"]] for row in rows}


def test_a_previous_release_that_had_learned_the_samples(project: pytest.Pytester) -> None:
    found = [{"against": "answers", "sample": sample} for sample in LEAKED]
    trained(project, "leaky", {}, data={"audit": {"overlap": {"found": found}}})
    trained(project, "clean", CHANGED, data={"audit": {"overlap": {"found": []}}})
    assert gate(project, "--previous", "none", "--promote-on-pass", candidate="leaky").ret == 0
    result = gate(project, "--verdicts", "v.json", candidate="clean")
    assert result.ret == 1
    said = "cause: contamination (22 of 22 worsened samples stood in the reference's training data, not in this one's)"
    result.stdout.fnmatch_lines([f"*{said}"])
    assert causes(project)["polite-no_regression-against-previous"] == ["contamination"]
    assert causes(project)["polite-no_regression-against-base"] == ["content_wrong"]
    trained(project, "clean", CHANGED, data={"audit": {"overlap": {"found": found}}})
    assert gate(project, "--verdicts", "v.json", candidate="clean").ret == 1
    assert causes(project)["polite-no_regression-against-previous"] == ["content_wrong"]


def test_merged_weights_that_are_not_those_that_were_measured(project: pytest.Pytester) -> None:
    difference = asdict(MergeDifference(8, 200, 1e-5, 30.0, 1.0))
    trained(project, "merged", CHANGED, merged={"difference": difference, "weights": "another"})
    options = ("--previous", "none", "--verdicts", "v.json")
    assert gate(project, *options, candidate="merged").ret == 1
    assert causes(project)["polite-no_regression-against-base"] == ["merged_differs"]
    row = {"difference": difference, "weights": file_key(project.path / "merged.yaml")}
    (project.path / "merged.json").write_text(json.dumps({"format": 1, "merged": row}))
    assert gate(project, *options, candidate="merged").ret == 1
    assert causes(project)["polite-no_regression-against-base"] == ["content_wrong"]
    row["difference"] = difference | {"max_abs_logit_difference": 0.5}
    (project.path / "merged.json").write_text(json.dumps({"format": 1, "merged": row}))
    result = gate(project, *options, candidate="merged")
    said = "cause: merged differs (the merged weights' logits differ from the adapter's by up to 0.5, more than 0.001*"
    result.stdout.fnmatch_lines([f"*{said}"])


def test_answers_recited_from_training_data_of_any_format(project: pytest.Pytester) -> None:
    answer = "the harbour kept its lamps lit while rain came in from the sea"
    data = project.path / "data.jsonl"
    data.write_text(json.dumps({"instruction": "Read.", "input": "", "output": answer}) + "\n")
    source = {"path": str(data), "format": "alpaca"}
    files = [{"path": str(data), "sha256": file_key(data)}]
    trained(
        project, "parrot", dict.fromkeys(CHANGED, answer), data={"files": files}, config={"data": {"train": [source]}}
    )
    options = ("--previous", "none", "--verdicts", "v.json")
    assert gate(project, *options, candidate="parrot").ret == 1
    assert causes(project)["polite-no_regression-against-base"] == ["verbatim_recall"]
    data.write_text(json.dumps({"instruction": "Read.", "input": "", "output": "another answer"}) + "\n")
    assert gate(project, *options, candidate="parrot").ret == 1
    assert causes(project)["polite-no_regression-against-base"] == ["length_drift"]
