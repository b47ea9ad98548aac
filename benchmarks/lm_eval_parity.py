"""`model="sfteval"` against `model="hf"` in lm-eval itself: the same tasks, the same metrics, side by side.

    sfteval pull smollm2
    python benchmarks/lm_eval_parity.py --model ~/.cache/sfteval/models/smollm2 --data ../shared/data

Tasks are written to a temporary folder from published data: ARC-Easy (5-shot), HellaSwag, MMLU (5-shot letters), GSM8K
(5-shot, up to 128 new tokens), WikiText-2 (rolling). Exits 1 if a metric differs by more than 1e-4 relative, or a
generated text or greedy flag differs at all.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import random
import re
import sys
import tempfile
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

SEED = 1234
TOLERANCE = 1e-4
CHOICE = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {name}.jsonl, train: {name}.train.jsonl}}}}
test_split: test
fewshot_split: train
num_fewshot: {shots}
output_type: multiple_choice
doc_to_text: "{{{{query}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: gold
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
"""
GSM8K = """\
task: gsm8k_local
dataset_path: json
dataset_kwargs: {data_files: {test: gsm8k_local.jsonl, train: gsm8k_local.train.jsonl}}
test_split: test
fewshot_split: train
num_fewshot: 5
output_type: generate_until
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["Question:", "</s>", "<|im_end|>"], max_gen_toks: 128, do_sample: false}
filter_list:
  - name: strict
    filter: [{function: regex, regex_pattern: "#### (\\\\-?[0-9\\\\.\\\\,]+)"}, {function: take_first}]
  - name: flexible
    filter:
      - {function: regex, group_select: -1, regex_pattern: "(-?[$0-9.,]{2,})|(-?[0-9]+)"}
      - {function: take_first}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    regexes_to_ignore: [",", "\\\\$", "(?s).*#### ", "\\\\.$"]
"""
WIKITEXT = """\
task: wikitext_local
dataset_path: json
dataset_kwargs: {data_files: {test: wikitext_local.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{page}}"
metric_list:
  - {metric: word_perplexity}
  - {metric: byte_perplexity}
  - {metric: bits_per_byte}
"""


