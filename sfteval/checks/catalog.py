"""The catalog: every kind of check that ships, by theme.

Comes in: the themes' kinds. Goes out: `CHECK_TABLE`. A new theme is one more line here.
"""

from __future__ import annotations

from sfteval.checks import (
    code_answers,
    combinations,
    conversation,
    documents,
    hygiene,
    ifbench_counts,
    ifbench_format,
    ifbench_sentences,
    ifbench_tasks,
    ifbench_words,
    ifeval_format,
    ifeval_words,
    json_answers,
    judge,
    keeping,
    lengths,
    likelihood,
    overfitting,
    overlap,
    phrases,
    reference,
    repeats,
    style,
    tool_calls,
    turns,
)
from sfteval.checks.table import Table

CHECK_TABLE = Table(
    (
        *json_answers.KINDS,
        *documents.KINDS,
        *code_answers.KINDS,
        *tool_calls.KINDS,
        *lengths.KINDS,
        *phrases.KINDS,
        *reference.KINDS,
        *likelihood.KINDS,
        *overlap.KINDS,
        *keeping.KINDS,
        *overfitting.KINDS,
        *judge.KINDS,
        *hygiene.KINDS,
        *conversation.KINDS,
        *style.KINDS,
        *ifeval_words.KINDS,
        *ifeval_format.KINDS,
        *ifbench_counts.KINDS,
        *ifbench_words.KINDS,
        *ifbench_sentences.KINDS,
        *ifbench_format.KINDS,
        *ifbench_tasks.KINDS,
        *combinations.KINDS,
        *repeats.KINDS,
        *turns.KINDS,
    )
)
