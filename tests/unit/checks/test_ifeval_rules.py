"""What IFEval's rules read in a text: sentences, tokens, languages, loose variants; rows and their faults."""

from pathlib import Path

import pytest

from sfteval.checks import Answer, bind
from sfteval.checks.ifeval import ifeval_checks, judge_ifeval
from sfteval.checks.instruction_rows import summarise, variants
from sfteval.checks.languages import language_of
from sfteval.checks.punkt_sentences import LONGEST, TooLongError, sentences
from sfteval.checks.treebank_words import bare_words, word_runs, word_tokens
from sfteval.errors import InputError


def seen(check: dict, text: str) -> tuple[float | None, str]:
    outcome = bind({"x": check}, Path())(Answer(text))["x"]
    return outcome.score, outcome.evidence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a. ", ["a."]),
        ("Dr. Lee paid $3.50. He left!  ", ["Dr. Lee paid $3.50.", "He left!"]),
        ("U.S. stocks fell. IBM Corp. rose 3. The rest", ["U.S. stocks fell.", "IBM Corp. rose 3.", "The rest"]),
        ("J. Smith of Acme Inc. in the U.S. He left.", ["J. Smith of Acme Inc. in the U.S.", "He left."]),
        ('He said "no." Then he left.\n\nNew.', ['He said "no."', "Then he left.", "New."]),
        ("No. 7 is e.g. fine... Right? Yes!!! ok", ["No.", "7 is e.g.", "fine...", "Right?", "Yes!!!", "ok"]),
        ("(Hi there.) Bye.", ["(Hi there.)", "Bye."]),
        ("Up to 10. 000 left", ["Up to 10.", "000 left"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_words() -> None:
    text = "I can't believe it's $3.50: \"Wow,\" she said... cannot (rock-n-roll) end."
    assert word_tokens(text) == (
        [
            "I",
            "ca",
            "n't",
            "believe",
            "it",
            "'s",
            "$",
            "3.50",
            ":",
            "``",
            "Wow",
            ",",
            "''",
            "she",
            "said",
            "...",
            "can",
            "not",
            "(",
            "rock-n-roll",
            ")",
            "end",
            ".",
        ]
    )
    assert word_runs("a well-known, snake_case 3.5") == ["a", "well", "known", "snake_case", "3", "5"]
    assert bare_words("a well-known, - 3.5!") == ["a", "wellknown", "35"]


def test_long_texts_are_refused_and_others_end() -> None:
    with pytest.raises(TooLongError, match="longer than 100000 characters"):
        sentences("a" * (LONGEST + 1))
    assert seen({"sentence_count": {"at_least": 1}}, "a " * LONGEST) == (None, "longer than 100000 characters")
    assert seen({"language": "en"}, "a " * LONGEST) == (None, "longer than 100000 characters")
    for text in (
        "\n" * LONGEST + "x",
        "[" * LONGEST,
        "<" * LONGEST,
        "*" * LONGEST,
        "P. " * (LONGEST // 3),
        " " * LONGEST,
    ):
        seen({"markdown_bullets": 1}, text)
        seen({"placeholders": 1}, text)
        seen({"angle_title": True}, text)
        seen({"highlights": 1}, text)
        seen({"postscript": "P.S."}, text)


def test_languages_are_told_the_same_each_time() -> None:
    mixed = "OK! PASTA, PIZZA, TACO, SUSHI"
    assert len({language_of(mixed) for _ in range(5)}) == 1
    assert language_of("Der Zinssatz steigt, und der Kurs fällt.") == "de"
    assert language_of("今日は天気がいい") == "ja"
    assert language_of("123 456") is None
    assert seen({"language": "de"}, "123 456") == (1.0, "language cannot be told, wanted de")


@pytest.mark.parametrize(
    ("check", "text", "expected"),
    [
        ({"letter_count": {"letter": "#", "at_least": 3}}, "# a\n## b", (1.0, "3 times '#', at least 3")),
        ({"letter_count": {"letter": "!", "less_than": 1}}, "ah!", (0.0, "1 times '!', less than 1")),
        ({"keyword_count": {"word": "c++", "at_least": 1}}, "C++", (1.0, "1 times 'c++', at least 1")),
        ({"word_count": {"at_least": 2, "at_most": 3}}, "a b c d", (0.0, "4 words, at least 2, at most 3")),
        ({"markdown_bullets": 3}, "* a\n  - b\n---\n** c", (1.0, "3 bullets, exactly 3")),
        ({"markdown_bullets": 1}, "*\na\n*", (1.0, "1 bullets, exactly 1")),
        ({"placeholders": 2}, "[a]] [b\n] [c]", (1.0, "2 placeholders, at least 2")),
        ({"divided_paragraphs": 2}, "***\na\n***\nb\n***", (1.0, "2 paragraphs, exactly 2")),
        ({"divided_paragraphs": 2}, "a\n***\n***\nb", (0.0, "an empty paragraph between two dividers")),
        ({"two_answers": True}, "a\n******\na", (0.0, "2 answers, the same")),
        ({"angle_title": True}, "see <<>> and <<a>", (0.0, "no title")),
        ({"postscript": "P.P.S"}, "p. p.s. bye", (1.0, "P.P.S there")),
        ({"json_output": True}, "```\n[1,\n```", (0.0, "not JSON: JSONDecodeError")),
        ({"capital_words": {"at_least": 3}}, "THE self-PAID IBM A", (1.0, "3 words in capitals, at least 3")),
        ({"english_capitals": True}, "Not so", (0.0, "not all capitals")),
        ({"final_phrase": "Bye."}, " \n", (0.0, "no answer")),
    ],
)
def test_rules(check: dict, text: str, expected: tuple[float, str]) -> None:
    assert seen(check, text) == expected


def test_the_eight_variants() -> None:
    whole = ["*a*\nb\nc*", "a\nb\nc"]
    assert variants("*a*\nb\nc*") == [*whole, "b\nc*", "b\nc", "*a*\nb", "a\nb", "b"]
    assert variants("a") == ["a", ""]


def test_strict_and_loose() -> None:
    row = {
        "key": 1,
        "prompt": "Say so.",
        "instruction_id_list": ["startend:quotation", "detectable_format:number_bullet_lists"],
        "kwargs": [{"num_bullets": None}, {"num_bullets": 1}],
    }
    assert judge_ifeval(row, 'Sure:\n"- It is so."') == {"strict": [False, False], "loose": [True, False]}
    assert judge_ifeval(row, "") == {"strict": [False, False], "loose": [False, False]}
    prefixed = {**row, "instruction_id_list": [f"en:{name}" for name in row["instruction_id_list"]]}
    assert judge_ifeval(prefixed, '"a\n- b"') == {"strict": [True, True], "loose": [True, True]}


def test_checks_of_a_row_are_checks_of_the_catalog() -> None:
    kwargs = [{"keywords": ["risk"]}, {"relation": "less than", "num_words": 20}, {}]
    ids = ["keywords:existence", "length_constraints:number_words", "punctuation:no_comma"]
    checks = ifeval_checks(ids, kwargs, "Explain risk.")
    assert checks == [{"contains": ["risk"]}, {"word_count": {"less_than": 20}}, {"contains_none": ","}]
    judge = bind({str(number): check for number, check in enumerate(checks)}, Path())
    assert [outcome.score for outcome in judge(Answer("Risk is loss, at times.")).values()] == [1.0, 1.0, 0.0]


def message(ids: list[str], kwargs: list[dict]) -> list[str]:
    with pytest.raises(InputError) as error:
        ifeval_checks(ids, kwargs, "Write a poem")
    return str(error.value).split("\n")


def test_faults_of_a_row() -> None:
    where = "IFEval prompt 'Write a poem': found "
    words = "length_constraints:number_words"
    assert message(["keyword:existence", words, words], [{}, {"relation": "at least"}, {"relation": "about"}]) == [
        where + "the instruction 'keyword:existence'; expected one of IFEval's 25. Did you mean 'keywords:existence'?",
        where + f"no argument 'num_words'; expected the arguments of {words}",
        where + f"an argument of {words} that cannot be used: relation 'about', expected 'at least' or 'less than'; "
        "expected a usable value",
    ]
    assert message([words], []) == [where + "1 instructions and 0 kwargs; expected as many kwargs as instructions"]
    assert message(["combination:repeat_prompt"], [{"prompt_to_repeat": 3}]) == [
        where + "an argument of combination:repeat_prompt of another type; expected the types of the published file"
    ]
    with pytest.raises(InputError, match="IFEval row 7: found no 'instruction_id_list'; expected key, prompt"):
        judge_ifeval({"key": 7, "prompt": "x"}, "y")


def test_summary() -> None:
    rows = [
        {"key": 1, "strict": [True, False], "loose": [True, True]},
        {"key": 2, "strict": [True], "loose": [True]},
    ]
    assert summarise(rows) == {
        "strict": {"prompt": 0.5, "instruction": 2 / 3},
        "loose": {"prompt": 1.0, "instruction": 1.0},
        "rows": rows,
    }
    for nothing in ([], [{"key": 1, "strict": [], "loose": []}]):
        with pytest.raises(InputError, match="no row, or a row without flags"):
            summarise(nothing)
