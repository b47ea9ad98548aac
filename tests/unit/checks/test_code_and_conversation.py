"""Code that parses, and answers held against what the user said."""

from pathlib import Path

import pytest

from sfteval.checks import Answer, Outcome, bind
from sfteval.checks.documents import code_blocks
from sfteval.errors import InputError
from sfteval.records import Message

FENCED = "Here:\n```python\nx = 1\n```\nDone."


def judge(check: dict, text: str, *asked: str) -> Outcome:
    messages = tuple(Message(role="user", content=each) for each in asked)
    return bind({"x": check}, Path())(Answer(text, messages=messages))["x"]


def test_code_blocks() -> None:
    assert code_blocks(f"{FENCED}\n```\ny\nz\n```\n```sql\nnever closed") == [("python", "x = 1"), ("", "y\nz")]


@pytest.mark.parametrize(
    ("check", "text", "expected"),
    [
        ({"python": True}, "x = 1", (1, "Python")),
        ({"python": True}, "\n  x = 1", (0, "not Python: unexpected indent (line 1)")),
        ({"python": True}, "Paris", (0, "no statement, only names or values")),
        ({"python": True}, "Sure, thing", (0, "no statement, only names or values")),
        ({"python": True}, "Here is it", (0, "no statement, only names or values")),
        ({"python": True}, "print('\\d')", (1, "Python")),
        ({"python": True}, " \n", (0, "no Python")),
        ({"python": True}, "x = 1\0", (0, "not Python: ValueError")),
        ({"python": True}, "x = [" + "1, " * 20_000 + "]", (None, "longer than 32768 characters")),
        ({"python": True}, FENCED, (0, "not Python: invalid syntax (line 1)")),
        ({"python": True, "allow_fence": True}, "```py\nx = 1\n```", (1, "Python")),
        ({"python": True, "first_block": True}, FENCED, (1, "Python")),
        ({"python": True, "first_block": True}, "x = 1", (0, "no Python block")),
        ({"python": True, "defines": ["f", "A"]}, "async def f(): pass\nclass A: pass", (1, "Python")),
        ({"python": True, "defines": ["f"]}, "class A:\n  def f(self): pass", (0, "f not defined")),
        ({"sql": True}, "select 1; drop table x", (1, "select, drop")),
        ({"sql": True}, "hello world", (0, "no SQL statement")),
        ({"sql": True}, "SHOW TABLES", (0, "no SQL statement")),
        ({"sql": True}, "-- nothing", (0, "no SQL statement")),
        ({"sql": True, "statement": "select"}, "select 1; select 2", (0, "select, select, expected one select")),
        ({"sql": True, "statement": "select"}, "WITH a AS (SELECT 1) SELECT * FROM a", (1, "select")),
        ({"sql": True, "statement": "select"}, "DELETE FROM t", (0, "delete, expected one select")),
        ({"sql": True, "dialect": "mysql"}, "SELECT `a` FROM t LIMIT 1, 2", (1, "select")),
        ({"sql": True, "first_block": True}, "So:\n```sql\nSELECT 1\n```", (1, "select")),
        ({"sql": True}, "SELECT " + "(" * 3000, (0, "not SQL: RecursionError")),
    ],
)
def test_code(check: dict, text: str, expected: tuple[float | None, str]) -> None:
    outcome = judge(check, text)
    assert outcome.score == expected[0]
    assert outcome.evidence == expected[1] or (text == "x = 1\0" and "null bytes" in outcome.evidence)


def test_an_unknown_dialect() -> None:
    with pytest.raises(InputError, match="'bigquery', 'clickhouse'"):
        bind({"x": {"sql": True, "dialect": "cobol"}}, Path())


GERMAN = "Bitte erkläre mir kurz, wie eine Anleihe funktioniert und was ihr Kupon ist."


@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        ("Eine Anleihe ist ein Kredit an den Staat oder an ein Unternehmen.", GERMAN, 1),
        ("A bond is a loan to a government or to a company, and the coupon is paid yearly.", GERMAN, 0),
        ("Eine Anleihe ist so:\n```\nthis is the code that we should not read here\n```", GERMAN, 1),
        ("42", GERMAN, 1),
        ("", GERMAN, 0),
        ("Anything", "42", None),
    ],
)
def test_language_kept(text: str, asked: str, expected: int | None) -> None:
    assert judge({"language_kept": True}, text, asked).score == expected
    assert judge({"language_kept": True}, text, "What is a bond, and who buys it?", asked).score == expected


@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        ("Paris.", "What is the capital of France?", (1, "begins anew")),
        (", and of Spain?", "What is the capital of France", (0, "begins ','")),
        ("? I mean the largest.", "What is the capital of France", (0, "begins '?'")),
        (" of the year 1900", "Tell me the story", (0, "begins 'of'")),
        ("of course", "Tell me the story.", (1, "begins anew")),
        (".NET is a platform.", "What is .NET?", (1, "begins anew")),
        (":) Sure.", "Are you there?", (1, "begins anew")),
        ("...", "Are you there?", (1, "begins anew")),
        (
            "What is the capital of France? What is the capital of Spain?",
            "What is the capital of France?",
            (0, "begins as the user: 'what is the capital of france'"),
        ),
        ("Hello there", "Hello there", (1, "begins anew")),
        ("", "Hello", (0, "no answer")),
    ],
)
def test_no_continuation(text: str, asked: str, expected: tuple[float, str]) -> None:
    assert judge({"no_continuation": True}, text, asked) == Outcome(*expected)


def test_without_a_conversation() -> None:
    for check in ({"language_kept": True}, {"no_continuation": True}):
        assert judge(check, "Hello") == Outcome(None, "no user's turn in the conversation")


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("I’m sorry, but I can’t help with that.", 0),
        ("As an AI language model, I don't have opinions.", 0),
        ("I cannot assist you in this.", 0),
        ("I'm sorry to hear that. Here is how to fix it.", 1),
        ("You cannot help him unless he asks.", 1),
        ("", 0),
    ],
)
def test_not_refused(text: str, score: int) -> None:
    assert judge({"not_refused": True}, text).score == score
