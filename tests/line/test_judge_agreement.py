"""`sfteval judge agreement`: figures, confusion, what was unreadable, and files that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.line.conftest import command

SUITE = """
suite: polite
samples:
  - {id: a, messages: [{role: user, content: "Where is the key?"}]}
checks:
  polite: {judge: {rubric: The answer is polite., model: "scripted:judge.yaml", at_least: 4}}
  graded: {judge: {rubric: The answer is polite., model: "scripted:judge.yaml"}}
  better: {judge_against_base: {rubric: The answer is polite., model: "scripted:judge.yaml"}}
gates:
  - {check: polite, at_least: 0.5}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.suite.yaml").write_text(SUITE)
    replies = [
        {"regex": r"<answer-\w+>\nPlease", "reply": "Grade: 5"},
        {"regex": r"<answer-\w+>\nHm", "reply": "I cannot say."},
        {"regex": r"<answer-a-\w+>\nPlease", "reply": "Winner: A"},
        {"regex": r"<answer-b-\w+>\nPlease", "reply": "Winner: B"},
    ]
    script = {"name": "j", "default": "Grade: 2", "replies": replies, "fail": [{"contains": "Crash"}]}
    (tmp_path / "judge.yaml").write_text(json.dumps(script))
    return tmp_path


def measured(folder: Path, check: str, rows: list[dict], code: int = 0) -> dict:
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command(
        "judge", "agreement", "labels.jsonl", "--suite", "p.suite.yaml", "--check", check, "--json", cwd=folder
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def row(response: str, label: object) -> dict:
    return {"prompt": "Where is the key?", "response": response, "label": label, "rater": "one"}


def test_pass_or_fail(folder: Path) -> None:
    rows = [row(f"Please {i}", 4) for i in range(4)] + [row(f"There {i}", False) for i in range(3)]
    rows += [row("There it is", True), row("Hm", True), row("Crash", True)]
    found = measured(folder, "polite", rows)
    assert (found["n"], found["unreadable"], found["errored"], found["model"]) == (8, 1, 1, "scripted:judge.yaml")
    assert found["confusion"] == {"fail": {"fail": 3}, "pass": {"fail": 1, "pass": 4}}
    assert found["accuracy"] == pytest.approx(7 / 8)
    assert found["kappa"] == pytest.approx(0.75)
    assert found["accuracy_interval"] == pytest.approx([0.5291, 0.9776], abs=1e-4)
    assert found["kappa_interval"][0] < 0.75 < found["kappa_interval"][1]


def test_grades(folder: Path) -> None:
    found = measured(folder, "graded", [row("Please", 5), row("There", 2), row("Over there", 3)])
    assert found["confusion"] == {"2": {"2": 1}, "3": {"2": 1}, "5": {"5": 1}}


def test_pairs(folder: Path) -> None:
    pairs = [("Please", "There", "a"), ("There", "Please", "b"), ("Please", "Please", "tie"), ("Please", "No", "b")]
    rows = [{"prompt": "Key?", "response_a": a, "response_b": b, "label": label} for a, b, label in pairs]
    found = measured(folder, "better", rows)
    assert found["confusion"] == {"a": {"a": 1}, "b": {"a": 1, "b": 1}, "tie": {"tie": 1}}
    assert (found["accuracy"], found["ties"]) == (0.75, 1)


def test_nothing_readable_is_21(folder: Path) -> None:
    found = measured(folder, "graded", [row("Hm", 5)], code=21)
    assert (found["n"], found["accuracy"], found["kappa"], found["unreadable"]) == (0, None, None, 1)


def test_the_table(folder: Path) -> None:
    (folder / "labels.jsonl").write_text(json.dumps(row("Please", 5)) + "\n")
    arguments = ("judge", "agreement", "labels.jsonl", "--suite", "p.suite.yaml", "--check", "polite")
    done = command(*arguments, cwd=folder)
    assert done.returncode == 0
    assert "polite by scripted:judge.yaml" in done.stdout
    assert "1 answers judged, 0 unreadable, 0 errored, 0 ties" in done.stdout


@pytest.mark.parametrize(
    ("check", "line", "message"),
    [
        ("polit", row("x", 5), "p.suite.yaml: found no judge check 'polit'; expected a judge or judge_against_base"),
        (
            "graded",
            row("x", True),
            "labels.jsonl:1: found the label True; expected a grade from 1 to 5 (the check has no",
        ),
        ("graded", row("x", 6), "labels.jsonl:1: found the label 6; expected a grade from 1 to 5"),
        ("better", row("x", "a"), "labels.jsonl:1: found no 'response_a'"),
        ("graded", {"response": "x", "label": 1}, "labels.jsonl:1: found neither or both of messages and prompt"),
    ],
)
def test_what_cannot_be_measured(folder: Path, check: str, line: dict, message: str) -> None:
    (folder / "labels.jsonl").write_text(json.dumps(line) + "\n")
    arguments = ("judge", "agreement", "labels.jsonl", "--suite", "p.suite.yaml", "--check", check)
    done = command(*arguments, cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr
