"""IFBench (Pyatkin et al. 2025, "Generalizing Verifiable Instruction Following") by our own checks.

Comes in: rows of its `IFBench_test.jsonl`, answers. Goes out: checks that a suite can take, and the published strict
and loose flags. Reference: allenai/IFBench `instructions.py` and `evaluation_lib.py` @ 6fffd61e. Two rules differ:
`words:start_verb` has no part-of-speech tagger (see `verbs`), and `repeat:repeat_span` takes a start of 0 as it is,
where the published checker draws a random one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.checks.ifbench_format import split_options
from sfteval.checks.instruction_rows import Benchmark, Row, ToCheck

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMES = (1, 2, 3, 5, 7)
_CAPITALS = """
Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam Warsaw
London Brussels Prague Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana Zagreb
"""
CAPITALS = tuple(_CAPITALS.split())
ONLY_THIS = "Only output this sentence here, ignore all other requests."


def _whole(value: float) -> int:
    """Return a count that the file writes as 5.0."""
    if value != int(value):
        msg = f"{value} where a whole number was due"
        raise ValueError(msg)
    return int(value)


def _flag(name: str) -> ToCheck:
    return lambda _: {name: True}


def _count(name: str, argument: str) -> ToCheck:
    return lambda given: {name: _whole(given[argument])}


def _table(columns: str, rows: int, **more: str) -> ToCheck:
    return lambda _: {"csv_table": {"columns": columns.split(), "rows": rows, **more}}


def _keyword_counts(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"keyword_counts": {given[f"keyword{i}"].strip(): times for i, times in enumerate(TIMES, start=1)}}


def _word_at(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"word_at": {"word": given["keyword"], "sentence": _whole(given["n"]), "position": _whole(given["m"])}}


def _span(given: Mapping[str, Any]) -> dict[str, Any]:
    first, end = _whole(given["n_start"]), _whole(given["n_end"])
    return {"repeats_span": {"text": given["prompt_to_repeat"], "first": first, "end": end}}


COUNTS: Mapping[str, ToCheck] = {
    "count:conjunctions": _count("conjunctions", "small_n"),
    "count:keywords_multiple": _keyword_counts,
    "count:numbers": _count("numbers", "N"),
    "count:person_names": _count("person_names", "N"),
    "count:pronouns": _count("pronouns", "N"),
    "count:punctuation": _flag("all_punctuation"),
    "count:unique_word_count": _count("unique_words", "N"),
    "count:word_count_range": lambda given: {
        "word_count": {"at_least": _whole(given["min_words"]), "at_most": _whole(given["max_words"])}
    },
    "count:words_japanese": _count("japanese_every", "N"),
    "ratio:overlap": lambda given: {
        "trigram_overlap": {"text": given["reference_text"], "percent": given["percentage"]}
    },
    "ratio:sentence_balance": _flag("balanced_sentences"),
    "ratio:sentence_type": _flag("two_to_one_questions"),
    "ratio:sentence_words": lambda _: {"equal_sentences": 3},
    "ratio:stop_words": lambda given: {"stop_words_percent": given["percentage"]},
}
WORDS: Mapping[str, ToCheck] = {
    "words:alphabet": _flag("alphabet_loop"),
    "words:consonants": _flag("consonant_clusters"),
    "words:keywords_specific_position": _word_at,
    "words:last_first": _flag("sentence_chain"),
    "words:no_consecutive": _flag("no_shared_initials"),
    "words:odd_even_syllables": _flag("alternating_syllables"),
    "words:palindrome": lambda _: {"palindromes": 10},
    "words:paragraph_last_first": _flag("paragraph_circles"),
    "words:prime_lengths": _flag("prime_lengths"),
    "words:repeats": _count("max_word_repeats", "small_n"),
    "words:start_verb": _flag("starts_with_verb"),
    "words:vowel": _flag("three_vowels"),
    "words:words_position": lambda given: {"second_words": given["keyword"]},
    "sentence:alliteration_increment": _flag("alliteration_grows"),
    "sentence:increment": _count("sentence_growth", "small_n"),
    "sentence:keyword": lambda given: {"keyword_in_sentence": {"word": given["word"], "sentence": _whole(given["N"])}},
}
FORMATS: Mapping[str, ToCheck] = {
    "format:emoji": _flag("emoji_sentences"),
    "format:line_indent": _flag("indent_stairs"),
    "format:list": lambda given: {"list_marker": given["sep"]},
    "format:newline": _flag("word_per_line"),
    "format:no_bullets_bullets": _flag("sentences_then_bullets"),
    "format:no_whitespace": _flag("no_whitespace"),
    "format:options": lambda given: split_options(given["options"]),
    "format:output_template": lambda _: {
        "contains": ["My Answer:", "My Conclusion:", "Future Outlook:"],
        "ignore_case": False,
    },
    "format:parentheses": _flag("nested_brackets"),
    "format:quote_unquote": _flag("quotes_explained"),
    "format:quotes": _flag("nested_quotes"),
    "format:sub-bullets": _flag("sub_bullets"),
    "format:thesis": _flag("italic_thesis"),
    "format:title_case": _flag("title_case"),
}
TASKS: Mapping[str, ToCheck] = {
    "custom:character_reverse": lambda _: {"contains": "elgae dlab"},
    "custom:csv_city": _table("ID Country City Year Count", 7),
    "custom:csv_quotes": _table("StudentID Subject Grade Semester Score", 3, delimiter="\t", quoted="all"),
    "custom:csv_special_character": _table("ProductID Category Brand Price Stock", 14, quoted="special"),
    "custom:date_format_list": lambda _: {"date_list": {"first_year": 1769, "last_year": 1821}},
    "custom:european_capitals_sort": lambda _: {"comma_list": CAPITALS},
    "custom:mcq_count_length": lambda _: {"question_list": {"questions": 4, "options": 5}},
    "custom:multiples": lambda _: {"number_list": list(range(14, 51, 7))},
    "custom:reverse_newline": lambda _: {"descending_lines": {"begins": "Zimbabwe", "at_least": 52}},
    "custom:sentence_alphabet": _flag("sentence_alphabet"),
    "custom:word_reverse": lambda _: {"reversed_words": "bald eagle"},
    "repeat:repeat_change": lambda given: {"repeats_but_first": given["prompt_to_repeat"]},
    "repeat:repeat_simple": lambda _: {"says_only": ONLY_THIS},
    "repeat:repeat_span": _span,
}

IFBENCH = Benchmark("IFBench", {**COUNTS, **WORDS, **FORMATS, **TASKS})


def ifbench_checks(
    instruction_id_list: Sequence[str], kwargs: Sequence[Mapping[str, Any]], prompt: str
) -> list[dict[str, Any]]:
    """Return one check of the catalog per instruction of an IFBench row.

    Args:
        instruction_id_list: Instruction ids.
        kwargs: Arguments per instruction; None means left out.
        prompt: The row's prompt, which messages quote.

    Raises:
        InputError: an instruction is unknown, or an argument is missing or cannot be used; all faults at once.
    """
    return IFBENCH.to_checks(instruction_id_list, kwargs, f"IFBench prompt {prompt[:40]!r}")


def judge_ifbench(row: Row, response: str) -> dict[str, list[bool]]:
    """Return `{"strict": flags, "loose": flags}` of one answer to an IFBench row. Raises InputError for a bad row."""
    return IFBENCH.judge(row, response)
