"""Audit training data without training: the joint of suites (what must not be learned) and train (what would be)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.backends import load_tokenizer, resolve
from sfteval.backends.cache import encodings_dir
from sfteval.errors import Fault, InputError
from sfteval.pipeline.commands import load_given
from sfteval.pipeline.suite_paths import is_suite_path
from sfteval.records import RollingAsk, ScoreAsk, Suite, TextAsk
from sfteval.train import load_config
from sfteval.train.audit import Protected, ProtectedSample, warnings_of
from sfteval.train.audit.watching import watching
from sfteval.train.dataset import inspect
from sfteval.train.template import chat_template
from sfteval.yamlfile import read_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sfteval.records import Ask, SampleRow, SuiteFile
    from sfteval.train import TrainingConfig

QUESTION_FIELDS = ("prompt", "question", "query", "instruction", "input", "problem", "goal", "ctx", "context", "text")
"""Where benchmark files hold what is asked, in the order in which they are looked for."""


def audit_data(path: Path, *, show: int = 0, progress: bool = True) -> dict[str, Any]:
    """Read, encode and judge the rows of a training configuration.

    Args:
        path: The YAML file.
        show: How many rows to return as tokens with their weight in the loss.
        progress: Draw a bar where a person looks.

    Returns:
        The audit as plain data, with `config`, `model`, `warnings`, `refused` (reasons) and `shown`.

    Raises:
        InputError: mistakes in the configuration, in suites, or a source that cannot be read at all.
    """
    config = load_config(path)
    reference = resolve(config.model, relative_to=path.parent)
    tokenizer = load_tokenizer(reference.tokenizer)
    if config.new_tokens:
        from sfteval.train.new_tokens import add_tokens

        add_tokens(tokenizer, config.new_tokens)
    template = chat_template(tokenizer, config.model)
    with watching(live=progress) as watch:
        found = inspect(config, template, protected_by(config), watch, cache=encodings_dir())
    if found.faults.kinds["source"]:
        raise InputError(found.faults.listed())
    refused = [line["reason"] for line in found.audit["budgets"] if line["broken"]]
    head = {"config": str(path), "model": config.model, "refused": refused, "warnings": warnings_of(found.audit)}
    return head | found.audit | {"shown": found.shown(show)}


def protected_by(config: TrainingConfig) -> Protected:
    """Return the samples that no training row may hold: `data.against`, and the suites of `hooks` and `sweep`.

    Samples that are training rows by their suite's own word (`samples: {train: …}`) may; their held-out partners not.

    Raises:
        InputError: a suite or benchmark file with mistakes.
    """
    suites, files = _places(config)
    samples: list[ProtectedSample] = []
    unchecked: list[tuple[str, str]] = []
    for file in load_given(suites) if suites else ():
        if isinstance(file.suite, Suite):
            samples += _suite_samples(file, unchecked)
            samples += _task_samples(file.suite, file.path.parent, unchecked)
    for path in files:
        samples += _benchmark_samples(path)
    return Protected(tuple(samples), tuple(unchecked))


def _places(config: TrainingConfig) -> tuple[list[Path], list[Path]]:
    """Return (suites, benchmark files)."""
    places = [Path(place) for place in config.data.against or ()]
    suites = [place for place in places if place.is_dir() or is_suite_path(place)]
    files = [place for place in places if place not in suites]
    suites += map(Path, config.hooks.suites if config.hooks else ())
    suites += map(Path, (*config.sweep.target, *config.sweep.forgetting) if config.sweep else ())
    return suites, files


def _suite_samples(file: SuiteFile, unchecked: list[tuple[str, str]]) -> Iterator[ProtectedSample]:
    assert isinstance(file.suite, Suite)
    name, rows = file.suite.suite, file.suite.samples
    if file.unmet:
        unchecked.append((name, "; ".join(file.unmet)))
        return
    for row in rows if isinstance(rows, tuple) else ():
        for text in _heldout_questions(row) if file.trained else _questions_of(row):
            yield ProtectedSample(name, row.id, text)


def _questions_of(row: SampleRow) -> Iterator[str]:
    yield from (message.content for message in row.messages if message.role == "user")
    yield from row.turns


def _heldout_questions(row: SampleRow) -> list[str]:
    partner = row.vars.get("heldout")
    return _questions(partner) if isinstance(partner, dict) else []


def _task_samples(suite: Suite, folder: Path, unchecked: list[tuple[str, str]]) -> Iterator[ProtectedSample]:
    """Yield the documents of each task, without few-shot examples."""
    if suite.lm_eval is None:
        return
    from sfteval.tasks import load_tasks

    for task in suite.lm_eval.tasks:
        block = suite.lm_eval.model_copy(update={"tasks": (task,), "num_fewshot": 0})
        try:
            (loaded,) = load_tasks(suite.suite, block, folder=folder)
        except InputError as error:
            unchecked.append((f"{suite.suite}/{task}", error.faults[0].found))
            continue
        for item in loaded.items:
            for text in dict.fromkeys(_asked(item.asks)):
                yield ProtectedSample(f"{suite.suite}/{task}", item.sample_id, text)


def _asked(asks: Sequence[Ask]) -> Iterator[str]:
    for ask in asks:
        if isinstance(ask, RollingAsk):
            yield ask.text
        elif isinstance(ask, (TextAsk, ScoreAsk)):
            yield from [ask.context] if ask.context.strip() else []
        else:
            yield from (message.content for message in ask.messages if message.role == "user")


def _benchmark_samples(path: Path) -> list[ProtectedSample]:
    """Return the questions of a benchmark's own JSONL file."""
    faults: list[Fault] = []
    samples = []
    for row in read_jsonl(path, str(path), faults):
        line = row.mark(()).line
        texts = _questions(row.data)
        if not texts:
            expected = f"one of {', '.join(('messages', *QUESTION_FIELDS))}"
            faults.append(Fault(str(path), f"fields {', '.join(sorted(row.data))}", expected, line=line))
        samples += [ProtectedSample(path.name, str(row.data.get("id", line)), text) for text in texts]
    if faults:
        raise InputError(faults[:20])
    if not samples:
        raise InputError(Fault(str(path), "no rows", "one JSON object a line"))
    return samples


def _questions(data: dict[str, Any]) -> list[str]:
    messages = data.get("messages")
    if isinstance(messages, list):
        return [m["content"] for m in messages if isinstance(m, dict) and m.get("role") == "user" and m.get("content")]
    found = next((data[name] for name in QUESTION_FIELDS if data.get(name)), None)
    if found is None:
        return []
    return [found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)]