def rows_of(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def arc(data: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows = rows_of(data / "benchmarks_val" / "ai2_arc_ARC-Easy.validation.jsonl")
    made = [
        {
            "query": f"Question: {row['question']}\nAnswer:",
            "choices": row["choices"]["text"],
            "gold": row["choices"]["label"].index(row["answerKey"]),
        }
        for row in rows
    ]
    return made[:100], made[200:]


def hellaswag(data: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows = rows_of(data / "benchmarks_val" / "hellaswag.validation.olmes1000.jsonl.gz")
    made = [{"query": r["query"], "choices": r["choices"], "gold": int(r.get("gold", r.get("label", 0)))} for r in rows]
    return made[:60], made[200:300]


def mmlu(data: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    def made(row: dict[str, Any]) -> dict[str, Any]:
        options = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", row["choices"], strict=True))
        query = f"{row['question'].strip()}\n{options}\nAnswer:"
        return {"query": query, "choices": list("ABCD"), "gold": row["answer"]}

    subjects = ("anatomy", "marketing", "world_religions")
    test = rows_of(data / "mmlu" / "mmlu_test.jsonl.gz")
    shots = rows_of(data / "mmlu" / "mmlu_dev.jsonl")
    judged = [row for subject in subjects for row in [r for r in test if r["subject"] == subject][:15]]
    return [made(row) for row in judged], [made(row) for row in shots if row["subject"] in subjects]


def make_tasks(data: Path, folder: Path) -> list[str]:
    """Write every task's YAML and rows; return the names."""
    for name, (source, shots) in {
        "arc_local": (arc, 5),
        "hellaswag_local": (hellaswag, 0),
        "mmlu_local": (mmlu, 5),
    }.items():
        judged, pool = source(data)
        write(folder, name, judged)
        write(folder, f"{name}.train", pool)
        (folder / f"{name}.yaml").write_text(CHOICE.format(name=name, shots=shots), encoding="utf-8")
    write(folder, "gsm8k_local", rows_of(data / "gsm8k" / "test.jsonl.gz")[:20])
    write(folder, "gsm8k_local.train", random.Random(SEED).sample(rows_of(data / "gsm8k" / "train.jsonl.gz"), 50))
    (folder / "gsm8k_local.yaml").write_text(GSM8K, encoding="utf-8")
    with gzip.open(data / "wikitext2" / "test.txt.gz", "rt", encoding="utf-8") as file:
        pages = [page for page in re.split(r"\n (?== [^=]+ = \n)", file.read()) if page.strip()]
    write(folder, "wikitext_local", [{"page": " ".join(page.split(" ")[:1500])} for page in pages[:5]])
    (folder / "wikitext_local.yaml").write_text(WIKITEXT, encoding="utf-8")
    return ["arc_local", "hellaswag_local", "mmlu_local", "gsm8k_local", "wikitext_local"]


def evaluate(model: str, arguments: str, tasks: list[str], folder: Path) -> tuple[dict[str, Any], float]:
    from lm_eval import evaluator
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    start = time.perf_counter()
    result: dict[str, Any] = evaluator.simple_evaluate(
        model, model_args=arguments, tasks=tasks, task_manager=manager, bootstrap_iters=0, device="cpu", batch_size=8
    )
    return result, time.perf_counter() - start


def flat(value: Any) -> list[Any]:
    return [each for part in value for each in flat(part)] if isinstance(value, (list, tuple)) else [value]


def compared(task: str, ours: dict[str, Any], theirs: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row per metric of a task: both values, and how far the answers behind them lie apart."""
    mine, other = ([flat(row["resps"]) for row in result["samples"][task]] for result in (ours, theirs))
    pairs = [(a, b) for x, y in zip(mine, other, strict=True) for a, b in zip(x, y, strict=True)]
    numbers = [abs(a - b) for a, b in pairs if isinstance(a, float)]
    exact = sum(a != b for a, b in pairs if not isinstance(a, float))
    rows = []
    for name, value in theirs["results"][task].items():
        if isinstance(value, float) and "stderr" not in name:
            got = ours["results"][task][name]
            equal = abs(got - value) <= TOLERANCE * max(1.0, abs(value)) and not exact
            rows.append(
                {
                    "task": task,
                    "metric": name,
                    "hf": value,
                    "sfteval": got,
                    "max_abs_diff": max(numbers, default=None),
                    "texts_or_flags_that_differ": exact,
                    "equal": equal,
                }
            )
    return rows


def main(argv: list[str] | None = None) -> int:
    """Print the table; 0 if everything is equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="model directory")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of published benchmark files")
    parser.add_argument("--json", action="store_true", help="one object per line")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    data = options.data.resolve()
    import sfteval.lmeval  # noqa: F401  (registers the model)

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    arguments = f"pretrained={Path(options.model).expanduser().resolve()},dtype=float32"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
        tasks = make_tasks(data, folder)
        os.chdir(folder)  # lm-eval resolves data files from the working directory
        theirs, slow = evaluate("hf", arguments, tasks, folder)
        ours, fast = evaluate("sfteval", arguments, tasks, folder)
        os.chdir(data)
    rows = [row for task in tasks for row in compared(task, ours, theirs)]
    versions = {package: metadata.version(package) for package in ("torch", "transformers", "lm-eval")}
    documents = {task: len(theirs["samples"][task]) for task in tasks}
    if options.json:
        print(json.dumps({"versions": versions, "samples": documents, "seconds_hf": slow, "seconds_sfteval": fast}))
        print("\n".join(json.dumps(row) for row in rows))
    else:
        print(f"{versions}; samples (documents × filters): {documents}")
        print(
            f"{'task':16s} {'metric':28s} {'hf':>12s} {'sfteval':>12s} {'largest diff':>13s} {'differing':>9s}  equal"
        )
        for row in rows:
            worst = "–" if row["max_abs_diff"] is None else f"{row['max_abs_diff']:.1e}"
            counts = f"{worst:>13s} {row['texts_or_flags_that_differ']:>9d}"
            values = f"{row['hf']:12.6f} {row['sfteval']:12.6f}"
            print(f"{row['task']:16s} {row['metric']:28s} {values} {counts}  {row['equal']}")
        print(f"whole run: hf at batch size 8 {slow:.0f} s, sfteval {fast:.0f} s (loading included)")
    return 0 if all(row["equal"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
