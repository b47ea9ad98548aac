"""Answers to scores: a table of check kinds, bound to a suite's `checks:` block. Rank 2; no model, no network."""

from sfteval.checks.answer import Answer, Outcome
from sfteval.checks.binding import bind
from sfteval.checks.catalog import CHECK_TABLE
from sfteval.checks.kinds import CheckFault, CheckKind
from sfteval.checks.table import Table

__all__ = ["CHECK_TABLE", "Answer", "CheckFault", "CheckKind", "Outcome", "Table", "bind"]
