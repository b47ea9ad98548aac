"""Overlap with the reference: equal to the libraries that people quote, and its limits."""

import gzip
import json
import random
from pathlib import Path

import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.chrf import CHRF

from sfteval.checks import Answer, Outcome, bind
from sfteval.checks.overlap import chrf, common_subsequence, rouge_l, rouge_tokens, squad_tokens, token_f1

DATA = Path(__file__).parents[4] / "shared" / "data"
ANSWERS = ("ifeval/gpt4_eval_results_strict", "ifeval_m_en/claude-3-haiku-20240307.eval_results_strict")


def judge(check: dict, text: str, reference: object) -> Outcome:
    return bind({"x": check}, Path())(Answer(text, reference=reference))["x"]


absent = pytest.mark.skipif(not (DATA / "ifeval_m_en").is_dir(), reason="shared data absent")


def answers() -> list[tuple[str, str]]:
    texts = []
    for name in ANSWERS:
        with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            texts.append([json.loads(line)["response"] for line in file][:40])
    return list(zip(*texts, strict=True))


@absent
def test_rouge_l_is_rouge_scores() -> None:
    scorer = RougeScorer(["rougeL"])
    pairs = [(a, b) for a, b in answers() if a.isascii() and b.isascii() and "_" not in a + b]
    assert len(pairs) > 20
    for one, other in pairs:
        wanted = scorer.score(other, one)["rougeL"].fmeasure
        assert rouge_l(rouge_tokens(one), rouge_tokens(other)) == pytest.approx(wanted, abs=1e-12)


def test_common_subsequence_against_the_table() -> None:
    draw = random.Random(7)
    for _ in range(200):
        left, right = ([draw.choice("abcd") for _ in range(draw.randrange(20))] for _ in range(2))
        table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
        for i, a in enumerate(left):
            for j, b in enumerate(right):
                table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
        assert common_subsequence(left, right) == table[-1][-1]


def test_token_f1_as_squad_counts() -> None:
    assert squad_tokens("The cat's a (black) cat!") == ["cats", "black", "cat"]
    assert token_f1(["a", "b", "b"], ["b", "b", "c"]) == pytest.approx(2 / 3)
    assert token_f1([], ["b"]) == 0.0


@absent
def test_chrf_is_sacrebleus() -> None:
    metric = CHRF()
    for one, other in answers():
        assert chrf(one, other) == pytest.approx(metric.sentence_score(one, [other]).score / 100, abs=1e-12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ab", "abc"),
        ("abc", "ab"),
        ("a", "a b a"),
        ("the cat", "cat the"),
        ("日本語だ", "日本"),
        ("🎉 x", "x 🎉"),
        ("", "a"),
    ],
)
def test_chrf_of_short_texts(one: str, other: str) -> None:
    assert chrf(one, other) == pytest.approx(CHRF().sentence_score(one, [other]).score / 100, abs=1e-12)


def test_chrf_at_the_ends_of_its_range() -> None:
    assert chrf("the cat", "the cat") == pytest.approx(1.0)
    assert chrf("xyz", "the cat") == 0.0


@pytest.mark.parametrize(
    ("check", "text", "reference", "expected"),
    [
        ({"token_f1": True}, "in Paris", "Paris", (2 / 3, "F1 0.667")),
        ({"token_f1": True}, "in Paris", ["Rome", "in Paris!"], (1, "F1 1.000")),
        ({"token_f1": True, "at_least": 0.7}, "in Paris", "Paris", (0, "F1 0.667, at least 0.7")),
        ({"token_f1": True}, "", "Paris", (0, "F1 0.000")),
        ({"token_f1": True}, "Paris", None, (None, "no reference text")),
        ({"rouge_l": True}, "a c b", "a b c", (2 / 3, "ROUGE-L 0.667")),
        ({"rouge_l": True}, "Москва", "москва", (1, "ROUGE-L 1.000")),
        ({"rouge_l": True}, "a " * 10_001, "a", (None, "longer than 10000 words")),
        ({"chrf": True}, "a" * 50_001, "a", (None, "longer than 50000 characters")),
        ({"length_ratio": {"at_most": 2}}, "a b c", "a b", (1, "1.50 times the words of the reference, at most 2")),
        ({"length_ratio": {"at_most": 1}}, "a b c", "a b", (0, "1.50 times the words of the reference, at most 1")),
        ({"length_ratio": {"at_least": 2}}, "a b c", "a b", (0, "1.50 times the words of the reference, at least 2")),
        ({"length_ratio": {"at_most": 2}}, "", "a b", (0, "0.00 times the words of the reference, at most 2")),
    ],
)
def test_scores(check: dict, text: str, reference: object, expected: tuple[float | None, str]) -> None:
    outcome = judge(check, text, reference)
    assert outcome.evidence == expected[1]
    assert outcome.score == (None if expected[0] is None else pytest.approx(expected[0]))


@pytest.mark.parametrize(
    ("number", "unit", "text", "expected"),
    [
        (12, "kg", "12 kg (26 lb)", (1, "12, expected 12")),
        (12, "kg", "12 kgs", (0, "no number in kg")),
        (12, ["kg", "kilograms"], "It weighs 12 kilograms, 3 times more.", (1, "12, expected 12")),
        (1250, "$", "It costs $1,250 for 2 people", (1, "1250, expected 1250")),
        (-5, "$", "a loss of -$5", (1, "-5, expected -5")),
        (-5, "€", "−5 €", (1, "-5, expected -5")),
        (4.5, "%", "From 3% to 4.5%.", (1, "4.5, expected 4.5")),
        (4.5, "%", "4.5", (0, "no number in %")),
        (5, "EUR", "EUR 5", (1, "5, expected 5")),
    ],
)
def test_numbers_with_units(number: float, unit: object, text: str, expected: tuple[float, str]) -> None:
    check = {"number": {"reference": True}, "unit": unit}
    assert judge(check, text, number) == Outcome(*expected)


@pytest.mark.parametrize(
    ("date", "value", "expected"),
    [
        ({}, "2024-02-29", (1, "2024-02-29")),
        ({}, "2023-02-29", (0, "'2023-02-29' is no date in %Y-%m-%d")),
        ({}, "2024-2-9", (0, "'2024-2-9' is no date in %Y-%m-%d")),
        ({}, 20240229, (0, "'20240229' is no date in %Y-%m-%d")),
        ({"format": "%d.%m.%Y"}, "29.02.2024", (1, "2024-02-29")),
        ({"on_or_after": "2024-03-01"}, "2024-02-29", (0, "2024-02-29, expected on or after 2024-03-01")),
        ({"on_or_before": "2024-03-01"}, "2024-03-01", (1, "2024-03-01, expected on or before 2024-03-01")),
    ],
)
def test_dates_on_json_paths(date: dict, value: object, expected: tuple[float, str]) -> None:
    check = {"json_path": "$.due", "date": date}
    assert judge(check, json.dumps({"due": value}), None) == Outcome(*expected)
