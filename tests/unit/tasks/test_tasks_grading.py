"""Grading needs the item and its responses, nothing else."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest
from tiny_lm_eval import block, fake_response

from sfteval.errors import TaskError
from sfteval.records import BackendFailure, MetricInfo, Response
from sfteval.tasks import grade, load_tasks, shown
from sfteval.tasks.metrics import metric_name, value_of


def scores(*values: float) -> list[Response]:
    return [Response("", loglikelihood=value, is_greedy=False) for value in values]


def test_items_are_graded_alike_in_a_process_that_never_loaded_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_tasks("s", block("everything", "sums", "prose", limit=6), folder=folder)
    items = [item for task in loaded for item in task.items]
    here = [grade(item, [fake_response(ask) for ask in item.asks]) for item in items]
    copies = pickle.loads(pickle.dumps(items))
    monkeypatch.setattr("sfteval.tasks.grading._GRADERS", {})
    assert [grade(item, [fake_response(ask) for ask in item.asks]) for item in copies] == here


def test_multiple_choice_scores_and_what_is_shown(folder: Path) -> None:
    (loaded,) = load_tasks("s", block("plants", num_fewshot=0), folder=folder)
    item = loaded.items[1]  # gold: rock (4 characters); others plants1 (7) and it is (5)
    assert grade(item, scores(-7.0, -4.5, -6.0)) == {"acc": 1.0, "acc_norm": 0.0, "acc_bytes": 0.0}
    assert shown(item, scores(-7.0, -4.5, -6.0)) == ("Question: Which plants 1?\nAnswer:", "rock")
    assert shown(item, scores(-7.0, -8.5, -6.0)) == ("Question: Which plants 1?\nAnswer:", "it is (gold: rock)")


def test_what_is_shown_of_other_kinds(folder: Path) -> None:
    sums, prose, cloze = load_tasks("s", block("sums", "prose", "cloze", num_fewshot=0, limit=1), folder=folder)
    prompt, answer = shown(sums.items[0], [Response("", text=" 12")])
    assert (prompt.endswith("Q: 0+0?\nA:"), answer) == (True, " 12")
    assert shown(prose.items[0], [Response("", loglikelihood=-3.0)]) == (
        "Page 0 says ö and end",
        "log-likelihood -3.0000",
    )
    assert shown(cloze.items[0], scores(-2.5)) == ("Page 0 says ö and", "end (log-likelihood -2.5000)")


def test_windows_of_a_rolling_ask_are_summed(folder: Path) -> None:
    (loaded,) = load_tasks("s", block("prose", limit=1), folder=folder)
    size = len("Page 0 says ö and end".encode())
    assert grade(loaded.items[0], scores(-10.0, -11.0)) == {"bits_per_byte": 21.0 / (size * math.log(2))}


def test_metrics_and_what_was_left_out(folder: Path) -> None:
    sums, prose, coded = load_tasks("s", block("sums", "prose", "coded"), folder=folder)
    share = MetricInfo(lower=0.0, upper=1.0, higher_is_better=True, version="3.0")
    assert sums.metrics == {"exact_match": share, "exact_match-flexible-extract": share}
    assert sums.warnings == (
        "sums: metric bleu is left out: it is made over all documents at once (bleu), not as a mean of scores per "
        "document",
    )
    assert prose.metrics["bits_per_byte"].lower is prose.metrics["bits_per_byte"].upper is None
    assert prose.metrics["bits_per_byte"].higher_is_better is False
    assert list(coded.metrics) == ["close-1"]
    assert (coded.metrics["close-1"].upper, coded.metrics["close-1"].higher_is_better) == (None, False)


def test_documents_follow_process_docs(folder: Path) -> None:
    (coded,) = load_tasks("s", block("coded"), folder=folder)
    assert sorted(item.document.doc["left"] for item in coded.items) == list(range(0, 15, 2))
    item = next(item for item in coded.items if item.document.doc["left"] == 6)
    assert item.asks[0].context == "6 and 2 make"
    assert item.asks[0].generation.max_tokens == 256
    assert grade(item, [Response("", text="abcdefghi")]) == {"close-1": 3.0}


@pytest.mark.parametrize(
    ("responses", "found"),
    [
        ([Response("", failure=BackendFailure("timeout", "slow"))] * 3, "found no answer (timeout: slow)"),
        (scores(-1.0, -2.0), "found 2 responses; expected 3, one per ask"),
        (scores(-1.0, -2.0, math.nan), "found log-likelihood nan"),
        ([Response("", text="rock")] * 3, "found log-likelihood None"),
    ],
)
def test_failures_are_never_graded(folder: Path, responses: list[Response], found: str) -> None:
    (loaded,) = load_tasks("s", block("plants", limit=1), folder=folder)
    for judge in (grade, shown):
        with pytest.raises(TaskError) as error:
            judge(loaded.items[0], responses)
        assert str(error.value).startswith(f"s: task plants, sample plants-0: {found}")


def test_a_grader_that_breaks_is_one_message(folder: Path) -> None:
    path = folder / "tasks/coded.py"
    path.write_text(path.read_text().replace("abs(", "abs(1 / 0 + "))
    (loaded,) = load_tasks("s", block("coded", limit=1), folder=folder)
    with pytest.raises(TaskError, match="found ZeroDivisionError: division by zero; expected scores from the task's"):
        grade(loaded.items[0], [Response("", text="a")])


def test_metric_names() -> None:
    assert metric_name("pass@1") == "pass-1"
    assert metric_name("exact_match", "flexible-extract") == "exact_match-flexible-extract"
    assert metric_name("ROUGE L", "Get Answer!") == "rouge-l-get-answer"


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "1", [1.0], (1, 2)])
def test_values_that_are_no_finite_number_are_left_out(value: object) -> None:
    assert value_of("acc", value) is None


def test_bits_of_an_empty_text_are_left_out() -> None:
    assert value_of("bits_per_byte", (-3.0, 0)) is None
