"""How long `sfteval audit` takes, part by part, on 50,000 short rows with planted duplicates and overlaps.

    python benchmarks/audit.py --model ~/.cache/sfteval/models/smollm2

Rows and the suite are made up here, from a seeded word list; nothing is downloaded. What was planted is printed beside
what was found.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from sfteval.pipeline.audit import audit_data

SYLLABLES = ("ba", "lo", "ri", "ten", "mu", "sa", "ke", "dor", "pi", "van")
WORDS = [a + b for a in SYLLABLES for b in SYLLABLES]
QUESTIONS, COPIES, NEAR = 200, 500, 500


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--model", default=str(Path.home() / ".cache/sfteval/models/smollm2"))
    options.add_argument("--rows", type=int, default=50_000)
    options.add_argument("--streaming", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        config = write_project(Path(name), given.model, given.rows, given.streaming)
        audit_data(write_project(Path(name) / "warm", given.model, 100, given.streaming), progress=False)
        start = time.perf_counter()
        found = audit_data(config, progress=False)
        seconds = time.perf_counter() - start
    print_table(found, seconds)


def print_table(found: dict[str, Any], seconds: float) -> None:
    print("| | planted | found |")
    print("|---|---|---|")
    print(f"| rows | | {found['rows']} ({found['tokens']:,} tokens) |")
    print(f"| exact duplicates | {COPIES} | {found['duplicates']['exact']} |")
    print(f"| near duplicates | {NEAR} | {found['duplicates']['near']} |")
    print(f"| rows that hold a suite's question | {QUESTIONS} | {found['overlap']['rows']} |")
    print(f"| seconds | | {seconds:.1f} ({found['rows'] / seconds:,.0f} rows/s) |")


def write_project(folder: Path, model: str, count: int, streaming: bool) -> Path:
    random_words = random.Random(0)

    def sentence(length: int) -> str:
        return " ".join(random_words.choice(WORDS) for _ in range(length))

    asked = [sentence(20) for _ in range(QUESTIONS)]
    rows = [(sentence(18), sentence(24)) for _ in range(max(0, count - QUESTIONS - COPIES - NEAR))]
    near = [(question, f"{answer} again") for question, answer in rows[:NEAR]]
    rows += [*rows[NEAR : NEAR + COPIES], *near, *((f"{sentence(3)} {text}", sentence(20)) for text in asked)]
    random_words.shuffle(rows)
    (folder / "suites").mkdir(parents=True, exist_ok=True)
    lines = [chat({"role": "user", "content": q}, {"role": "assistant", "content": a}) for q, a in rows[:count]]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    samples = [json.dumps({"id": str(i), "messages": [{"role": "user", "content": q}]}) for i, q in enumerate(asked)]
    (folder / "suites/asked.jsonl").write_text("\n".join(samples))
    (folder / "suites/asked.suite.yaml").write_text(
        "suite: asked\nsamples: asked.jsonl\nchecks: {any: {min_words: 1}}\ngates: [{check: any, at_least: 0.5}]\n"
    )
    config = folder / "train.yaml"
    config.write_text(
        f"model: {json.dumps(model)}\ndata: {{train: [{{path: rows.jsonl}}], streaming: {str(streaming).lower()}}}\n"
    )
    return config


def chat(*messages: dict[str, str]) -> str:
    return json.dumps({"messages": list(messages)})


if __name__ == "__main__":
    main()
