"""Lengths, phrases, references, documents, hygiene: the edges of each rule."""

from pathlib import Path

import pytest

from sfteval.checks import Answer, bind
from sfteval.checks.hygiene import longest_loop
from sfteval.checks.lengths import count_sentences
from sfteval.checks.normal import normalise
from sfteval.checks.reference import last_number
from sfteval.records import FinishReason


def score(check: dict, text: str, reference: object = None, finish: FinishReason | None = None) -> float | None:
    return bind({"x": check}, Path())(Answer(text, finish, reference=reference))["x"].score


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("...", 1),
        ("One", 1),
        ("One. Two", 2),
        ("It costs 3.50 euros.", 1),
        ('He said "No!" Then he left.', 2),
        ("What?! Yes.", 2),
        ("第一句。第二句。", 2),
        ("Done.\n\n- ", 1),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert count_sentences(text) == count


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("no digits", None),
        ("-3", -3.0),
        ("−3 degrees", -3.0),
        ("from 5 to 1,234.50 euros.", 1234.5),
        ("1,2", 2.0),
        ("1e3", 1000.0),
        ("The answer is .5", 0.5),
        ("1e999", None),
        ("2024-05-07", -7.0),
    ],
)
def test_last_number(text: str, number: float | None) -> None:
    assert last_number(text) == number


def test_normalise() -> None:
    assert normalise('  "Ｐａｒｉｓ  is\nnice." ') == "paris is nice"
    assert normalise("Paris", ignore_case=False) == "Paris"
    assert normalise("**42**") == "42"


@pytest.mark.parametrize(
    ("check", "text", "expected"),
    [
        ({"max_words": 2}, "one\ttwo\n", 1),
        ({"bullets": 2, "or_more": True}, "* a\n  - b\n• c", 1),
        ({"bullets": 2}, "* a\n  - b\n• c", 0),
        ({"bullets": 1}, "**bold** text", 0),
        ({"lowercase": True}, "123", 0),
        ({"uppercase": True}, "", 0),
        ({"no_commas": True}, "a، b", 0),
        ({"contains": "Straße"}, "STRASSE", 1),
        ({"contains": "cat", "whole_words": True}, "concatenate", 0),
        ({"contains": "cat", "whole_words": True}, "The CAT.", 1),
        ({"contains": "Cat", "ignore_case": False}, "cat", 0),
        ({"contains_none": "cold", "whole_words": True}, "coldness", 1),
        ({"contains_none": "cold"}, "", 0),
        ({"starts_with": "dear", "ignore_case": False}, "Dear", 0),
        ({"starts_with": "Dear"}, "De", 0),
        ({"ends_with": "?"}, "Why? \n", 1),
        ({"ends_with": "longer than it"}, "it", 0),
        ({"choices": ["yes", "no"]}, "**Yes**.", 1),
        ({"choices": ["yes", "no"], "ignore_case": False}, "Yes", 0),
        ({"choices": ["yes", "no"]}, "yes and no", 0),
        ({"exact_match": "Paris", "ignore_case": False}, "paris", 0),
        ({"regex": "^b$"}, "a\nb", 0),
        ({"regex": "(?m)^b$"}, "a\nb", 1),
        ({"regex": "B", "ignore_case": True}, "abc", 1),
        ({"csv": {}}, "a,b\n1,2", 1),
        ({"csv": {}}, "just prose", 0),
        ({"csv": {"min_rows": 2}}, "a,b\n1,2", 0),
        ({"csv": {"delimiter": ";"}}, 'a;b\n"x;y";2', 1),
        ({"csv": {}}, 'a,b\n"x,2', 0),
        ({"csv": {"columns": ["a"]}, "allow_fence": True}, "```csv\na\n1\n```", 1),
        ({"yaml_valid": True}, "Just prose.", 0),
        ({"yaml_valid": True}, "- a\n- b", 1),
        ({"yaml_valid": True, "allow_fence": True}, "```yaml\na: 1\n```", 1),
        ({"xml_valid": True}, "<a>1 & 2</a>", 0),
        ({"xml_valid": True, "root": "b"}, "<a/>", 0),
        ({"xml_valid": True}, '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', 0),
        ({"markdown": {"headings": 1}}, "```\n# no heading\n```", 0),
        ({"markdown": {"code_blocks": 1}}, "```\nnever closed", 0),
        ({"markdown": {"code_blocks": 1, "language": "SQL"}}, "```sql\nselect 1\n```", 1),
        ({"markdown": {"numbered": 2}}, "1. a\n2) b", 1),
        ({"markdown": {"tables": 1}}, "a | b\n--- | ---\n1 | 2", 1),
        ({"markdown": {"tables": 1}}, "a\n---\nb", 0),
        ({"no_special_tokens": True}, "Done</s>", 0),
        ({"no_special_tokens": True}, "<start_of_turn>model", 0),
        ({"no_special_tokens": True}, "<html> a <| b", 1),
        ({"no_role_leakage": True}, "The user: me", 1),
        ({"no_role_leakage": True}, "### Response: hi", 0),
        ({"no_repetition": True}, "ha " * 11, 1),
        ({"no_repetition": True}, "ha " * 12, 0),
        ({"no_repetition": True}, "哈" * 12, 0),
        ({"no_repetition": True, "times": 6}, "I see a red cat. " * 5, 1),
        ({"no_repetition": True}, "Start. " + "the same long line again\n" * 4 + "End.", 0),
    ],
)
def test_rules(check: dict, text: str, expected: int) -> None:
    assert score(check, text) == expected


@pytest.mark.parametrize(
    ("check", "text", "reference", "expected"),
    [
        ({"exact_match": True}, "Rome!", ["Paris", "Rome"], 1),
        ({"exact_match": True}, "42", 42, 1),
        ({"exact_match": True}, "x", None, None),
        ({"exact_match": True}, "x", {"a": 1}, None),
        ({"number": {"reference": True}}, "no idea", "12", 0),
        ({"number": {"reference": True}}, "12", "about 12", 1),
        ({"number": {"reference": True}}, "12", "nothing", None),
        ({"number": {"value": 0.1}}, "0.1", None, 1),
        ({"number": {"value": 1, "tolerance": 0.5}}, "1.6", None, 0),
        ({"choices": ["a", "b"], "reference": True}, "B", "b", 1),
        ({"choices": ["a", "b"], "reference": True}, "A", "b", 0),
    ],
)
def test_against_a_reference(check: dict, text: str, reference: object, expected: int | None) -> None:
    assert score(check, text, reference) == expected


@pytest.mark.parametrize(
    ("finish", "ends", "uncut"),
    [(FinishReason.END_TURN, 1, 1), (FinishReason.STOP, 0, 1), (FinishReason.LENGTH, 0, 0), (None, None, None)],
)
def test_finish_reasons(finish: FinishReason | None, ends: int | None, uncut: int | None) -> None:
    assert score({"ends_turn": True}, "x", finish=finish) == ends
    assert score({"not_cut": True}, "x", finish=finish) == uncut


def test_loops_are_found_with_their_period() -> None:
    assert longest_loop(["a", "b", "c", "a", "b", "c", "a", "b", "c", "a", "b", "c"], 4) == (3, 4)
    assert longest_loop(["a", "b", "c", "a", "b", "c", "a", "b", "c", "a", "b", "d"], 4) == (0, 0)
    assert longest_loop([], 4) == (0, 0)
