"""The whole line on real data: SmolLM2-135M learns strict JSON from financial news, and is gated.

    sfteval pull smollm2
    python benchmarks/real_line.py --data ../shared/data --out /tmp/real-line

Builds a project from published data (read, never copied into the repository): LoRA on financial news headlines,
answered as {"sentiment", "ticker"}; suites on held-out headlines, on IFEval prompts and on ARC-Easy; then
`sfteval train` and `pytest suites/`. Prints the verdict table; exits with the gate's code.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sfteval.checks.ifeval import ifeval_checks

LABELS = ("bearish", "bullish", "neutral")
TICKER = re.compile(r"\$([A-Z]{1,5})\b")
SYSTEM = (
    'Read the financial headline. Answer with one JSON object with the keys "sentiment" (bearish, bullish or neutral) '
    'and "ticker" (the first stock symbol without the dollar sign, or "none"), and nothing else.'
)
CONFIG = """\
model: {model}
data:
  train: [{{path: train.jsonl, format: messages, weight: 1.0}}]
  holdout: 0.05
  max_length: 512
  loss_on: assistant
method: {{name: lora, rank: 8, alpha: 16, dropout: 0.0, targets: all-linear}}
optimizer: {{learning_rate: 3e-4, epochs: 1, batch_tokens: 1024, schedule: cosine, warmup: 0.05}}
output: models/
seed: 7
"""
HEADLINES = """\
suite: headlines
description: Held-out financial headlines answered as strict JSON
skill: structured_response
samples: headlines.jsonl
system: {system}
generate: {{max_tokens: 48, temperature: 0}}
checks:
  valid_json: {{json_schema: answer.schema.json}}
  right: {{json_equals: {{reference: true}}}}
  stops: {{ends_turn: true}}
gates:
  - {{check: valid_json, improves: {{against: base, by: 0.3}}}}
  - {{check: right, improves: {{against: base}}}}
  - {{check: stops, at_least: 0.95}}
"""
IFEVAL = """\
suite: ifeval
description: IFEval prompts, verified by the checks that they name
skill: instruction_following
samples: ifeval.jsonl
generate: {max_tokens: 160, temperature: 0}
checks:
  followed: {per_sample: all}
  no_loop: {no_repetition: true}
gates:
  - {check: followed, no_regression: {against: base, margin: 0.1}}
  - {check: no_loop, no_regression: {against: base, margin: 0.1}}
"""
ARC = """\
suite: arc-easy
skill: forgetting
lm_eval: {tasks: [arc_easy_local], num_fewshot: 0, limit: 200, include_path: tasks/}
gates:
  - {check: acc, no_regression: {against: base, margin: 0.05}}
  - {check: acc_norm, no_regression: {against: base, margin: 0.05}}
"""
ARC_TASK = """\
task: arc_easy_local
dataset_path: json
dataset_kwargs: {data_files: {test: arc_easy.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{choices.label.index(answerKey)}}"
doc_to_choice: "{{choices.text}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
FAMILY = "family: {name: forgetting, no_regression: {against: base, margin: 0.06}}\n"


SCHEMA = {
    "type": "object",
    "properties": {"sentiment": {"enum": list(LABELS)}, "ticker": {"type": "string"}},
    "required": ["sentiment", "ticker"],
    "additionalProperties": False,
}


def headlines(data: Path, rng: random.Random) -> list[dict[str, Any]]:
    """Return headlines as rows, labels balanced, links cut, no two alike."""
    with (data / "fin_tweets" / "sent_valid.csv").open(encoding="utf-8") as file:
        rows = [(re.sub(r"\s*https?://\S+", "", r["text"]).strip(), int(r["label"])) for r in csv.DictReader(file)]
    by_label: dict[int, list[str]] = {}
    for text, label in dict(rows).items():
        by_label.setdefault(label, []).append(text)
    picked = [(text, label) for label, texts in sorted(by_label.items()) for text in rng.sample(texts, 120)]
    rng.shuffle(picked)
    return [{"text": text, "answer": answer_of(text, label)} for text, label in picked]


def answer_of(text: str, label: int) -> dict[str, str]:
    """Return the reference answer of one headline."""
    ticker = TICKER.search(text)
    return {"sentiment": LABELS[label], "ticker": ticker.group(1) if ticker else "none"}


def ifeval_rows(data: Path) -> Iterator[dict[str, Any]]:
    """Yield IFEval's prompts, each with its own checks."""
    for line in (data / "ifeval" / "input_data.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        checks = ifeval_checks(row["instruction_id_list"], row["kwargs"], row["prompt"])
        message = {"role": "user", "content": row["prompt"]}
        yield {"id": str(row["key"]), "messages": [message], "vars": {"checks": checks}}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def build(data: Path, out: Path, model: str, prompts: int) -> None:
    """Write the project."""
    rows = headlines(data, random.Random(7))
    held_out, train = rows[:80], rows[80:]
    write_rows(out / "train.jsonl", [chat(row) for row in train])
    suites = out / "suites"
    asked = [{"id": f"h{i}", "messages": [user(row)], "reference": row["answer"]} for i, row in enumerate(held_out)]
    write_rows(suites / "headlines.jsonl", asked)
    write_rows(suites / "ifeval.jsonl", list(ifeval_rows(data))[:prompts])
    arc = (data / "benchmarks_val" / "ai2_arc_ARC-Easy.validation.jsonl").read_text(encoding="utf-8")
    write_rows(suites / "tasks" / "arc_easy.jsonl", [json.loads(line) for line in arc.splitlines()])
    files = {
        "finance.yaml": CONFIG.format(model=model),
        "pyproject.toml": "[tool.pytest.ini_options]\n",
        "suites/headlines.suite.yaml": HEADLINES.format(system=json.dumps(SYSTEM)),
        "suites/ifeval.suite.yaml": IFEVAL,
        "suites/arc_easy.suite.yaml": ARC,
        "suites/answer.schema.json": json.dumps(SCHEMA),
        "suites/families.yaml": FAMILY,
        "suites/tasks/arc_easy_local.yaml": ARC_TASK,
    }
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")


def user(row: dict[str, Any]) -> dict[str, str]:
    """Return the user's turn."""
    return {"role": "user", "content": row["text"]}


def chat(row: dict[str, Any]) -> dict[str, Any]:
    """Return one training row."""
    system = {"role": "system", "content": SYSTEM}
    return {"messages": [system, user(row), {"role": "assistant", "content": json.dumps(row["answer"])}]}


def main() -> int:
    """Build, train, gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--prompts", type=int, default=60, help="IFEval prompts")
    options = parser.parse_args()
    if not (options.data / "fin_tweets").is_dir():
        print(
            f"real_line: {options.data}: found no fin_tweets/; expected the folder of published data", file=sys.stderr
        )
        return 2
    build(options.data, options.out, options.model, options.prompts)
    sfteval = [sys.executable, "-m", "sfteval"]
    train = subprocess.run([*sfteval, "train", "finance.yaml", "--json"], cwd=options.out, stdout=-1, check=True)
    trained = json.loads(train.stdout.splitlines()[-1])
    print(json.dumps(trained, indent=1), flush=True)
    gate = ["-m", "pytest", "suites", "-v", "--previous", "none", "--candidate", trained["checkpoint"]]
    return subprocess.run([sys.executable, *gate], cwd=options.out, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
