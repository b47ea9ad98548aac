"""Tiny lm-eval tasks of every kind, and answers that depend on nothing but the prompt."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from textwrap import dedent

from sfteval.records import LmEvalBlock, Response, RollingAsk, ScoreAsk


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def yaml_file(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(dedent(text), encoding="utf-8")
    return path


CHOICE = """
    task: {name}
    tag: {tag}
    dataset_path: json
    dataset_kwargs: {{data_files: {{train: train.jsonl, test: {data}}}}}
    training_split: train
    test_split: test
    fewshot_split: train
    output_type: multiple_choice
    doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
    doc_to_choice: "{{{{choices}}}}"
    doc_to_target: gold
    metric_list:
      - {{metric: acc, aggregation: mean, higher_is_better: true}}
      - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
      - {{metric: {extra}, aggregation: {extra_aggregation}, higher_is_better: true}}
    metadata: {{version: 2.0}}
"""

GENERATE = """
    task: sums
    dataset_path: json
    dataset_kwargs: {data_files: {train: sums_train.jsonl, test: sums.jsonl}}
    training_split: train
    test_split: test
    output_type: generate_until
    description: "Add up.\\n\\n"
    doc_to_text: "Q: {{question}}\\nA:"
    doc_to_target: "{{answer}}"
    num_fewshot: 2
    generation_kwargs: {until: ["\\n\\n", "Q:"], do_sample: false, max_gen_toks: 32}
    metric_list:
      - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
      - {metric: bleu, aggregation: bleu, higher_is_better: true}
    filter_list:
      - name: strict-match
        filter: [{function: regex, regex_pattern: "answer is (\\\\-?[0-9]+)"}, {function: take_first}]
      - name: flexible-extract
        filter: [{function: regex, group_select: -1, regex_pattern: "(-?[0-9]+)"}, {function: take_first}]
    metadata: {version: 3.0}
"""

ROLLING = """
    task: prose
    dataset_path: json
    dataset_kwargs: {data_files: prose.jsonl}
    test_split: train
    output_type: loglikelihood_rolling
    doc_to_text: ""
    doc_to_target: "{{page}}"
    metric_list:
      - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
      - {metric: byte_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
      - {metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}
"""

CLOZE = """
    task: cloze
    dataset_path: json
    dataset_kwargs: {data_files: {test: prose.jsonl}}
    test_split: test
    output_type: loglikelihood
    doc_to_text: "{{page.split(' ')[:-1]|join(' ')}}"
    doc_to_target: "{{' ' + page.split(' ')[-1]}}"
    metric_list:
      - {metric: acc, aggregation: mean, higher_is_better: true}
      - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
"""

CODED = """
    task: coded
    dataset_path: json
    dataset_kwargs: {data_files: {test: sums.jsonl}}
    test_split: test
    output_type: generate_until
    process_docs: !function coded.only_even
    doc_to_text: !function coded.prompt
    doc_to_target: answer
    process_results: !function coded.results
    generation_kwargs: {until: ["."]}
    metric_list:
      - {metric: "close@1", aggregation: mean, higher_is_better: false}
"""

CODED_PY = """
def only_even(dataset):
    return dataset.filter(lambda row: row["left"] % 2 == 0).shuffle(seed=3)

def prompt(doc):
    return f"{doc['left']} and {doc['right']} make"

def results(doc, results):
    return {"close@1": abs(len(results[0]) - doc["left"]), "undeclared": 1.0}
"""

GROUP = """
    group: everything
    task: [animals, {group: inner, task: [plants]}]
    aggregate_metric_list: [{metric: acc, aggregation: mean}]
"""


def block(*tasks: str, **fields: object) -> LmEvalBlock:
    return LmEvalBlock(tasks=tasks, **({"include_path": "tasks"} | fields))


def _number(*parts: str) -> int:
    return int(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8], 16)


def fake_score(context: str, continuation: str) -> tuple[float, bool]:
    number = _number(context, continuation)
    return -(number % 5000) / 500 - 0.1, number % 3 == 0


def fake_rolling(text: str) -> float:
    return -len(text) - (_number(text) % 1000) / 300


def fake_text(context: str) -> str:
    """Sometimes the right sum in the strict form, sometimes in another form, sometimes nothing."""
    number = _number(context)
    digits = [int(part) for part in context.rsplit("Q: ", 1)[-1].split("?")[0].split("+") if part.isdigit()]
    total = sum(digits) if number % 2 else number % 30
    return (f" The answer is {total}", f" 3 then {total}", " none")[number % 3]


def fake_response(ask: object) -> Response:
    if isinstance(ask, ScoreAsk):
        loglikelihood, greedy = fake_score(ask.context, ask.continuation)
        return Response("", loglikelihood=loglikelihood, is_greedy=greedy)
    if isinstance(ask, RollingAsk):
        return Response("", loglikelihood=fake_rolling(ask.text))
    return Response("", text=fake_text(ask.context))
