"""IFEval's published flags: four models' answers, every instruction, strict and loose, against our own checks."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from sfteval.checks.ifeval import CHECKS, judge_ifeval

DATA = Path(__file__).parents[4] / "shared" / "data"
PROMPTS = {"gpt4": "ifeval/input_data.jsonl", "m_en": "ifeval_m_en/en_input_data.jsonl"}
RANDOM_LETTER = {
    (1122, "keywords:letter_frequency"),
    (1129, "keywords:letter_frequency"),
}
"""The published checker draws a random letter for # and !."""
CAPITAL = "change_case:english_capital"
RUNS = {
    "gpt4": ("gpt4", "ifeval/gpt4", set()),
    "qwen 1.5b": ("m_en", "ifeval_m_en/Qwen__Qwen2.5-1.5B-Instruct-GPTQ-Int4.", set()),
    "qwen 7b": ("m_en", "ifeval_m_en/Qwen__Qwen2.5-7B-Instruct-GPTQ-Int4.", {(3456, CAPITAL), (3617, CAPITAL)}),
    "haiku": ("m_en", "ifeval_m_en/claude-3-haiku-20240307.", {(1645, CAPITAL), (3456, CAPITAL)}),
}
"""Prompts, files, and the instructions whose language the published run told without a seed and otherwise than we."""


def read(name: str) -> list[dict]:
    path = DATA / name
    with gzip.open(path, "rt", encoding="utf-8") if name.endswith(".gz") else path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def compare(run: str) -> tuple[Counter, set]:
    """Return flags judged per instruction, and the (key, instruction) of every flag that differs."""
    prompts, files, _ = RUNS[run]
    separator = "_" if run == "gpt4" else ""
    published = [read(f"{files}{separator}eval_results_{kind}.jsonl.gz") for kind in ("strict", "loose")]
    rows = {row["prompt"]: row for row in read(PROMPTS[prompts])}
    judged: Counter = Counter()
    different = set()
    for strict, loose in zip(*published, strict=True):
        assert (strict["prompt"], strict["response"]) == (loose["prompt"], loose["response"])
        row = rows[strict["prompt"]]
        ours = judge_ifeval(row, strict["response"])
        for kind, theirs in (("strict", strict), ("loose", loose)):
            flags = zip(row["instruction_id_list"], ours[kind], theirs["follow_instruction_list"], strict=True)
            for name, mine, wanted in flags:
                judged[name.removeprefix("en:")] += 1
                if mine != wanted:
                    different.add((row["key"], name.removeprefix("en:")))
    return judged, different


@pytest.mark.skipif(not (DATA / "ifeval_m_en").is_dir(), reason="shared data absent")
@pytest.mark.parametrize("run", RUNS)
def test_every_flag_but_the_random_ones(run: str) -> None:
    judged, different = compare(run)
    assert different <= RANDOM_LETTER | RUNS[run][2]
    assert set(judged) == set(CHECKS)
    assert sum(judged.values()) == (2 * 832 if run == "gpt4" else 2 * 834)


def test_every_instruction_has_a_check() -> None:
    assert len(CHECKS) == 25
