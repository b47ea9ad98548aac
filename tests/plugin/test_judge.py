"""A judge in a suite: gates, what it costs, what happens when it cannot be read or reached."""

from __future__ import annotations

import json

import pytest

from sfteval.records import Status
from sfteval.store import RunStore
from tests.plugin.conftest import gate, scripted

SUITE = """
suite: polite
samples: q.jsonl
checks:
  polite: {judge: {rubric: The answer says please., model: "scripted:../judge.yaml", at_least: 4}}
  read: {judged: polite}
gates:
  - {check: polite, no_regression: {against: base, margin: 0.2}}
  - {check: read, at_least: 0.9}
"""
PAIR = """
suite: pair
samples: q.jsonl
checks:
  better: {judge_against_base: {rubric: The answer says please., model: "scripted:../judge.yaml"}}
gates:
  - {check: better, improves: {against: base, by: 0.2}}
"""


@pytest.fixture
def judged(project: pytest.Pytester) -> pytest.Pytester:
    (project.path / "suites" / "answers.suite.yaml").write_text(SUITE)
    (project.path / "suites" / "families.yaml").unlink()
    judge(project, [{"regex": r"<answer-\w+>\nyes,? please", "reply": "Kind.\nGrade: 5"}])
    return project


def judge(project: pytest.Pytester, replies: list[dict[str, str]], **more: object) -> None:
    script = {"name": "judge", "default": "Curt.\nGrade: 1", "replies": replies, **more}
    (project.path / "judge.yaml").write_text(json.dumps(script))


def newest(project: pytest.Pytester):
    store = RunStore(project.path / "runs")
    return store.load(store.resolve("latest"))


def test_a_polite_candidate_passes_and_a_curt_one_fails(judged: pytest.Pytester) -> None:
    assert gate(judged, "--previous", "none").ret == 0
    assert gate(judged, "--previous", "none", candidate="worse").ret == 1


def test_opinions_are_stored_and_reused(judged: pytest.Pytester) -> None:
    gate(judged, "--previous", "none")
    sample = newest(judged).samples[0]
    assert len(sample.response_keys) == 2  # the answer, and the judge's opinion of it
    assert sample.output_tokens == 3  # of the answer alone
    judge(judged, [], fail=[{"contains": "question"}])  # another judge: it would have to be asked again
    broken = gate(judged, "--previous", "none")
    assert broken.ret == 21
    judge(judged, [{"regex": r"<answer-\w+>\nyes,? please", "reply": "Kind.\nGrade: 5"}])
    assert gate(judged, "--previous", "none").ret == 0
    assert newest(judged).manifest.counts["computed"] == 0


def test_a_judge_that_is_down_fails_closed(judged: pytest.Pytester) -> None:
    judge(judged, [], fail=[{"contains": "question", "kind": "connection", "message": "refused"}])
    done = gate(judged, "--previous", "none")
    assert done.ret == 21
    done.stdout.fnmatch_lines(["*40 of 40 samples of polite errored on the candidate*connection: refused*"])


def test_opinions_that_cannot_be_read_are_unscored_not_failed(judged: pytest.Pytester) -> None:
    rules = [{"contains": "question 1", "reply": "I would rather not say."}]
    judge(judged, [*rules, {"contains": "please", "reply": "Grade: 5"}])
    done = gate(judged, "--previous", "none")
    samples = newest(judged).samples
    unread = [s for s in samples if "polite" not in s.scores]
    assert len(unread) == 11  # question 1 and 10 to 19
    assert {s.status for s in unread} == {Status.SCORED}
    assert [s.scores for s in unread] == [{"read": 0.0}] * 11
    assert done.ret == 1  # the gate on what could be read


def test_a_judge_that_is_no_model_is_a_mistake_in_the_suite(judged: pytest.Pytester) -> None:
    (judged.path / "judge.yaml").unlink()
    done = gate(judged, "--previous", "none")
    assert done.ret == 4
    assert "found nothing at" in done.stdout.str() + done.stderr.str()


def test_against_base_in_both_orders(judged: pytest.Pytester) -> None:
    (judged.path / "suites" / "answers.suite.yaml").write_text(PAIR)
    scripted(judged, "base", "no")
    first = {"regex": r"<answer-a-\w+>\nyes please", "reply": "Winner: A"}
    judge(judged, [first, {"regex": r"<answer-b-\w+>\nyes please", "reply": "Winner: B"}])
    assert gate(judged, "--previous", "none").ret == 0
    assert {s.scores["better"] for s in newest(judged).samples} == {1.0}
    judge(judged, [{"contains": "Answer A", "reply": "Winner: A"}])  # always the first: no preference at all
    assert gate(judged, "--previous", "none").ret == 1
    assert {s.scores["better"] for s in newest(judged).samples} == {0.5}
