"""What checks ask of models: scores, further answers, a judge's opinion. They emit asks and never call an engine.

Comes in: a suite's `checks:` block. Goes out: the asks of a sample that are known beforehand, those that follow from
what came back, and the readings of responses that judges of kinds share. Asks are plain records; whoever joins the
stages has them answered and hands the responses over in `Answer.responses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.checks.catalog import CHECK_TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sfteval.checks.answer import Answer
    from sfteval.checks.table import Table
    from sfteval.records import Ask, Inquiry


class Asking:
    """All questions of one suite's checks.

    Attributes:
        reads_answer: Whether any check reads the model's own answer to the sample.
    """

    def __init__(self, checks: Mapping[str, Mapping[str, Any]], *, table: Table = CHECK_TABLE) -> None:
        """Read the block, which `sfteval.spec` has accepted."""
        self._params = [table.read(check)[1] for check in checks.values()]
        self.reads_answer = any(params.reads_answer() for params in self._params)

    def asks(self, answer: Answer) -> tuple[Ask, ...]:
        """Return what the model is asked beside the sample, each ask once."""
        return tuple(dict.fromkeys(ask for params in self._params for ask in params.asks(answer)))

    def follow_ups(self, answer: Answer) -> tuple[Inquiry, ...]:
        """Return what is still to be asked, each inquiry once; () when everything is known."""
        wanted = dict.fromkeys(one for params in self._params for one in params.follow_ups(answer))
        return tuple(one for one in wanted if one not in answer.responses)
