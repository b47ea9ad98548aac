"""Generations of several models on one base in, responses out: one decoding batch, each row under its own adapter.

Decoding reads all weights at every step, however few rows there are, so two half-empty batches cost nearly twice what
their union does. Prefills are per model (a packed row has one voice); their keys and values never mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sfteval.engine.figures import EngineStats, Tally
from sfteval.engine.generating import Generator
from sfteval.engine.memory import kv_room
from sfteval.engine.nonfinite import Suspects
from sfteval.engine.plain import input_device
from sfteval.engine.run import Begun, Engine, Outbox, budget_of
from sfteval.engine.voices import Voices, any_adapter
from sfteval.engine.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sfteval.engine.probe import Verdict
    from sfteval.engine.voices import Speaking
    from sfteval.records import Generate, Response


@dataclass(frozen=True, slots=True)
class Part:
    """What one of the models is asked.

    Attributes:
        engine: The model's own engine: its limits, its decoding of text, its probe.
        voice: PEFT's name of its adapter, `BASE_VOICE` for none.
        requests: Generations; keys differ from the other models'.
        on_batch: Receives its responses, as in `Engine.run`.
    """

    engine: Engine
    voice: str
    requests: Sequence[Generate]
    on_batch: Callable[[Sequence[Response]], None]


def generate_together(model: Any, parts: Sequence[Part], speaking: Speaking) -> EngineStats | None:
    """Answer every request of every part in shared batches.

    Args:
        model: The PEFT model that holds all adapters; `why_not_mixed` has nothing against it.
        parts: What each model is asked; at least one voice is an adapter's.
        speaking: Switches the model to one voice.

    Returns:
        What was computed, all parts together; None, with nothing answered, where the prefix tree is wrong for a part
        or two parts share a key.
    """
    begun = []
    for part in parts:
        with speaking(part.voice):
            begun.append(part.engine.begin(part.requests, part.voice))
    verdicts = [one.verdict for one in begun if one.verdict is not None]
    keys = [key for part in parts for key in {request.key for request in part.requests}]
    if not verdicts or any(one.wiring is None for one in verdicts) or len(set(keys)) < len(keys):
        return None
    tally = Tally(requests=sum(len(part.requests) for part in parts))
    outboxes = [Outbox(part.on_batch, tally) for part in parts]
    with torch.no_grad(), speaking(any_adapter([part.voice for part in parts])):
        _run(model, begun, verdicts, outboxes, tally)
    for outbox in outboxes:
        outbox.flush()
    return tally.stats()


def _run(
    model: Any, begun: Sequence[Begun], verdicts: Sequence[Verdict], outboxes: Sequence[Outbox], tally: Tally
) -> None:
    home = {row.job.request.key: outbox for one, outbox in zip(begun, outboxes, strict=True) for row in one.rows}

    def emit(responses: Sequence[Response]) -> None:
        for response in responses:
            home[response.key].add([response])

    for one, outbox in zip(begun, outboxes, strict=True):
        outbox.add(one.refused)
    voices = Voices(model)
    budget = budget_of(model, min((one.tokens for one in begun if one.tokens), default=None), tally)
    room = kv_room(input_device(model)) // max(1, *(one.kv_bytes for one in verdicts))
    joinable = all(one.joinable for one in verdicts)
    generator = Generator(Wiring(model, voices), budget, room, joinable, tally, Suspects(model, 0))
    with voices.heard():
        generator.generate([row for one in begun for row in one.rows], emit)
    tally.token_budget = budget.tokens
