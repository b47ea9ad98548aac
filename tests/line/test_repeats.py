"""`n:` answers to each prompt: seeds and keys of their own, one cluster a prompt, pass@k and pass^k once a prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sfteval.pipeline.commands import evaluate_model, metric_rows
from sfteval.records import Run
from tests.line.conftest import command

SUITE = """
suite: colours
samples: q.jsonl
generate: {temperature: 0.8}
n: 4
checks:
  red: {contains: [red]}
  at_2: {pass_at: red, k: 2}
  all_2: {pass_all: red, k: 2}
gates:
  - {check: at_2, at_least: 0.5}
  - {check: all_2, at_most: 0.9}
  - {check: at_2, no_regression: {against: base, margin: 0.9}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"id": f"q{i}", "messages": [{"role": "user", "content": f"A colour, {i}."}]} for i in range(20)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "a.suite.yaml").write_text(SUITE)
    replies = [{"contains": "colour", "reply": ["red", "blue"]}]
    (tmp_path / "m.yaml").write_text(json.dumps({"name": "m", "replies": replies}))
    return tmp_path


def run(folder: Path) -> Run:
    return evaluate_model(f"scripted:{folder / 'm.yaml'}", [folder / "a.suite.yaml"], folder / "runs").run


def test_repeats_are_answers_of_their_own_in_one_cluster(folder: Path) -> None:
    done = run(folder)
    assert [(s.sample_id, s.repeat, s.cluster) for s in done.samples[:5]] == [
        ("q0", 0, "q0"),
        ("q0", 1, "q0"),
        ("q0", 2, "q0"),
        ("q0", 3, "q0"),
        ("q1", 0, "q1"),
    ]
    assert len({s.key for s in done.samples}) == len({s.response_keys for s in done.samples}) == 80
    by_prompt = [[s.output for s in done.samples if s.sample_id == f"q{i}"] for i in range(20)]
    assert len({tuple(outputs) for outputs in by_prompt}) > 5
    assert done.manifest.extra["warnings"] == []
    assert run(folder).samples == done.samples, "the same seeds again"


def test_each_prompt_counts_once(folder: Path) -> None:
    done = run(folder)
    found = {m["check"]: (m["n"], m["mean"]) for m in metric_rows(done)}
    reds = [sum(s.output == "red" for s in done.samples if s.sample_id == f"q{i}") for i in range(20)]
    at_2 = sum(1 - (4 - c) * (3 - c) / 12 for c in reds) / 20
    all_2 = sum(c * (c - 1) / 12 for c in reds) / 20
    assert found["red"] == (80, sum(reds) / 80)
    assert found["at_2"] == (20, pytest.approx(at_2))
    assert found["all_2"] == (20, pytest.approx(all_2))
    assert 0 < all_2 < at_2 < 1
    first = next(s for s in done.samples if s.sample_id == "q3" and s.repeat == 0)
    assert first.evidence["at_2"] == f"{reds[3]} of 4 repeats pass"


def test_temperature_zero_is_a_warning(folder: Path) -> None:
    (folder / "a.suite.yaml").write_text(SUITE.replace("temperature: 0.8", "temperature: 0"))
    done = command("eval", "--candidate", "scripted:m.yaml", "--suites", "a.suite.yaml", "--json", cwd=folder)
    text = "colours: n: 4 at temperature 0: all repeats of a prompt are one and the same answer"
    assert json.loads(done.stdout)["warnings"] == [text]
    assert f"warning: {text}" in done.stderr
    assert json.loads(done.stdout)["computed"] == 20


def answers(folder: Path, *texts: str) -> None:
    rows = [{"id": f"q{i}", "response": text} for i in range(20) for text in texts]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_answers_from_a_file_are_the_repeats_in_order(folder: Path) -> None:
    answers(folder, "red", "blue", "blue", "red")
    done = command("score", "a.suite.yaml", "--responses", "answers.jsonl", "--json", cwd=folder)
    result = json.loads(done.stdout)
    assert {m["check"]: (m["n"], round(m["mean"], 6)) for m in result["metrics"]} == {
        "red": (80, 0.5),
        "at_2": (20, 0.833333),
        "all_2": (20, 0.166667),
    }
    assert [(g["check"], g["verdict"], g["n"]) for g in result["gates"]][:2] == [
        ("at_2", "PASS", 20),
        ("all_2", "PASS", 20),
    ]


def test_sampled_answers_to_a_greedy_suite_are_refused(folder: Path) -> None:
    (folder / "a.suite.yaml").write_text(SUITE.replace("temperature: 0.8", "temperature: 0"))
    answers(folder, "red", "blue", "blue", "red")
    done = command("score", "a.suite.yaml", "--responses", "answers.jsonl", cwd=folder)
    assert done.returncode == 2
    assert "answers.jsonl row 2: found another answer to a prompt that the suite asks at temperature 0" in done.stderr
