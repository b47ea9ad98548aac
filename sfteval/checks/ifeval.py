"""IFEval (Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models") by our own checks.

Comes in: rows of its `input_data.jsonl`, answers. Goes out: checks that a suite can take, and the published strict and
loose flags. Reference: google-research `instruction_following_eval` (read in josejg/instruction_following_eval
@ 0c495b2f). Two flags (keys 1122, 1129) are random there and are not here: see `ifeval_words`. Instruction ids may
carry M-IFEval's prefix `en:`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.checks.instruction_rows import Benchmark, Row, ToCheck

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANSWERS = ["My answer is yes.", "My answer is no.", "My answer is maybe."]
RELATIONS = {"at least": "at_least", "less than": "less_than"}


def _relation(given: Mapping[str, Any], relation: str, count: str) -> dict[str, Any]:
    wanted = given[relation]
    if wanted not in RELATIONS:
        msg = f"{relation} {wanted!r}, expected 'at least' or 'less than'"
        raise ValueError(msg)
    return {RELATIONS[wanted]: given[count]}


def _paragraph_start(given: Mapping[str, Any]) -> dict[str, Any]:
    spec = {"paragraphs": given["num_paragraphs"], "nth": given["nth_paragraph"], "word": given["first_word"]}
    return {"paragraph_start": spec}


CHECKS: Mapping[str, ToCheck] = {
    "keywords:existence": lambda given: {"contains": given["keywords"]},
    "keywords:frequency": lambda given: {
        "keyword_count": {"word": given["keyword"], **_relation(given, "relation", "frequency")}
    },
    "keywords:forbidden_words": lambda given: {"contains_none": given["forbidden_words"], "whole_words": True},
    "keywords:letter_frequency": lambda given: {
        "letter_count": {"letter": given["letter"], **_relation(given, "let_relation", "let_frequency")}
    },
    "language:response_language": lambda given: {"language": given["language"]},
    "length_constraints:number_sentences": lambda given: {
        "sentence_count": _relation(given, "relation", "num_sentences")
    },
    "length_constraints:number_paragraphs": lambda given: {"divided_paragraphs": given["num_paragraphs"]},
    "length_constraints:number_words": lambda given: {"word_count": _relation(given, "relation", "num_words")},
    "length_constraints:nth_paragraph_first_word": _paragraph_start,
    "detectable_content:number_placeholders": lambda given: {"placeholders": given["num_placeholders"]},
    "detectable_content:postscript": lambda given: {"postscript": given["postscript_marker"]},
    "detectable_format:number_bullet_lists": lambda given: {"markdown_bullets": given["num_bullets"]},
    "detectable_format:constrained_response": lambda _: {"contains_any": ANSWERS, "ignore_case": False},
    "detectable_format:number_highlighted_sections": lambda given: {"highlights": given["num_highlights"]},
    "detectable_format:multiple_sections": lambda given: {
        "sections": {"word": given["section_spliter"], "at_least": given["num_sections"]}
    },
    "detectable_format:json_format": lambda _: {"json_output": True},
    "detectable_format:title": lambda _: {"angle_title": True},
    "combination:two_responses": lambda _: {"two_answers": True},
    "combination:repeat_prompt": lambda given: {"starts_with": given["prompt_to_repeat"].strip()},
    "startend:end_checker": lambda given: {"final_phrase": given["end_phrase"]},
    "startend:quotation": lambda _: {"in_double_quotes": True},
    "change_case:capital_word_frequency": lambda given: {
        "capital_words": _relation(given, "capital_relation", "capital_frequency")
    },
    "change_case:english_capital": lambda _: {"english_capitals": True},
    "change_case:english_lowercase": lambda _: {"english_lowercase": True},
    "punctuation:no_comma": lambda _: {"contains_none": ","},
}

IFEVAL = Benchmark("IFEval", CHECKS)


def ifeval_checks(
    instruction_id_list: Sequence[str], kwargs: Sequence[Mapping[str, Any]], prompt: str
) -> list[dict[str, Any]]:
    """Return one check of the catalog per instruction of an IFEval row.

    Args:
        instruction_id_list: Instruction ids, with or without the prefix `en:`.
        kwargs: Arguments per instruction; None means left out.
        prompt: The row's prompt, which messages quote.

    Raises:
        InputError: an instruction is unknown, or an argument is missing or cannot be used; all faults at once.
    """
    return IFEVAL.to_checks(_plain(instruction_id_list), kwargs, f"IFEval prompt {prompt[:40]!r}")


def judge_ifeval(row: Row, response: str) -> dict[str, list[bool]]:
    """Return `{"strict": flags, "loose": flags}` of one answer to an IFEval row. Raises InputError for a bad row."""
    ids = row.get("instruction_id_list")
    return IFEVAL.judge(row if ids is None else {**row, "instruction_id_list": _plain(ids)}, response)


def _plain(ids: Sequence[str]) -> list[str]:
    return [name.removeprefix("en:") for name in ids]
