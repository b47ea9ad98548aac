"""Published instruction benchmarks as they are: their prompt files and somebody's answers, strict and loose.

Comes in: the benchmark's JSONL (`key`, `prompt`, `instruction_id_list`, `kwargs`), rows of `{prompt | id, response}`.
Goes out: accuracies and the flag of every instruction. A prompt without an answer has no flags and is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.checks import judge_ifbench, judge_ifeval, summarise
from sfteval.errors import Fault, InputError
from sfteval.pipeline.scoring import read_responses
from sfteval.yamlfile import read_jsonl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Judge = Callable[[Mapping[str, Any], str], dict[str, list[bool]]]

BENCHMARKS: dict[str, Judge] = {"ifeval": judge_ifeval, "ifbench": judge_ifbench}


def score_published(benchmark: str, prompts: Path, responses: Path) -> dict[str, Any]:
    """Judge answers to a published benchmark.

    Args:
        benchmark: A key of `BENCHMARKS`.
        prompts: The benchmark's own file.
        responses: Answers, by `prompt` (the whole text) or by `id` (the row's `key`).

    Returns:
        `{"strict": {"prompt", "instruction"}, "loose": {…}, "rows": [{"key", "strict", "loose"}], "unanswered": [keys],
        "unmatched": number of answers to no prompt}`; shares between 0 and 1 over the answered prompts.

    Raises:
        InputError: a file or row that cannot be read, two answers to one prompt, or no prompt that is answered.
    """
    rows = _rows(prompts)
    answers = _answers(rows, responses)
    judge = BENCHMARKS[benchmark]
    answered = [row for row in rows if str(row["key"]) in answers.by_key]
    if not answered:
        raise InputError(Fault(str(responses), "no answer to any prompt", f"answers to the prompts of {prompts}"))
    judged = [{"key": row["key"], **judge(row, answers.by_key[str(row["key"])])} for row in answered]
    unanswered = [row["key"] for row in rows if str(row["key"]) not in answers.by_key]
    return {**summarise(judged), "unanswered": unanswered, "unmatched": answers.unmatched}


class _Answers:
    """Answers by the prompt's key."""

    def __init__(self) -> None:
        self.by_key: dict[str, str] = {}
        self.unmatched = 0


def _rows(path: Path) -> list[Mapping[str, Any]]:
    faults: list[Fault] = []
    located = list(read_jsonl(path, str(path), faults))
    needed = ("key", "prompt", "instruction_id_list", "kwargs")
    for each in located:
        faults += [each.fault((), f"no {name!r}", ", ".join(needed)) for name in needed if name not in each.data]
    if not located and not faults:
        faults.append(Fault(str(path), "no rows", "the benchmark's prompts, one JSON object a line"))
    if faults:
        raise InputError(faults)
    return [each.data for each in located]


def _answers(rows: list[Mapping[str, Any]], path: Path) -> _Answers:
    by_prompt = {row["prompt"].strip(): str(row["key"]) for row in rows}
    keys = set(by_prompt.values())
    found, faults = _Answers(), []
    for number, row in enumerate(read_responses(path), start=1):
        key = by_prompt.get((row.prompt or "").strip()) if row.id is None else str(row.id)
        if key not in keys or not isinstance(row.response, str):
            found.unmatched += 1
        elif found.by_key.get(key, row.response) != row.response:
            faults.append(Fault(f"{path} row {number}", f"another answer to prompt {key}", "one answer per prompt"))
        else:
            found.by_key[key] = row.response
    if faults:
        raise InputError(faults)
    return found
