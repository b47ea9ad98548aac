"""IFBench's published flags on its sample answers: every instruction, strict and loose, against our own checks."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from sfteval.checks.ifbench import IFBENCH, judge_ifbench

DATA = Path(__file__).parents[4] / "shared" / "data" / "ifbench"
NO_TAGGER = {("257", "words:start_verb"), ("258", "words:start_verb"), ("261", "words:start_verb")}
"""Build, Understand and Conceive begin the answers: verbs, which the published tagger takes for names."""
NOT_ANSWERED = {"custom:character_reverse"}


def read(name: str) -> list[dict]:
    path = DATA / name
    with gzip.open(path, "rt", encoding="utf-8") if name.endswith(".gz") else path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.skipif(not DATA.is_dir(), reason="shared data absent")
def test_every_flag_but_those_of_the_tagger() -> None:
    rows = {row["prompt"].strip(): row for row in read("IFBench_test.jsonl")}
    city = next(row for row in rows.values() if row["instruction_id_list"] == ["custom:csv_city"])
    published = zip(read("eval_results_strict.jsonl.gz"), read("eval_results_loose.jsonl.gz"), strict=True)
    judged: Counter = Counter()
    different = set()
    for strict, loose in published:
        assert (strict["prompt"], strict["response"]) == (loose["prompt"], loose["response"])
        row = rows.get(strict["prompt"].strip(), city)
        assert row["instruction_id_list"] == strict["instruction_id_list"]
        ours = judge_ifbench(row, strict["response"])
        for kind, theirs in (("strict", strict), ("loose", loose)):
            flags = zip(row["instruction_id_list"], ours[kind], theirs["follow_instruction_list"], strict=True)
            for name, mine, wanted in flags:
                judged[name] += 1
                if mine != wanted:
                    different.add((row["key"], name))
    assert different == NO_TAGGER
    assert set(IFBENCH.checks) - set(judged) == NOT_ANSWERED
    assert sum(judged.values()) == 2 * 335


@pytest.mark.skipif(not DATA.is_dir(), reason="shared data absent")
def test_every_row_of_the_file_has_its_checks() -> None:
    rows = read("IFBench_test.jsonl")
    assert len(rows) == 300
    for row in rows:
        checks = IFBENCH.to_checks(row["instruction_id_list"], row["kwargs"], row["key"])
        assert len(checks) == len(row["instruction_id_list"])


def test_every_instruction_has_a_check() -> None:
    assert len(IFBENCH.checks) == 58
