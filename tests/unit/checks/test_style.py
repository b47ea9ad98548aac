"""Tone and style: the edges of each rule."""

from pathlib import Path

import pytest

from sfteval.checks import Answer, Outcome, bind
from sfteval.checks.style import flesch_kincaid
from sfteval.errors import InputError


def judge(check: dict, text: str) -> Outcome:
    return bind({"x": check}, Path())(Answer(text))["x"]


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("The cat sat.", 0.39 * 3 + 11.8 * 1 - 15.59),
        ("The cat sat\nThe dog ran", 0.39 * 3 + 11.8 * 1 - 15.59),
        ("Water is nice. Water!", 0.39 * 2 + 11.8 * 6 / 4 - 15.59),
        ("42 !", None),
    ],
)
def test_grade(text: str, grade: float | None) -> None:
    assert flesch_kincaid(text) == (grade if grade is None else pytest.approx(grade))


@pytest.mark.parametrize(
    ("check", "text", "expected"),
    [
        ({"reading_grade": {"at_least": 6}}, "The cat sat.", (0, "grade -2.6, at least 6")),
        ({"reading_grade": {"at_most": 6}}, "42", (0, "no words")),
        ({"reading_grade": {"at_most": 0}}, "The cat sat.\n```\nConstitutionality\n```", (1, "grade -2.6, at most 0")),
        ({"person": {"uses": "I"}}, "I'd go.", (1, "as asked")),
        ({"person": {"uses": ["I", "you"]}}, "I go.", (0, "nothing in the person 'you'")),
        ({"person": {"avoids": "we"}}, "The US grew, US data say.", (1, "as asked")),
        ({"person": {"avoids": "we"}}, "It grew, said one of us.", (0, "found 'us'")),
        ({"person": {"avoids": "I"}}, "Time myself in May: mining, i.e. mines.", (0, "found 'myself'")),
        ({"person": {"avoids": "you"}}, "Read:\n```\nyou = 1\n```", (1, "as asked")),
        ({"person": {"avoids": "they"}}, "It grew.", (1, "as asked")),
        ({"register": "formal"}, "It isn’t so.", (0, "found 'isn’t'")),
        ({"register": "formal"}, "Good. 🎉", (0, "found 'an emoji'")),
        ({"register": "formal"}, "What?!", (0, "found '?!'")),
        ({"register": "formal"}, "The bank's rates rose!", (1, "no informal sign")),
        ({"register": "informal"}, "The bank's rates rose!", (0, "no informal sign")),
        ({"register": "informal"}, "Yeah, rates rose.", (1, "found 'Yeah'")),
        ({"hedges": {"at_least": 2}}, "It may rain in May, I'd think.", (1, "2 hedges, at least 2")),
        ({"hedges": {"at_most": 0}}, "It will rain in May.", (1, "0 hedges, at most 0")),
        ({"hedges": {"at_most": 0}}, "The mighty likelihood", (1, "0 hedges, at most 0")),
        ({"emoji": {"at_least": 2}}, "🇩🇪 and 👩‍🚀", (1, "2 emoji, at least 2")),
        ({"emoji": {"at_most": 0}}, "1 © #", (0, "1 emoji, at most 0")),
        ({"polite": True}, "You’re welcome.", (1, "found 'You’re welcome'")),
        ({"polite": True}, "It opens at nine.", (0, "no courtesy")),
        ({"polite": True}, "Please shut up.", (0, "found 'shut up'")),
        ({"polite": True}, "", (0, "no answer")),
    ],
)
def test_rules(check: dict, text: str, expected: tuple[float, str]) -> None:
    assert judge(check, text) == Outcome(*expected)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"reading_grade": {}}, "found no limit; expected at_least or at_most"),
        ({"person": {}}, "found no person; expected uses or avoids"),
        ({"register": "casual"}, "'formal' or 'informal'"),
    ],
)
def test_mistakes_of_authors(check: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bind({"x": check}, Path())
