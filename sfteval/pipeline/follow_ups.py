"""What checks ask once a model has answered: of the model again, of base, of a judge.

Comes in: a suite's items and what was asked so far. Goes out: round by round the requests to each model, and at the end
the samples. A question that cannot be put (no base, a control token in an answer that a judge must read) leaves its
sample errored with the reason; it is never a wrong answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.errors import InputError
from sfteval.keys import model_fingerprint
from sfteval.pipeline.grading import failed_response, known_responses, sample_of
from sfteval.records import ITSELF, BackendFailure
from sfteval.requests import asked_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sfteval.pipeline.others import Others
    from sfteval.pipeline.planning import Grader
    from sfteval.protocols import Backend
    from sfteval.records import Inquiry, Item, Request, Response, Sample
    from sfteval.requests import Asked


class FollowUps:
    """The questions about one suite's items, as they grow."""

    def __init__(
        self,
        items: Sequence[Item],
        asked: Sequence[Sequence[Asked]],
        grader: Grader,
        others: Others | None,
        repeated: Callable[[Asked], Asked] | None = None,
    ) -> None:
        """Take the items with what was asked so far, one sequence per item; `repeated` gives new seeds."""
        self._items = items
        self._asked = [list(many) for many in asked]
        self._grader = grader
        self._others = others
        self._repeated = repeated
        self._failures: dict[int, BackendFailure] = {}

    def wanted(self, answers: Mapping[str, Response], itself: Backend) -> list[tuple[Backend, list[Request]]]:
        """Return what each model must be asked now, [] when all is known. Raises ModelError for an unusable judge."""
        found: dict[int, tuple[Backend, list[Request]]] = {}
        for index, item in enumerate(self._items):
            known = known_responses(self._asked[index], answers)
            if index in self._failures or failed_response(known) is not None:
                continue
            for inquiry in self._grader.follow_ups(item, known):
                backend = self._whom(inquiry, itself)
                asked = self._put(inquiry, item, backend)
                if isinstance(asked, BackendFailure):
                    self._failures[index] = asked
                    break
                assert not isinstance(backend, BackendFailure)
                self._asked[index].append(asked)
                found.setdefault(id(backend), (backend, []))[1].extend(asked.requests)
        return list(found.values())

    def samples(self, answers: Mapping[str, Response]) -> list[Sample]:
        """Return the sample of each item."""
        rows = enumerate(zip(self._items, self._asked, strict=True))
        return [
            sample_of(item, asked, answers, self._grader, self._failures.get(index)) for index, (item, asked) in rows
        ]

    def _whom(self, inquiry: Inquiry, itself: Backend) -> Backend | BackendFailure:
        if inquiry.of == ITSELF:
            return itself
        if self._others is None:
            return BackendFailure("nobody_to_ask", f"a check asks {inquiry.of}, and only one model is at hand")
        return self._others.find(inquiry.of, self._grader.folder)

    def _put(self, inquiry: Inquiry, item: Item, backend: Backend | BackendFailure) -> Asked | BackendFailure:
        if isinstance(backend, BackendFailure):
            return backend
        try:
            asked = asked_of(inquiry.ask, item, backend.text, model_fingerprint(backend.identity), inquiry.of)
        except InputError as error:
            return BackendFailure("cannot_be_asked", str(error))
        return asked if self._repeated is None else self._repeated(asked)
