"""Several models asked at once: those on one base generate in one batch, each row under its own adapter.

Comes in: what each backend is asked. Goes out: each one's responses, to its own receiver. Where PEFT cannot mix the
adapters (DoRA, other methods, trained heads), or mixing changes logits, and for scores (whose packed rows have one
voice), the models answer one after the other, the adapter switched.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sfteval.backends.local import LocalBackend
from sfteval.engine.figures import BASE_VOICE
from sfteval.records import Generate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.backends.weights import Held
    from sfteval.protocols import Backend, OnBatch
    from sfteval.records import Request


@dataclass(frozen=True, slots=True)
class Question:
    """What one model is asked, and who receives its responses."""

    backend: Backend
    requests: Sequence[Request]
    on_batch: OnBatch

    @property
    def generations(self) -> list[Generate]:
        """The requests that are generations."""
        return [request for request in self.requests if isinstance(request, Generate)]


def respond_together(questions: Sequence[Question]) -> None:
    """Let every model answer what it is asked. Raises as `Backend.respond`."""
    for question in _generated(questions):
        if question.requests:
            question.backend.respond(question.requests, question.on_batch)


def _generated(questions: Sequence[Question]) -> Sequence[Question]:
    """Answer generations in shared batches where that is exact; return what is still to be answered."""
    speaking = [question for question in questions if question.generations]
    local = [one.backend for one in speaking if isinstance(one.backend, LocalBackend)]
    models = {one.identity: (one.reference, one.identity) for one in local}
    if (
        len(local) < len(speaking)
        or len(models) < 2
        or len(local) > len(models)
        or len({id(b.weights) for b in local}) > 1
    ):
        return questions
    with local[0].weights.together(list(models.values())) as held:
        if held is None or not _exact(held, speaking) or not _answered(held, speaking):
            return questions
    return [replace(one, requests=[r for r in one.requests if not isinstance(r, Generate)]) for one in questions]


def _exact(held: Held, questions: Sequence[Question]) -> bool:
    """Say whether these models' rows may share a batch; tried once, with one warning where logits differ."""
    from sfteval.engine.voices import TOLERANCE, mixed_difference, why_not_mixed

    voices = tuple(sorted(held.voice(one.backend.identity) for one in questions))
    if voices not in held.mixes:
        held.mixes[voices] = False
        if not why_not_mixed(held.adapted):
            difference = mixed_difference(held.adapted, voices, held.speaking)
            held.mixes[voices] = difference <= TOLERANCE
            if not held.mixes[voices]:
                said = f"a batch that mixes adapters changes logits by {difference:.1e} of their spread"
                warnings.warn(f"{said}; the models answer one after the other", RuntimeWarning, stacklevel=4)
    return held.mixes[voices]


def _answered(held: Held, questions: Sequence[Question]) -> bool:
    from sfteval.engine.together import Part, generate_together

    parts = []
    for one in questions:
        backend = one.backend
        assert isinstance(backend, LocalBackend)
        voice = held.voice(backend.identity)
        engine = backend.engine_on(held.base if voice == BASE_VOICE else held.adapted)
        parts.append(Part(engine, voice, one.generations, one.on_batch))
    stats = generate_together(held.adapted, parts, held.speaking)
    for one in questions:
        if stats is not None and isinstance(one.backend, LocalBackend):
            one.backend.stats = stats
    return stats is not None
