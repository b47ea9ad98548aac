"""`turns:`: the model's own answers are fed back, all first turns are asked together, then all second ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sfteval.backends import ScriptedBackend
from sfteval.backends.script import read_script
from sfteval.pipeline.commands import evaluate_model, load_given
from sfteval.pipeline.evaluate import Evaluated, Evaluation
from sfteval.pipeline.planning import plan_files
from sfteval.records import FinishReason, Status
from sfteval.store import RunStore
from tests.line.conftest import command

SUITE = """
suite: talks
samples:
  - {id: a, messages: [{role: user, content: Pick a colour.}], turns: [Which was it?, Sure?]}
  - {id: b, messages: [{role: user, content: Pick a number.}], turns: [Which was it?, Sure?]}
  - {id: c, messages: [{role: user, content: Say yes.}]}
system: Be brief.
checks:
  yes: {contains: ["yes"]}
  brief: {max_words: 3}
  always: {every_turn: brief}
  first: {at_turn: brief, turn: 1}
gates:
  - {check: "yes", at_least: 0.5}
"""
REPLIES = [
    {"match": "Pick a colour.", "reply": "blue"},
    {"match": "Pick a number.", "reply": "I think of seven <|im_end|>"},
    {"regex": "assistant\nblue.*assistant\nblue!.*Sure", "reply": "yes, blue"},
    {"regex": "assistant\nblue.*Which", "reply": "blue!"},
    {"regex": "of seven <.im_end.>\nuser\nWhich.*Sure", "reply": "wrong: the token was fed back twice or not at all"},
    {"regex": "of seven <.im_end.>\n<.im_start.>user\nWhich.*Sure", "reply": "no"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.suite.yaml").write_text(SUITE)
    script(tmp_path, "m", REPLIES)
    return tmp_path


def script(folder: Path, name: str, replies: list[dict[str, str]], more: str = "") -> None:
    replies = [{**r, "regex": f"(?s){r['regex']}"} if "regex" in r else r for r in replies]
    (folder / f"{name}.yaml").write_text(f"name: {name}\ndefault: 'yes'\nreplies: {json.dumps(replies)}\n{more}")


def run(folder: Path, name: str = "m") -> Evaluated:
    return evaluate_model(f"scripted:{folder / name}.yaml", [folder / "a.suite.yaml"], folder / "runs")


def test_answers_are_fed_back_and_the_last_one_is_judged(folder: Path) -> None:
    a, b, c = run(folder).run.samples
    assert a.output == "[turn 1] blue\n[turn 2] blue!\n[turn 3] yes, blue"
    assert a.prompt.split("\n") == [
        "[system] Be brief.",
        "[user] Pick a colour.",
        "[assistant] …",
        "[user] Which was it?",
        "[assistant] …",
        "[user] Sure?",
    ]
    assert (a.scores, len(a.response_keys)) == ({"yes": 1.0, "brief": 1.0, "always": 1.0, "first": 1.0}, 3)
    assert b.output == "[turn 1] I think of seven <|im_end|>\n[turn 2] yes\n[turn 3] no"
    assert b.scores == {"yes": 0.0, "brief": 1.0, "always": 0.0, "first": 0.0}
    assert (c.output, c.scores["always"]) == ("yes", 1.0)


class Recorder(ScriptedBackend):
    """Remembers how many requests came at once."""

    rounds: list[int]

    def respond(self, requests, on_batch) -> None:
        self.rounds.append(len(requests))
        super().respond(requests, on_batch)


def test_round_by_round(folder: Path) -> None:
    backend = Recorder(read_script(folder / "m.yaml"))
    backend.rounds = []
    planned = plan_files(load_given([folder / "a.suite.yaml"]))
    done = Evaluation(planned, backend, RunStore(folder / "runs")).run()
    assert backend.rounds == [3, 2, 2]
    assert (done.computed, done.reused) == (7, 0)


def test_stored_answers_are_reused_in_every_turn(folder: Path) -> None:
    first, again = run(folder), run(folder)
    assert (again.computed, again.reused) == (0, 7)
    assert again.run.samples == first.run.samples


def test_what_the_model_says_does_not_change_what_was_asked(folder: Path) -> None:
    script(folder, "other", [{"match": "Pick a colour.", "reply": "red"}])
    ours, theirs = run(folder).run.samples, run(folder, "other").run.samples
    assert [s.key for s in ours] == [s.key for s in theirs]
    assert [s.prompt_key for s in ours] == [s.prompt_key for s in theirs]
    assert ours[0].output != theirs[0].output
    (folder / "a.suite.yaml").write_text(SUITE.replace("Sure?", "Really?", 1))
    changed = run(folder).run.samples
    assert (changed[0].key == ours[0].key, changed[0].prompt_key == ours[0].prompt_key) == (False, False)
    assert (changed[1].key, changed[1].prompt_key) == (ours[1].key, ours[1].prompt_key)


def test_a_turn_without_an_answer_is_errored(folder: Path) -> None:
    script(folder, "m", REPLIES, "fail: [{contains: blue!, kind: gone, message: away}]\n")
    a, b, _ = run(folder).run.samples
    assert (a.status, a.error, a.scores) == (Status.ERRORED, "gone: away", {})
    assert b.status is Status.SCORED


def test_only_the_last_answer_ends_early(folder: Path) -> None:
    text = SUITE.split("checks:")[0] + "early_exit: true\nchecks:\n  brief: {max_words: 2}\n"
    (folder / "a.suite.yaml").write_text(text + "gates:\n  - {check: brief, at_least: 0}\n")
    script(folder, "m", [{"contains": "Pick", "reply": "one two three four five"}])
    a, _, c = run(folder).run.samples
    assert a.output == "[turn 1] one two three four five\n[turn 2] one two three four five\n[turn 3] one two three "
    assert (a.finish_reason, c.finish_reason) == (FinishReason.EARLY_EXIT, FinishReason.END_TURN)


def test_answers_from_a_file(folder: Path) -> None:
    rows = [
        {"id": "a", "response": ["red", "that one", "yes"]},
        {"prompt": "Pick a number.", "response": ["one", "a long answer, this is", "no"]},
        {"id": "c", "response": "yes"},
    ]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command("score", "a.suite.yaml", "--responses", "answers.jsonl", "--json", cwd=folder)
    metrics = {m["check"]: (m["n"], round(m["mean"], 4)) for m in json.loads(done.stdout)["metrics"]}
    assert metrics == {"yes": (3, 0.6667), "brief": (3, 1.0), "always": (3, 0.6667), "first": (3, 1.0)}
    (folder / "answers.jsonl").write_text(json.dumps({"id": "a", "response": "yes"}) + "\n")
    done = command("score", "a.suite.yaml", "--responses", "answers.jsonl", cwd=folder)
    assert done.returncode == 2
    expected = "row 1: found 1 answer to a conversation of 3; expected a list of 3 texts under `response`"
    assert expected in done.stderr
