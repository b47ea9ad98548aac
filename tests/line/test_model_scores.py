"""Suites whose checks need a model's scores, from the file to the run and the exit code, on scripted models."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sfteval.pipeline.commands import evaluate_model
from sfteval.records import Status

SUITE = """
suite: colours
samples: q.jsonl
checks:
  right: {choice: true}
  cost: {bits_per_byte: true}
gates:
  - {check: right, at_least: 0.5}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    suites = tmp_path / "suites"
    suites.mkdir()
    rows = [
        {
            "id": f"q{i}",
            "messages": [{"role": "user", "content": f"question {i}:"}],
            "reference": "red",
            "vars": {"options": ["red", "seven"]},
        }
        for i in range(4)
    ]
    (suites / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (suites / "colours.suite.yaml").write_text(SUITE)
    scores = [
        {"contains": "question 1:", "continuation": "seven", "value": -1.0},
        {"continuation": "red", "value": -2.0},
        {"continuation": "seven", "value": -4.0},
    ]
    (tmp_path / "m.yaml").write_text(json.dumps({"name": "m", "scores": scores}))
    return tmp_path


def test_scores_without_a_generated_token(folder: Path) -> None:
    done = evaluate_model(f"scripted:{folder / 'm.yaml'}", [folder / "suites"], folder / "runs")
    samples = {sample.sample_id: sample for sample in done.run.samples}
    assert {name: sample.scores["right"] for name, sample in samples.items()} == {"q0": 1, "q1": 0, "q2": 1, "q3": 1}
    assert samples["q0"].scores["cost"] == pytest.approx(2 / math.log(2) / 3)
    assert (samples["q0"].output, samples["q0"].prompt, samples["q0"].status) == (
        "",
        "[user] question 0:",
        Status.SCORED,
    )
    assert done.computed == 8  # two scores a question: the reference is one of the options
    again = evaluate_model(f"scripted:{folder / 'm.yaml'}", [folder / "suites"], folder / "runs")
    assert (again.computed, again.reused) == (0, 8)


def test_a_check_that_reads_the_answer_brings_it_back_and_keeps_the_keys(folder: Path) -> None:
    before = evaluate_model(f"scripted:{folder / 'm.yaml'}", [folder / "suites"], folder / "runs").run
    path = folder / "suites" / "colours.suite.yaml"
    path.write_text(path.read_text().replace("checks:", "checks:\n  brief: {max_words: 9}"))
    after = evaluate_model(f"scripted:{folder / 'm.yaml'}", [folder / "suites"], folder / "runs").run
    assert [s.key for s in after.samples] == [s.key for s in before.samples]
    assert {s.output for s in after.samples} == {"I do not know."}
    assert after.samples[0].output_tokens == 5  # of the answer alone, not of what was scored


def test_a_failed_score_is_errored(folder: Path) -> None:
    script = json.loads((folder / "m.yaml").read_text())
    script["fail"] = [{"contains": "question 2:", "kind": "out_of_memory", "message": "no room"}]
    (folder / "m.yaml").write_text(json.dumps(script))
    done = evaluate_model(f"scripted:{folder / 'm.yaml'}", [folder / "suites"], folder / "runs")
    errors = {s.sample_id: s.error for s in done.run.samples if s.status is Status.ERRORED}
    assert errors == {"q2": "out_of_memory: no room"}


def test_bits_per_byte_are_what_transformers_computes(tmp_path: Path) -> None:
    """The engine's figure for a reply, with and without its end, against a plain forward pass over the same chat."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model_folder = Path(__file__).parents[2] / "fixtures" / "tiny_base"
    question, reply = "What colour is the coat of Halmo?", "The coat of Halmo is white."
    chat = [{"role": "user", "content": question}]
    (tmp_path / "a.suite.yaml").write_text(
        "suite: a\nsamples:\n"
        f"  - {{id: one, reference: {json.dumps(reply)}, messages: {json.dumps(chat)}}}\n"
        "checks:\n  cost: {bits_per_byte: true}\n  ended: {bits_per_byte: true, ends: true}\n"
        "gates:\n  - {check: cost, at_most: 99}\n"
    )
    (sample,) = evaluate_model(str(model_folder), [tmp_path], tmp_path / "runs").run.samples

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    before = tokenizer.encode(prompt, add_special_tokens=False)
    whole = tokenizer.apply_chat_template([*chat, {"role": "assistant", "content": reply}], tokenize=False)
    ids = tokenizer.encode(whole, add_special_tokens=False)
    written = tokenizer.encode(prompt + reply, add_special_tokens=False)
    assert ids[: len(written)] == written
    assert written[: len(before)] == before
    with torch.no_grad():
        chances = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
    each = [chances[at - 1, ids[at]].item() for at in range(len(before), len(written) + 1)]
    size = len(reply.encode()) * math.log(2)
    assert sample.scores["cost"] == pytest.approx(-sum(each[:-1]) / size, abs=1e-4)
    assert sample.scores["ended"] == pytest.approx(-sum(each) / size, abs=1e-4)
