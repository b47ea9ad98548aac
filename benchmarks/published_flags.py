"""Agreement with the published flags of IFEval and IFBench, per instruction: flags judged, flags that differ.

python benchmarks/published_flags.py [--json]

Published: GPT-4's answers (IFEval's authors), three models' (M-IFEval, English part), IFBench's sample answers; strict
and loose. Two of IFEval's flags (keys 1122, 1129) and those of a language told without a seed are random there;
IFBench's `words:start_verb` asks a part-of-speech tagger whose weights no package index carries.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfteval.checks import judge_ifbench, judge_ifeval

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
IFEVAL_RUNS = {
    "GPT-4": ("ifeval/input_data.jsonl", "ifeval/gpt4_eval_results_{}.jsonl.gz"),
    **{
        model: ("ifeval_m_en/en_input_data.jsonl", f"ifeval_m_en/{model}.eval_results_{{}}.jsonl.gz")
        for model in (
            "Qwen__Qwen2.5-1.5B-Instruct-GPTQ-Int4",
            "Qwen__Qwen2.5-7B-Instruct-GPTQ-Int4",
            "claude-3-haiku-20240307",
        )
    },
}
IFBENCH_RUN = ("ifbench/IFBench_test.jsonl", "ifbench/eval_results_{}.jsonl.gz")
HOW = ("strict", "loose")

Rows = list[dict[str, Any]]


@dataclass
class Agreement:
    """Flags per (how, instruction): judged, equal; and the rows whose flags differ."""

    judged: Counter[tuple[str, str]] = field(default_factory=Counter)
    equal: Counter[tuple[str, str]] = field(default_factory=Counter)
    different: set[tuple[str, str, str]] = field(default_factory=set)

    def add(self, run: str, key: str, how: str, names: list[str], ours: list[bool], theirs: list[bool]) -> None:
        """Count the flags of one answer."""
        for name, mine, wanted in zip(names, ours, theirs, strict=True):
            plain = name.removeprefix("en:")
            self.judged[how, plain] += 1
            self.equal[how, plain] += mine == wanted
            if mine != wanted:
                self.different.add((run, str(key), plain))


def read(name: str) -> Rows:
    path = DATA / name
    with gzip.open(path, "rt", encoding="utf-8") if name.endswith(".gz") else path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def published(prompts: str, results: str) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Yield (prompt row, strict result, loose result); a prompt of another wording is found by its instructions."""
    rows = read(prompts)
    by_prompt = {row["prompt"].strip(): row for row in rows}
    for strict, loose in zip(*(read(results.format(how)) for how in HOW), strict=True):
        row = by_prompt.get(strict["prompt"].strip())
        if row is None:
            (row,) = (row for row in rows if row["instruction_id_list"] == strict["instruction_id_list"])
        yield row, strict, loose


def compare(agreement: Agreement, run: str, files: tuple[str, str], judge: Callable[..., Any]) -> None:
    """Judge the answers of a run and count."""
    for row, strict, loose in published(*files):
        ours = judge(row, strict["response"])
        for how, theirs in zip(HOW, (strict, loose), strict=True):
            names = row["instruction_id_list"]
            agreement.add(run, row["key"], how, names, ours[how], theirs["follow_instruction_list"])


def measure() -> dict[str, Agreement]:
    """Return the agreement by benchmark."""
    found = {"IFEval": Agreement(), "IFBench": Agreement()}
    for run, files in IFEVAL_RUNS.items():
        compare(found["IFEval"], run, files, judge_ifeval)
    compare(found["IFBench"], "sample_output", IFBENCH_RUN, judge_ifbench)
    return found


def table(name: str, found: Agreement) -> str:
    """Return one benchmark's table."""
    lines = [f"{name:<44}{'strict':>12}{'loose':>12}"]
    for instruction in sorted({each for _, each in found.judged}):
        cells = [f"{found.equal[how, instruction]}/{found.judged[how, instruction]}" for how in HOW]
        lines.append(f"{instruction:<44}" + "".join(f"{cell:>12}" for cell in cells))
    equal, judged = sum(found.equal.values()), sum(found.judged.values())
    lines += [f"all: {equal} of {judged} flags equal ({equal / judged:.4%}); those that differ:"]
    return "\n".join([*lines, *(f"  {' '.join(each)}" for each in sorted(found.different))])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure()
    if options.json:
        counts = {
            name: {
                f"{how} {instruction}": [each.equal[how, instruction], judged]
                for (how, instruction), judged in sorted(each.judged.items())
            }
            for name, each in found.items()
        }
        print(json.dumps(counts))
        return
    print("\n\n".join(table(name, each) for name, each in found.items()))


if __name__ == "__main__":
    main()
