"""`sfteval score`: answers from a file, judged by suites and by the published benchmarks."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.line.conftest import command

SUITE = """
suite: greet
samples:
  - {id: a, messages: [{role: user, content: "Greet Ann."}]}
  - {id: b, messages: [{role: user, content: "Greet Bob."}]}
checks:
  polite: {contains: [please]}
  stops: {ends_turn: true}
gates:
  - {check: polite, at_least: 0.5}
  - {check: polite, no_regression: {against: base, margin: 0.9}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "greet.suite.yaml").write_text(SUITE)
    return tmp_path


def answers(folder: Path, *rows: dict[str, Any], name: str = "answers.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def scored(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = command("score", *arguments, "--json", cwd=folder)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_answers_by_id_and_by_prompt(folder: Path) -> None:
    name = answers(
        folder,
        {"id": "a", "response": "yes please", "model": "somebody's"},
        {"prompt": "Greet Bob. ", "response": "\ud800 no"},
    )
    code, result = scored(folder, "greet.suite.yaml", "--responses", name)
    assert code == 0
    assert [(g["check"], g["verdict"], g["candidate"]) for g in result["gates"]] == [
        ("polite", "PASS", 0.5),
        ("polite", "NOT_JUDGED", None),
    ]
    assert (result["unanswered"], result["unmatched"]) == ([], [])
    metrics = {m["check"]: (m["n"], m["mean"], m["errored"]) for m in result["metrics"]}
    assert metrics == {"polite": (2, 0.5, 0), "stops": (0, None, 0)}


def test_suites_that_end_answers_early_take_whole_answers(folder: Path) -> None:
    suite = SUITE.replace("  stops: {ends_turn: true}\n", "").replace("gates:", "early_exit: true\ngates:")
    (folder / "greet.suite.yaml").write_text(suite.replace("contains: [please]", "max_words: 2"))
    name = answers(folder, {"id": "a", "response": "yes please"}, {"id": "b", "response": "one two three"})
    code, result = scored(folder, "greet.suite.yaml", "--responses", name)
    assert (code, result["unanswered"], result["gates"][0]["candidate"]) == (0, [], 0.5)


def test_finish_reasons_are_read(folder: Path) -> None:
    rows = [{"id": i, "response": "please", "finish_reason": r} for i, r in (("a", "end_turn"), ("b", "length"))]
    _, result = scored(folder, "greet.suite.yaml", "--responses", answers(folder, *rows))
    assert {m["check"]: m["mean"] for m in result["metrics"]} == {"polite": 1.0, "stops": 0.5}


def test_base_answers_make_the_comparison(folder: Path) -> None:
    good = answers(folder, *({"id": i, "response": "please"} for i in "ab"), name="good.jsonl")
    bad = answers(folder, *({"id": i, "response": "no"} for i in "ab"), name="bad.jsonl")
    code, result = scored(folder, "greet.suite.yaml", "--responses", bad, "--base", good)
    assert code == 1
    compared = result["gates"][1]
    assert (compared["n"], compared["reference"], compared["candidate"], compared["difference"]) == (2, 1.0, 0.0, -1.0)
    again, same = scored(folder, "greet.suite.yaml", "--responses", good, "--base", result["gates"][1]["runs"]["base"])
    assert (again, same["gates"][1]["difference"]) == (0, 0.0)


def test_a_missing_answer_is_errored_and_never_a_pass(folder: Path) -> None:
    code, result = scored(
        folder,
        "greet.suite.yaml",
        "--responses",
        answers(folder, {"id": "a", "response": "please"}, {"id": "z", "response": ""}),
    )
    assert code == 21
    assert (result["unanswered"], result["unmatched"]) == (["greet/b"], [2])
    assert "1 of 2 samples of greet errored on the candidate" in result["gates"][0]["reasons"][0]
    assert "unanswered: the file holds no answer to this sample" in result["gates"][0]["reasons"][0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            '{"response": "x"}\n',
            "answers.jsonl:1: found neither id nor prompt; expected a sample's id or its last message",
        ),
        ('{"id": "a"}\n', "no 'response'"),
        ("", "found no rows"),
        ("[1]\n", "answers.jsonl:1: found a list; expected a JSON object"),
        ('{"id": "q", "response": "x"}\n', "1 rows and none that answers a sample"),
        ('{"id": "a", "response": "x"}\n{"id": "a", "response": "y"}\n', "one answer more than greet/a has repeats"),
    ],
)
def test_bad_files_are_one_message(folder: Path, lines: str, message: str) -> None:
    (folder / "answers.jsonl").write_text(lines)
    done = command("score", "greet.suite.yaml", "--responses", "answers.jsonl", cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_exactly_one_thing_to_judge_by(folder: Path) -> None:
    done = command("score", "--responses", "x", cwd=folder)
    assert done.returncode == 2
    assert "0 things to judge by; expected either suites, or --ifeval PROMPTS, or --ifbench PROMPTS" in done.stderr


def test_ifeval_prompts(folder: Path) -> None:
    rows = [
        {"key": 1, "prompt": "No commas. Two words.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
        {"key": 2, "prompt": "Title.", "instruction_id_list": ["en:detectable_format:title"], "kwargs": [{}]},
        {"key": 3, "prompt": "Unasked.", "instruction_id_list": ["detectable_format:title"], "kwargs": [{}]},
    ]
    prompts = answers(folder, *rows, name="prompts.jsonl")
    given = [{"prompt": "No commas. Two words.", "response": "a, b\nc"}, {"id": "2", "response": "<<T>>"}]
    with gzip.open(folder / "given.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in [*given, {"prompt": "?", "response": "x"}])
    code, result = scored(folder, "--ifeval", prompts, "--responses", "given.jsonl.gz")
    assert code == 0
    assert result == {
        "strict": {"prompt": 0.5, "instruction": 0.5},
        "loose": {"prompt": 1.0, "instruction": 1.0},
        "rows": [{"key": 1, "strict": [False], "loose": [True]}, {"key": 2, "strict": [True], "loose": [True]}],
        "unanswered": [3],
        "unmatched": 1,
    }
