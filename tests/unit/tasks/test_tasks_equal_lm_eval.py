"""Prompts and per-sample metrics against lm-eval's own `simple_evaluate` on the same tasks with the same answers."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from tiny_lm_eval import block, fake_response, fake_rolling, fake_score, fake_text

from sfteval.records import RollingAsk, ScoreAsk, TextAsk
from sfteval.tasks import grade, load_tasks
from sfteval.tasks.metrics import metric_name


@pytest.fixture
def lm_eval_samples(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    """Run lm-eval itself; returns its logged samples by task."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval import evaluator
        from lm_eval.api.model import LM
        from lm_eval.tasks import TaskManager

    class FakeLM(LM):
        def loglikelihood(self, requests: list) -> list:
            return [fake_score(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests: list) -> list:
            return [fake_rolling(*request.args) for request in requests]

        def generate_until(self, requests: list) -> list:
            return [fake_text(request.args[0]) for request in requests]

    def run(*tasks: str, **options: Any) -> dict[str, list[dict]]:
        monkeypatch.chdir(folder / "tasks")  # lm-eval resolves data files from the working directory
        manager = TaskManager(include_path=str(folder / "tasks"), include_defaults=False)
        logging.getLogger("lm_eval").setLevel(logging.CRITICAL)
        result = evaluator.simple_evaluate(
            FakeLM(), tasks=list(tasks), task_manager=manager, bootstrap_iters=0, **options
        )
        monkeypatch.chdir(folder.parent)
        return result["samples"]

    monkeypatch.setattr(evaluator, "add_env_info", lambda results: None)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "hf"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "hf")
    return run


def arguments(ask: Any) -> tuple:
    if isinstance(ask, ScoreAsk):
        return ask.context, ask.continuation
    return (ask.text,) if isinstance(ask, RollingAsk) else (ask.context,)


def same(ours: float, theirs: Any) -> None:
    assert ours == pytest.approx(float(theirs), rel=0, abs=0)


FILTERS = {"sums": "strict-match"}


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("animals", {"num_fewshot": 0}),
        ("animals", {"num_fewshot": 3, "limit": 7}),
        ("plants", {"num_fewshot": 5}),
        ("sums", {}),
        ("sums", {"num_fewshot": 4, "limit": 6}),
        ("cloze", {}),
        ("coded", {}),
    ],
)
def test_prompts_and_metrics_of_every_sample_are_lm_evals_own(
    task: str, options: dict, folder: Path, lm_eval_samples: Any
) -> None:
    theirs = lm_eval_samples(task, **options)[task]
    (ours,) = load_tasks("s", block(task, fewshot_draw="lm_eval", **options), folder=folder)
    by_document: dict[int, list[dict]] = {}
    for sample in theirs:
        by_document.setdefault(sample["doc_id"], []).append(sample)
    assert len(ours.items) == len(by_document) > 0
    for index, item in enumerate(ours.items):
        graded = grade(item, [fake_response(ask) for ask in item.asks])
        expected = {}
        for sample in by_document[index]:
            prompts = [args[:1] if task in {"sums", "coded"} else args for args in sample["arguments"]]
            assert [arguments(ask) for ask in item.asks] == prompts
            first = sample["filter"] in {"none", FILTERS.get(task)}
            for metric in sample["metrics"]:
                expected[metric_name(metric, "" if first else sample["filter"])] = sample[metric]
        assert set(graded) == set(ours.metrics) & set(expected) == set(ours.metrics)
        for name, value in graded.items():
            same(value, expected[name])


def test_both_filters_of_a_generation_are_scored_and_differ(folder: Path) -> None:
    (ours,) = load_tasks("s", block("sums"), folder=folder)
    assert list(ours.metrics) == ["exact_match", "exact_match-flexible-extract"]
    rows = [grade(item, [fake_response(ask) for ask in item.asks]) for item in ours.items]
    assert {(row["exact_match"], row["exact_match-flexible-extract"]) for row in rows} >= {(0.0, 1.0), (1.0, 1.0)}


def test_group_prompts_are_lm_evals_own(folder: Path, lm_eval_samples: Any) -> None:
    theirs = lm_eval_samples("everything", num_fewshot=2, limit=4)
    (ours,) = load_tasks("s", block("everything", num_fewshot=2, limit=4, fewshot_draw="lm_eval"), folder=folder)
    leaves = (
        ["animals", "everything::inner::plants"] if "everything::inner::plants" in theirs else ["animals", "plants"]
    )
    expected = [args for leaf in leaves for sample in theirs[leaf] for args in sample["arguments"]]
    assert [arguments(ask) for item in ours.items for ask in item.asks] == expected


def test_rolling_scores_are_the_terms_of_lm_evals_bits_per_byte(folder: Path, lm_eval_samples: Any) -> None:
    import math

    theirs = lm_eval_samples("prose")["prose"]
    (ours,) = load_tasks("s", block("prose"), folder=folder)
    assert list(ours.metrics) == ["bits_per_byte"]
    for item, sample in zip(ours.items, theirs, strict=True):
        assert [arguments(ask) for ask in item.asks] == sample["arguments"]
        loglikelihood, length = sample["bits_per_byte"]
        assert grade(item, [fake_response(item.asks[0])]) == {"bits_per_byte": -loglikelihood / (length * math.log(2))}


def test_chat_messages_are_lm_evals_own(folder: Path, lm_eval_samples: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from lm_eval.api.model import LM

    def as_json(self: Any, messages: list[dict], add_generation_prompt: bool = True) -> str:
        return json.dumps(messages)

    monkeypatch.setattr(LM, "apply_chat_template", as_json)
    monkeypatch.setattr(LM, "tokenizer_name", "fake")
    monkeypatch.setattr(LM, "chat_template", lambda self, name: "")
    theirs = lm_eval_samples("sums", num_fewshot=2, limit=5, apply_chat_template=True)["sums"]
    chat = block("sums", num_fewshot=2, limit=5, apply_chat_template=True, fewshot_draw="lm_eval")
    (ours,) = load_tasks("s", chat, folder=folder)
    expected = {sample["doc_id"]: json.loads(sample["arguments"][0][0]) for sample in theirs}
    assert {i: [m.model_dump() for m in item.asks[0].messages] for i, item in enumerate(ours.items)} == expected


def test_generation_settings_are_the_tasks_own(folder: Path) -> None:
    (ours,) = load_tasks("s", block("sums"), folder=folder)
    (ask,) = ours.items[0].asks
    assert isinstance(ask, TextAsk)
    assert ask.generation.model_dump() == {
        "max_tokens": 32,
        "min_tokens": 0,
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 0,
        "repetition_penalty": 1.0,
        "stop": ("\n\n", "Q:"),
        "seed": 1234,
    }
