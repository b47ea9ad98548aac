"""Ending an answer early changes no score."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from sfteval.checks import Answer, bind, early_exit
from sfteval.checks.json_prefix import can_become_fenced_json, can_become_json

PIECES = [
    *("{", "}", "[", "]", ":", ",", '"a"', '"x\\"y"', "1", "-2.5e3", "true", "null", " ", "\n", "```", "```json\n"),
    *("\n```", "Sure", "cat", "category", "cat,", "<|im_end|>", "\nUser:", "Hello", "ok", "NaN", "tru", "é", "ß"),
]
SUITES: dict[str, dict[str, Any]] = {
    "words": {"c": {"max_words": 3}},
    "chars": {"c": {"max_chars": 9}},
    "commas": {"c": {"no_commas": True}},
    "low": {"c": {"lowercase": True}},
    "up": {"c": {"uppercase": True}},
    "forbidden": {"c": {"contains_none": ["cat", "OK"]}},
    "forbidden words": {"c": {"contains_none": ["cat", "OK"], "whole_words": True}},
    "forbidden with case": {"c": {"contains_none": "ok", "whole_words": True, "ignore_case": False}},
    "beginning": {"c": {"starts_with": "Sure"}},
    "special": {"c": {"no_special_tokens": True}},
    "roles": {"c": {"no_role_leakage": True}},
    "json": {"c": {"json": True}},
    "fenced": {"c": {"json": True, "allow_fence": True}},
    "schema": {"c": {"json_schema": {"type": "object"}}, "d": {"json_path": "$.a", "equals": 1}},
    "all of": {"a": {"max_words": 2}, "b": {"lowercase": True}, "c": {"all_of": ["a", "b"]}},
    "any of": {"c": {"any_of": ["a", "b"]}, "a": {"max_words": 2}, "b": {"json": True}},
}


@pytest.mark.parametrize("name", SUITES)
def test_what_is_lost_stays_lost(name: str) -> None:
    checks = SUITES[name]
    lost, whole = early_exit(checks)
    assert whole == ()
    assert lost is not None
    judge, draw, ended = bind(checks, Path()), random.Random(name), 0
    for _ in range(400):
        text = "".join(draw.choice(PIECES) for _ in range(draw.randint(1, 12)))
        cut = next((end for end in range(1, len(text) + 1) if lost(text[:end])), None)
        if cut is None:
            continue
        ended += 1
        for longer in (text[:cut], text, text[:cut] + draw.choice(PIECES)):
            assert {key: outcome.score for key, outcome in judge(Answer(longer)).items()} == dict.fromkeys(checks, 0.0)
    assert ended > 20


@pytest.mark.parametrize("name", ["json", "fenced"])
def test_no_prefix_of_json_is_lost(name: str) -> None:
    lost, _ = early_exit(SUITES[name])
    assert lost is not None
    values = [{"a": [1, -2.5e-3, {"b": None}], 'c \\ "q"': "ü\n"}, [], {}, [[], {}], "text", 12, True, [False, "`"]]
    texts = [json.dumps(value, indent=indent) for value in values for indent in (None, 2)]
    if name == "fenced":
        texts += [f"```{language}\n{text}\n```\n" for text in texts for language in ("", "json", "JSON")]
    for text in texts:
        assert bind(SUITES[name], Path())(Answer(text))["c"].score == 1.0
        for end in range(len(text) + 1):
            assert not lost(text[:end]), text[:end]


@pytest.mark.parametrize(
    "text", ["Sure", "{a", '{"a" 1', "[1 2", "[,", "{,", '{"a":}', "[1]]", "1 2", "nul1", "NaN", "```"]
)
def test_broken_json_is_seen(text: str) -> None:
    assert not can_become_json(text)


def test_broken_fences_are_seen() -> None:
    assert can_become_fenced_json("``")
    for text in ("```python\n", "```json\n{x", "```\n{}\n```\nmore", "`x"):
        assert not can_become_fenced_json(text)


def test_checks_that_only_a_whole_answer_settles() -> None:
    checks = {"valid": {"json": True}, "stops": {"ends_turn": True}, "long": {"min_words": 2}}
    assert early_exit(checks) == (None, ("stops", "long"))
    both = {**checks, "all": {"all_of": ["valid", "stops"]}, "none": {"none_of": ["valid"]}}
    assert early_exit(both) == (None, ("stops", "long", "none"))
    assert early_exit({"first": {"json": True, "first_object": True}}) == (None, ("first",))
