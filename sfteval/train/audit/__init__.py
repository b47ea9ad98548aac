"""The data audit: what is in the rows that a training would learn from, and whether it is put up with."""

from sfteval.train.audit.auditor import Auditor
from sfteval.train.audit.budgets import budget_lines, require, warnings_of
from sfteval.train.audit.overlap import Protected, ProtectedSample
from sfteval.train.audit.shown import pieces_of

__all__ = ["Auditor", "Protected", "ProtectedSample", "budget_lines", "pieces_of", "require", "warnings_of"]
