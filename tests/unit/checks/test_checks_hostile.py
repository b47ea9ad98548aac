"""Hostile answers: every kind gives a score or a reason, never hangs, and nothing that cannot be stored."""

import json
import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sfteval.checks import CHECK_TABLE, Answer, bind
from sfteval.checks.overfitting import HELDOUT
from sfteval.records import FinishReason

HANG_SECONDS = 120
MEGABYTE = 10**6
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(9))
    + "]><l>&j;</l>"
)
TEXTS = {
    "megabyte": "a" * MEGABYTE,
    "deep lists": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "catastrophic": "a" * MEGABYTE + "!",
    "xml bomb": BOMB,
    "xml deep": "<a>" * 100_000 + "</a>" * 100_000,
    "surrogates": "\ud800 text \udfff " * 50,
    "nul": "\0" * 1000 + "a",
    "bidi": "\u202e\u200f{}\u2066" * 1000,
    "digits": "9" * MEGABYTE,
    "spaces": " " * MEGABYTE + "x",
}
MORE_TEXTS = {
    "quotes": '"' + '\\"' * 500_000,
    "fences": "```\n" * 200_000,
    "open fence": "```\n" + " " * MEGABYTE + "x",
    "dots": ". " * 500_000,
    "commas": "1," * 500_000,
    "numbers": "1" + ",111" * 250_000,
    "braces": "{ " * 400_000,
    "long list": "[" + "0," * 400_000 + "0]",
    "many strings": json.dumps(["a" * 9] * 80_000),
    "same keys": "{" + '"a":1,' * 100_000 + '"a":1}',
    "newlines": "\n " * 500_000,
    "bullets": "- a\n" * 200_000,
    "pipes": "|-" * 500_000,
    "tables": "|" + "---|" * 300 + "\n" + ("|" + "---|" * 400 + "x\n") * 300,
    "marks": "<|" * 500_000,
    "words": "ab cd " * 160_000,
    "other words": " ".join(map(str, range(150_000))),
    "brackets": ".)" * 500_000,
    "exclamations": "!" * MEGABYTE,
    "calls": '<tool_call>{"name": "a", "arguments": {}}</tool_call>' * 20_000,
    "open calls": "<tool_call>" * 90_000,
    "call after call": "[" + '{"name":"a","arguments":{}},' * 30_000 + '{"name":"a","arguments":{}}]',
    "yaml lists": "a: [" * 5000,
    "yaml aliases": "a: &a [1]\n" + "\n".join(f"b{i}: &b{i} [*a, *a]" for i in range(900)),
    "yaml flow": "[" + "a," * 16_000 + "]",
    "yaml dashes": "- " * 16_000,
    "yaml lines": "a:\n" * 8000,
}
SCHEMA = {"items": {"pattern": "^(a+)+$"}, "uniqueItems": True, "patternProperties": {"^(a+)+$": {"type": "integer"}}}
CHECKS = {
    "brief": {"max_words": 3},
    "low": {"lowercase": True},
    **{name: dict(kind.example) for name, kind in CHECK_TABLE.kinds.items()},
    "redos": {"regex": "(a+)+$"},
    "redos_not": {"not_regex": "(a|a)*b"},
    "first": {"json": True, "first_object": True},
    "fenced": {"json": True, "allow_fence": True},
    "schema": {"json_schema": SCHEMA},
    "whole": {"contains": ["ab cd"], "whole_words": True},
    "fenced_yaml": {"yaml_valid": True, "allow_fence": True},
}


@contextmanager
def hang_guard(name: str) -> Iterator[None]:
    """End a check that hangs; how long the others take is no matter for a test."""

    def stop(_signal: int, _frame: object) -> None:
        pytest.fail(f"{name} hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


SIBLINGS = {"brief": CHECKS["brief"], "low": CHECKS["low"]}
SIBLINGS |= {"graded": CHECKS["judge"], "compared": CHECKS["judge_against_base"]}
PARTNER = {HELDOUT: {"messages": [{"role": "user", "content": "And now?"}], "reference": "Paris"}}


def judge_slowest(text: str) -> None:
    row = {"checks": [{"max_words": 2}, {"regex": "(a+)+$"}], **PARTNER}
    for name, check in CHECKS.items():
        example = CHECK_TABLE.kinds[name].passing if name in CHECK_TABLE.kinds else None
        told = {"messages": example.messages, "reference": example.reference or "Paris"} if example else {}
        answer = Answer(text, FinishReason.STOP, vars=row, **told)
        judge = bind(SIBLINGS | {name: check}, Path())
        with hang_guard(name):
            outcome = judge(answer)[name]
        assert outcome.score is None or math.isfinite(outcome.score)
        assert "broke" not in outcome.evidence, f"{name}: {outcome.evidence}"
        assert outcome.evidence.encode()


@pytest.mark.parametrize("name", TEXTS)
def test_every_check_survives(name: str) -> None:
    judge_slowest(TEXTS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_TEXTS)
def test_every_check_survives_more(name: str) -> None:
    judge_slowest(MORE_TEXTS[name])


def outcome(check: dict, text: str) -> tuple[float | None, str]:
    found = bind({"x": check}, Path())(Answer(text))["x"]
    return found.score, found.evidence


def test_what_hostile_answers_are_told() -> None:
    assert outcome({"json": True}, TEXTS["deep lists"]) == (0.0, "not JSON: nested deeper than 200 levels")
    assert outcome({"regex": "(a+)+$"}, TEXTS["catastrophic"]) == (None, "the pattern '(a+)+$' ran longer than 0.3 s")
    assert outcome({"xml_valid": True}, BOMB) == (0.0, "forbidden in XML: DTDForbidden")
    assert outcome({"yaml_valid": True}, TEXTS["megabyte"]) == (None, "longer than 32768 characters")
    pattern = "^(a+)+$"
    score, evidence = outcome({"json_schema": {"items": {"pattern": pattern}}}, json.dumps([TEXTS["catastrophic"]]))
    assert (score, evidence) == (None, f"the pattern {pattern!r} ran longer than 0.3 s")
    long_list = "[" + "0," * 400_000 + "0]"
    score, evidence = outcome({"json_schema": {"items": {"type": "integer", "minimum": 0}}}, long_list)
    assert (score, evidence) == (None, "SchemaTimeoutError: held against the schema for more than 0.6 s")
