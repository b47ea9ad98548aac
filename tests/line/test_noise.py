"""`sfteval noise`: the same model again, what is stored of it, and who reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .conftest import command


def noise(project: Path, *options: str) -> tuple[int, dict[str, object]]:
    done = command("noise", "scripted:good.yaml", "suites", "-k", "3", "--json", *options, cwd=project)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_greedy_model_again_is_no_difference(project: Path) -> None:
    code, found = noise(project)
    assert code == 0
    assert found["differences"] == []
    assert len(found["runs"]) == 3
    assert {row["discordance"] for row in found["metrics"]} == {0.0}
    assert {row["repetitions"] for row in found["metrics"]} == {3}
    stored = json.loads((project / "runs" / "noise.json").read_text())["metrics"]
    assert {row["within_variance"] for row in stored.values()} == {0.0}
    counts = [json.loads(p.read_text())["counts"]["computed"] for p in (project / "runs").glob("*/manifest.json")]
    assert len(counts) == 3
    assert len(set(counts)) == 1
    assert counts[0] > 0, "nothing is reused between repetitions"


def test_sampled_answers_get_seeds_of_their_own(project: Path) -> None:
    suite = next((project / "suites").glob("*.suite.yaml"))
    written = yaml.safe_load(suite.read_text())
    written["generate"] = {"temperature": 0.7}
    suite.write_text(yaml.safe_dump(written, sort_keys=False))
    model = yaml.safe_load((project / "good.yaml").read_text())
    reply = model["default"] if isinstance(model["default"], str) else model["default"][0]
    (project / "good.yaml").write_text(
        yaml.safe_dump(
            {"name": "good", "replies": [{"contains": "question", "reply": [reply, "zzz"]}], "default": reply}
        )
    )
    code, found = noise(project)
    assert code == 0
    assert found["differences"] == []
    assert max(row["discordance"] for row in found["metrics"]) > 0.2


SHIFTING = """
from pathlib import Path

import sfteval


@sfteval.check("mood")
def mood(answer, mood: str):
    return any(Path("runs").glob("*/manifest.json")) == (mood == "rises")
"""


@pytest.mark.parametrize("mood", ["rises", "falls"])
def test_a_metric_that_shifts_between_two_runs_of_one_model_is_not_judged_by(project: Path, mood: str) -> None:
    (project / "suites" / "conftest.py").write_text(SHIFTING)
    suite = project / "suites" / "answers.suite.yaml"
    suite.write_text(
        "suite: answers\nsamples: q.jsonl\nchecks: {polite: {contains: please}, "
        f"liked: {{mood: {mood}}}}}\n"
        "gates:\n  - {check: polite, no_regression: {against: base, margin: 0.2}}\n"
        "  - {check: liked, no_regression: {against: base, margin: 0.2}}\n"
    )
    code, found = noise(project)
    assert code == 21
    assert {found["gate"] for found in found["differences"]} == {"answers::liked-no_regression"}
    rows = json.loads((project / "runs" / "noise.json").read_text())["metrics"]
    assert rows["answers//polite"]["shifted"] == []
    worse = rows["answers//liked"]["shifted"]
    assert set(worse) < set(found["runs"])

    models = ("--candidate", "scripted:worse.yaml", "--base", "scripted:good.yaml", "--previous", "none")
    gated = [sys.executable, "-m", "pytest", "suites", *models, "--verdicts", "v.json", "-p", "no:cacheprovider"]
    done = subprocess.run(gated, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 21, done.stdout
    polite, liked = json.loads((project / "v.json").read_text())["gates"]
    assert polite["verdict"] == "FAIL"
    assert liked["verdict"] == "NOT_COMPARABLE"
    assert liked["reasons"] == [
        f"'liked' of answers is not steady: two runs of the same model (scripted:good.yaml: {' and '.join(worse)}) "
        "differ in it, so that a difference between two models proves nothing. Find out what shifts (a judge, the "
        "engine), then measure again with: sfteval noise"
    ]


def test_judges_and_conversations_are_asked_anew_as_well(project: Path) -> None:
    judge = {"name": "j", "default": "Grade: 5"}
    (project / "suites" / "judge.yaml").write_text(json.dumps(judge))
    rows = [{"id": f"q{i}", "messages": [{"role": "user", "content": f"question {i}:"}]} for i in range(8)]
    turns = [row | {"turns": ["and now?"]} for row in rows]
    (project / "suites" / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in turns))
    (project / "suites" / "answers.suite.yaml").write_text(
        "suite: answers\nsamples: q.jsonl\ngenerate: {temperature: 0.7}\nchecks:\n"
        '  graded: {judge: {rubric: The answer is polite., model: "scripted:judge.yaml"}}\n'
        "gates:\n  - {check: graded, at_least: 0.5}\n"
    )
    code, found = noise(project)
    assert (code, found["differences"]) == (0, [])
    counts = [json.loads(p.read_text())["counts"] for p in (project / "runs").glob("*/manifest.json")]
    assert [(each["computed"], each["scored"]) for each in counts] == [(8 * 3, 8)] * 3


def test_clusters_are_what_differs(project: Path) -> None:
    suite = project / "suites" / "answers.suite.yaml"
    suite.write_text(suite.read_text() + "generate: {temperature: 0.7}\nn: 4\n")
    (project / "good.yaml").write_text("name: good\nreplies: [{contains: question, reply: [yes please, zzz]}]\n")
    code, found = noise(project)
    assert code == 0
    row = next(row for row in found["metrics"] if row["check"] == "polite")
    assert (row["n"], row["clusters"]) == (4 * 60, 60)
    assert row["mean_square"] < row["discordance"] / 2, "means of four answers differ by less than an answer does"


def test_too_few_repetitions_and_a_broken_file(project: Path) -> None:
    done = command("noise", "scripted:good.yaml", "suites", "-k", "1", cwd=project)
    assert done.returncode == 2
    assert "-k: found 1; expected at least 2 repetitions" in done.stderr
    (project / "runs").mkdir(exist_ok=True)
    (project / "runs" / "noise.json").write_text('{"format": 1, "metrics": {"a//b": {"discordance": 7}}}')
    done = command("noise", "scripted:good.yaml", "suites", "-k", "2", cwd=project)
    assert done.returncode != 0
    assert "found rows without a discordance between 0 and 1, or with changes below 0" in done.stderr
