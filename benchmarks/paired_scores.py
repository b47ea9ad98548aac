"""Real paired per-sample scores: one model on multiple-choice benchmarks under two prompts, kept outside this folder.

    sfteval pull smollm2
    python benchmarks/paired_scores.py --data ../shared/data [--minutes 5]

Writes ~/.cache/sfteval/paired/scores.json: per benchmark and prompt, accuracy and log-likelihood margin (right choice
minus best wrong one) of each document, in the documents' order. Stops after `--minutes` and goes on when called again:
answers are stored. Other benchmarks read the file through `load`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sfteval.pipeline.commands import evaluate_model
from sfteval.store import RunStore

CACHE = Path.home() / ".cache" / "sfteval"
FOLDER = CACHE / "paired"
SCORES = FOLDER / "scores.json"
LIMIT = 1200
STYLES = {
    "plain": "Question: {{q}}\\nAnswer:",
    "terse": "{{q}}\\nThe answer is",
}
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{text}"
doc_to_target: a
doc_to_choice: "{{{{c}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
"""


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file, gzipped or not."""
    data = path.read_bytes()
    lines = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line) for line in lines.decode().splitlines()]


def labelled(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the documents of ARC's and CommonsenseQA's form."""
    for row in rows(path):
        yield {
            "q": row["question"],
            "c": row["choices"]["text"],
            "a": row["choices"]["label"].index(row["answerKey"]),
        }


def documents(data: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the documents of each benchmark: question, choices, number of the right one."""
    folder = data / "benchmarks_val"
    mmlu = rows(data / "mmlu" / "mmlu_validation.jsonl.gz")
    found = {
        "arc_easy": list(labelled(folder / "ai2_arc_ARC-Easy.validation.jsonl")),
        "arc_challenge": list(labelled(folder / "ai2_arc_ARC-Challenge.validation.jsonl")),
        "commonsense_qa": list(labelled(folder / "tau_commonsense_qa.validation.jsonl")),
        "piqa": [
            {"q": row["goal"], "c": [row["sol1"], row["sol2"]], "a": row["label"]}
            for row in rows(folder / "piqa_plain_text.validation.jsonl")
        ],
        "mmlu": [{"q": row["question"], "c": row["choices"], "a": row["answer"]} for row in mmlu],
    }
    return {name: kept[:: max(1, len(kept) // LIMIT)][:LIMIT] for name, kept in found.items()}


def write_suite(folder: Path, benchmark: str, style: str, docs: list[dict[str, Any]]) -> Path:
    """Write one suite with one local task; return its path."""
    name = f"{benchmark}-{style}".replace("_", "-")
    tasks = folder / name
    tasks.mkdir(parents=True, exist_ok=True)
    (tasks / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs), encoding="utf-8")
    task = f"{benchmark}_{style}"
    (tasks / f"{task}.yaml").write_text(TASK.format(name=task, file="docs.jsonl", text=STYLES[style]))
    suite = folder / f"{name}.suite.yaml"
    block = f"lm_eval: {{tasks: [{task}], num_fewshot: 0, include_path: {name}/}}"
    suite.write_text(f"suite: {name}\n{block}\ngates:\n  - {{check: acc, at_least: 0.0}}\n")
    return suite


def scores_of(suite: Path, model: str, runs: Path, docs: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Evaluate one suite; return accuracy and margin of each document."""
    run = evaluate_model(model, [suite], runs).run
    answers = RunStore(runs).responses(run.manifest.fingerprint)
    margins = []
    for sample, doc in zip(run.samples, docs, strict=True):
        values = [answers[key].loglikelihood for key in sample.response_keys]
        assert len(values) == len(doc["c"])
        assert all(value is not None for value in values)
        right = values[doc["a"]]
        best_wrong = max(value for number, value in enumerate(values) if number != doc["a"])
        margins.append(right - best_wrong)
    return {"acc": [sample.scores["acc"] for sample in run.samples], "margin": margins}


def load() -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return what `main` wrote: benchmark, style, "acc" or "margin", one number per document.

    Raises:
        FileNotFoundError: with the command that makes it.
    """
    if not SCORES.is_file():
        msg = f"{SCORES} is not there; make it with: python benchmarks/paired_scores.py --data ../shared/data"
        raise FileNotFoundError(msg)
    found: dict[str, dict[str, dict[str, list[float]]]] = json.loads(SCORES.read_text())
    return found


def main() -> int:
    """Evaluate until done or the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with mmlu/ and benchmarks_val/")
    parser.add_argument("--model", default=str(CACHE / "models" / "smollm2"))
    parser.add_argument("--minutes", type=float, default=1e9)
    options = parser.parse_args()
    started = time.monotonic()
    known: dict[str, dict[str, Any]] = load() if SCORES.is_file() else {}
    for benchmark, docs in documents(options.data).items():
        for style in STYLES:
            if style in known.get(benchmark, {}):
                continue
            if time.monotonic() - started > 60 * options.minutes:
                print("time is up; call again to go on")
                return 1
            suite = write_suite(FOLDER / "suites", benchmark, style, docs)
            found = scores_of(suite, options.model, FOLDER / "runs", docs)
            known.setdefault(benchmark, {})[style] = found
            SCORES.write_text(json.dumps(known))
            print(f"{benchmark} {style}: n = {len(docs)}, acc = {sum(found['acc']) / len(docs):.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
