"""Answers to scores: a table of check kinds, bound to a suite's `checks:` block. Rank 2; no model, no network."""

from sfteval.checks.answer import Answer, Outcome
from sfteval.checks.asking import Asking
from sfteval.checks.binding import bind, bind_repeats
from sfteval.checks.catalog import CHECK_TABLE
from sfteval.checks.ifbench import judge_ifbench
from sfteval.checks.ifeval import judge_ifeval
from sfteval.checks.instruction_rows import summarise
from sfteval.checks.judge import JudgeAgainstBase, JudgeByRubric
from sfteval.checks.kinds import CheckFault, CheckKind
from sfteval.checks.own import load_entry_points
from sfteval.checks.settled import early_exit
from sfteval.checks.symptoms import symptoms_of
from sfteval.checks.table import Table

__all__ = [
    "CHECK_TABLE",
    "Answer",
    "Asking",
    "CheckFault",
    "CheckKind",
    "JudgeAgainstBase",
    "JudgeByRubric",
    "Outcome",
    "Table",
    "bind",
    "bind_repeats",
    "early_exit",
    "judge_ifbench",
    "judge_ifeval",
    "load_entry_points",
    "summarise",
    "symptoms_of",
]
