"""1,000 published answers through every check that judges text, on one core.

python benchmarks/check_speed.py [--json]

The checks are the catalog's own examples, bound as one suite; checks that ask a model, or look at several answers, are
left out. References of text checks are the other model's answers to the same prompts. Nothing is warm before: loading
word lists, language profiles and parsers counts. CPU seconds are those of this one process, whatever else runs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

from sfteval.checks import CHECK_TABLE, Answer, CheckKind, bind
from sfteval.records import FinishReason, Message

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = ("ifeval/gpt4_eval_results_strict.jsonl.gz", "ifeval_m_en/claude-3-haiku-20240307.eval_results_strict.jsonl.gz")
ANSWERS = 1000
SHOWN = 12
SIBLINGS: dict[str, dict[str, Any]] = {"brief": {"max_words": 3}, "low": {"lowercase": True}}


def read(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def answers() -> list[tuple[str, str, str]]:
    """Return (prompt, answer, another model's answer)."""
    one, other = (read(name) for name in FILES)
    rows = [(a["prompt"], a["response"], b["response"]) for a, b in zip(one, other, strict=False)]
    rows += [(b["prompt"], b["response"], a["response"]) for a, b in zip(one, other, strict=False)]
    return rows[:ANSWERS]


def judges_text(kind: CheckKind) -> bool:
    """Return whether a kind scores one answer by its text alone (in 0 to 1), siblings aside."""
    params = kind.params.model_validate_json(json.dumps(dict(kind.example)))
    spans = params.spans()
    asks = params.asks(kind.passing) or params.follow_ups(kind.passing)
    alone = set(params.siblings()) <= set(SIBLINGS)
    return not spans and not asks and alone and kind.metric.upper is not None


def measure() -> dict[str, Any]:
    """Return seconds of all checks bound together, and CPU seconds of each alone."""
    kinds = [kind for kind in CHECK_TABLE.kinds.values() if judges_text(kind)]
    rows = answers()
    together = bind({**SIBLINGS, **{kind.name: dict(kind.example) for kind in kinds}}, Path())
    vars_of = {name: value for kind in kinds for name, value in kind.passing.vars.items()}
    started, cpu = time.perf_counter(), time.process_time()
    unscored = 0
    for prompt, text, other in rows:
        message = (Message(role="user", content=prompt),)
        outcomes = together(Answer(text, FinishReason.END_TURN, message, other, vars_of))
        unscored += sum(outcome.score is None for outcome in outcomes.values())
    total, cpu = time.perf_counter() - started, time.process_time() - cpu
    alone = {}
    for kind in kinds:
        judge = bind({**SIBLINGS, kind.name: dict(kind.example)}, Path())
        started = time.process_time()
        for prompt, text, other in rows:
            judge(Answer(text, FinishReason.END_TURN, (Message(role="user", content=prompt),), other, vars_of))
        alone[kind.name] = time.process_time() - started
    characters = sum(len(text) for _, text, _ in rows)
    return {
        "answers": len(rows),
        "characters per answer": round(characters / len(rows)),
        "checks": len(kinds),
        "outcomes": len(rows) * (len(kinds) + len(SIBLINGS)),
        "without a score": unscored,
        "CPU seconds": round(cpu, 2),
        "seconds": round(total, 2),
        "slowest when alone": {
            name: round(seconds, 2) for name, seconds in sorted(alone.items(), key=lambda each: -each[1])[:SHOWN]
        },
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure()
    if options.json:
        print(json.dumps(found))
        return
    slowest = found.pop("slowest when alone")
    for name, value in found.items():
        print(f"{name:>22}: {value}")
    print("slowest, CPU seconds of each on all answers alone:")
    for name, value in slowest.items():
        print(f"{name:>22}: {value:.2f} s")


if __name__ == "__main__":
    main()
