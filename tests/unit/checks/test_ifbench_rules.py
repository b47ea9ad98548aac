"""What IFBench's rules see where it is easy to see otherwise; rows and their faults."""

from pathlib import Path

import pytest

from sfteval.checks import Answer, bind
from sfteval.checks.ifbench import ifbench_checks, judge_ifbench
from sfteval.checks.ifbench_format import split_options, without_blank
from sfteval.checks.verbs import is_verb
from sfteval.errors import InputError

SPECIAL = {"csv_table": {"columns": ["a", "b"], "rows": 2, "quoted": "special"}}
QUOTED = {"csv_table": {"columns": ["a", "b"], "rows": 1, "delimiter": "\t", "quoted": "all"}}
YEARS = {"date_list": {"first_year": 1769, "last_year": 1821}}


def seen(check: dict, text: str) -> tuple[float | None, str]:
    outcome = bind({"x": check}, Path())(Answer(text))["x"]
    return outcome.score, outcome.evidence


@pytest.mark.parametrize(
    ("check", "text", "expected"),
    [
        ({"conjunctions": 3}, "And so, and", (1.0, "3 conjunctions, at least 3")),
        ({"numbers": 1}, "3.5", (1.0, "1 numbers, exactly 1")),
        ({"numbers": 1}, "3 - 5", (0.0, "2 numbers, exactly 1")),
        ({"person_names": 2}, "Emma, Emma's Leo, Leonard", (1.0, "2 names, at least 2")),
        ({"all_punctuation": True}, "a, b; c: d. E!?", (0.0, "missing ! ?")),
        ({"stop_words_percent": 50}, "the bond of it", (0.0, "75.0 % stop words, at most 50 %")),
        ({"japanese_every": 2}, "a 3 b 猫 c dog", (0.0, "'dog' is not Japanese")),
        ({"alphabet_loop": True}, "Yes zebras bark", (0.0, "'bark' where a was due")),
        ({"alternating_syllables": True}, "the cat", (0.0, "'the' has 1 syllables, 'cat' 1")),
        ({"prime_lengths": True}, "The word", (0.0, "'word' has 4 letters")),
        ({"max_word_repeats": 1}, "go, Go", (0.0, "2 times 'go', at most 1")),
        ({"three_vowels": True}, "a\nb", (0.0, "more than one paragraph")),
        ({"word_at": {"word": "risk", "sentence": 2, "position": 1}}, "A. b", (0.0, "1 sentences")),
        ({"alliteration_grows": True}, "Big bad bears. So so.", (0.0, "3 words in alliteration, then 2")),
        ({"sentence_growth": 2}, "I go. I go on.", (0.0, "2 words, then 3")),
        (
            {"balanced_sentences": True},
            'He said "so." Did he? He did!',
            (1.0, "1 end with ., 1 end with ?, 1 end with !"),
        ),
        ({"sentence_chain": True}, "I ran. (Ran) on.", (0.0, "'ran', then 'Ran)'")),
        ({"emoji_sentences": True}, "It fell. \U0001f600 It rose \U0001f600!", (1.0, "2 sentences with emoji")),
        ({"nested_brackets": True}, "(((((a)", (1.0, "5 deep")),
        ({"nested_brackets": True}, "((((((a]", (0.0, "not 5 deep and closed")),
        ({"sub_bullets": True}, "* a\n- b\n**c**", (0.0, "no hyphen in ''")),
        ({"italic_thesis": True}, "<em>So</em>", (1.0, "thesis '>So', then '>'")),
        ({"title_case": True}, "The price", (0.0, "'price'")),
        ({"quotes_explained": True}, 'a "b" "c" d', (0.0, "two quotation marks with nothing between")),
        (SPECIAL, 'a, "b"\n1,2\n"x!",4', (1.0, "a special field in quotation marks")),
        (SPECIAL, "a,b\n1,2\n3,4", (0.0, "no special field in quotation marks")),
        (QUOTED, '"a"\t"b"\n"1"\t"2"', (1.0, "CSV")),
        (QUOTED, '"a"\t"b"\n"1"\t', (0.0, "line 2 has a field without quotation marks")),
        (YEARS, "1805-12-02, 1815-06-18", (1.0, "dates")),
        (YEARS, "1805-12-02, 1815-06-31", (0.0, "'1815-06-31'")),
        (YEARS, "2005-12-02", (0.0, "'2005-12-02'")),
        ({"repeats_but_first": "a b c"}, "a b c", (0.0, "all but the first word")),
    ],
)
def test_rules(check: dict, text: str, expected: tuple[float, str]) -> None:
    assert seen(check, text) == expected


def test_options() -> None:
    assert split_options("yes/no/maybe") == {"one_option": ["yes", "no", "maybe"], "exact": False}
    assert split_options("I know or I don't know") == {"one_option": ["I know", "I don't know"], "exact": False}
    assert split_options("a), b), c), d)") == {"one_option": ["a)", "b)", "c)", "d)"], "exact": True}
    assert seen(split_options("a), b), c), d)"), "a")[0] == 0.0


def test_blank_lines_go_as_the_published_loop_takes_them() -> None:
    lines = ["a", "", "", "b", "", "c"]
    assert without_blank(lines) == ["a", "b", "", "c"]
    assert lines == ["a", "", "", "b", "", "c"]
    assert seen({"indent_stairs": True}, "\n" * 6000 + "a") == (None, "more than 5000 lines")


def test_verbs() -> None:
    verbs = "Consider build Prove whirring tried uses stopped goes taken Is making"
    assert [word for word in verbs.split() if not is_verb(word)] == []
    others = "The quickly a Paris during thing bring's ing red bus"
    assert [word for word in others.split() if is_verb(word)] == []


def test_rows() -> None:
    row = {
        "key": "1",
        "prompt": "Name one.",
        "instruction_id_list": ["count:numbers", "repeat:repeat_span"],
        "kwargs": [{"N": 1.0, "m": None}, {"prompt_to_repeat": "a b c", "n_start": 0, "n_end": 2}],
    }
    assert judge_ifbench(row, "a b") == {"strict": [False, True], "loose": [False, True]}
    checks = ifbench_checks(row["instruction_id_list"], row["kwargs"], row["prompt"])
    assert checks == [{"numbers": 1}, {"repeats_span": {"text": "a b c", "first": 0, "end": 2}}]
    with pytest.raises(InputError) as error:
        ifbench_checks(["count:number", "count:numbers"], [{}, {"N": 1.5}], "Name one.")
    assert str(error.value).split("\n") == [
        "IFBench prompt 'Name one.': found the instruction 'count:number'; expected one of IFBench's 58. "
        "Did you mean 'count:numbers'?",
        "IFBench prompt 'Name one.': found an argument of count:numbers that cannot be used: 1.5 where a whole number "
        "was due; expected a usable value",
    ]
