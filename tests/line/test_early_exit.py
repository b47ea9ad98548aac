"""`early_exit: true`: the same scores, fewer tokens, and samples that say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sfteval.pipeline.commands import evaluate_model
from sfteval.records import FinishReason, Run


def run(folder: Path, name: str, more: str, checks: str = "checks:\n  valid: {json: true}\n") -> Run:
    suites = folder / name
    suites.mkdir()
    rows = [{"id": f"q{i}", "messages": [{"role": "user", "content": f"question {i}:"}]} for i in range(6)]
    (suites / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (suites / "a.suite.yaml").write_text(
        f"suite: a\nsamples: q.jsonl\n{checks}{more}gates:\n  - {{check: valid, at_least: 0.3}}\n"
    )
    replies = [
        {"contains": "question 1", "reply": '{"total": 1}'},
        {"contains": "question 2", "reply": '{"a": x, "b": 2}'},
    ]
    model = {"name": "m", "default": "Sure, here is what you asked for in JSON", "replies": replies}
    (folder / "m.yaml").write_text(json.dumps(model))
    return evaluate_model(f"scripted:{folder / 'm.yaml'}", [suites], folder / "runs").run


def seen(done: Run) -> dict[str, Any]:
    return {s.sample_id: (s.output, s.finish_reason, s.output_tokens) for s in done.samples}


def test_the_same_scores_with_fewer_tokens(tmp_path: Path) -> None:
    whole, early = run(tmp_path, "whole", ""), run(tmp_path, "early", "early_exit: true\n")
    assert [s.scores for s in early.samples] == [s.scores for s in whole.samples]
    assert seen(early)["q0"] == ("Sure, ", FinishReason.EARLY_EXIT, 1)
    assert seen(early)["q2"] == ('{"a": x, ', FinishReason.EARLY_EXIT, 2)
    assert seen(early)["q1"] == seen(whole)["q1"] == ('{"total": 1}', FinishReason.END_TURN, 3)
    assert seen(whole)["q0"][1:] == (FinishReason.END_TURN, 10)
    assert early.manifest.counts["output_tokens"] < whole.manifest.counts["output_tokens"]
    assert early.manifest.extra["warnings"] == []


def test_stored_whole_answers_are_never_taken_for_early_ones(tmp_path: Path) -> None:
    run(tmp_path, "early", "early_exit: true\n")
    assert seen(run(tmp_path, "whole", ""))["q0"][1] is FinishReason.END_TURN


def test_a_check_that_needs_the_end_keeps_every_answer_whole(tmp_path: Path) -> None:
    checks = "checks:\n  valid: {json: true}\n  stops: {ends_turn: true}\n"
    done = run(tmp_path, "stops", "early_exit: true\n", checks)
    assert all(s.finish_reason is FinishReason.END_TURN for s in done.samples)
    assert done.manifest.extra["warnings"] == ["a: early_exit has no effect: only a whole answer settles stops"]
