"""`Engine.run`: requests in, responses out in batches; the story of an evaluation on one model.

Refuse what cannot be answered, probe the model once, score over the prefix tree (or plainly), generate, count.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from sfteval.engine.figures import EngineStats, ModelLimits, Tally
from sfteval.engine.generating import Generator
from sfteval.engine.intake import Job, ScoreJob, accept
from sfteval.engine.memory import DEFAULT_TOKENS, Budget, kv_room
from sfteval.engine.nonfinite import Suspects
from sfteval.engine.plain import PlainScorer, input_device
from sfteval.engine.plain_generation import PlainGenerator
from sfteval.engine.probe import Verdict, length_dependent_rope, probe
from sfteval.engine.rows import Row
from sfteval.engine.scoring import TreeScorer
from sfteval.engine.wiring import active_adapters, causal_model, has_virtual_tokens
from sfteval.errors import EngineError
from sfteval.records import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sfteval.records import Generate, Request

FLUSH_RESPONSES = 64
FLUSH_SECONDS = 5.0


class Engine:
    """Answers requests on one transformers causal LM, computing no token twice.

    Args:
        model: Causal LM in eval mode, on any device and of any dtype; a PEFT model's active adapters are in force.
        limits: What the tokenizer and configuration allow.
        decode: Token ids to text, special tokens left out.
        token_budget: Tokens per forward pass to begin with; None chooses by device.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        limits: ModelLimits,
        decode: Callable[[Sequence[int]], str],
        token_budget: int | None = None,
    ) -> None:
        self._model: Any = model
        self._limits = _bounded(model, limits)
        self._decode = decode
        self._tokens = token_budget
        self._verdicts: dict[tuple[bool | str, ...], Verdict] = {}

    def run(self, requests: Sequence[Request], on_batch: Callable[[Sequence[Response]], None]) -> EngineStats:
        """Answer every request once, in any order.

        Args:
            requests: Scores and generations, mixed.
            on_batch: Receives at most 64 responses at a time, as soon as they are done.

        Returns:
            What was computed.

        Raises:
            EngineError: The model is in training mode.
        """
        if self._model.training:
            msg = "the model is in training mode, so dropout would change every answer; call model.eval() first"
            raise EngineError(msg)
        tally = Tally(requests=len(requests))
        outbox = Outbox(on_batch, tally)
        jobs = self._accepted(requests, outbox)
        if jobs:
            with torch.no_grad():
                self._answer(jobs, outbox, tally)
        outbox.flush()
        return tally.stats()

    def begin(self, requests: Sequence[Generate], voice: str) -> Begun:
        """Accept generations that will share their batches with other models'; the model is switched to this one.

        Args:
            requests: What is asked.
            voice: PEFT's name of the adapter.
        """
        taken = [accept(request, self._limits) for request in requests]
        jobs = [one for one in taken if not isinstance(one, Response | ScoreJob)]
        with torch.no_grad():
            verdict = self._probed(jobs) if jobs else None
        rows = [Row.of(job, self._decode, self._limits, voice) for job in jobs]
        return Begun(rows, [one for one in taken if isinstance(one, Response)], verdict, self._tokens)

    def _accepted(self, requests: Sequence[Request], outbox: Outbox) -> list[Job]:
        taken = [accept(request, self._limits) for request in requests]
        outbox.add([one for one in taken if isinstance(one, Response)])
        return [one for one in taken if not isinstance(one, Response)]

    def _answer(self, jobs: Sequence[Job], outbox: Outbox, tally: Tally) -> None:
        budget = budget_of(self._model, self._tokens, tally)
        verdict = self._probed(jobs)
        tally.fallback = verdict.reason
        suspects = Suspects(self._model, self._limits.pad)
        scores = [job for job in jobs if isinstance(job, ScoreJob)]
        if scores:
            scorer = (
                TreeScorer(verdict.wiring, budget, tally, suspects.answer)
                if verdict.wiring
                else PlainScorer(self._model, self._limits.pad, verdict.same_length, budget, tally, suspects.answer)
            )
            scorer.score(scores, outbox.add)
        rows = [Row.of(job, self._decode, self._limits) for job in jobs if not isinstance(job, ScoreJob)]
        if rows:
            generator = (
                Generator(verdict.wiring, budget, self._kv_tokens(verdict), verdict.joinable, tally, suspects)
                if verdict.wiring
                else PlainGenerator(self._model, self._limits.pad, verdict.same_length, budget, tally, suspects)
            )
            generator.generate(rows, outbox.add)
        tally.token_budget = budget.tokens
        if tally.halvings:
            self._tokens = budget.tokens

    def _kv_tokens(self, verdict: Verdict) -> int:
        return kv_room(input_device(self._model)) // max(1, verdict.kv_bytes)

    def _probed(self, jobs: Sequence[Job]) -> Verdict:
        longest = max(map(_length, jobs))
        rope = length_dependent_rope(causal_model(self._model).config, longest)
        state: tuple[bool | str, ...] = (has_virtual_tokens(self._model), rope, *active_adapters(self._model))
        if state not in self._verdicts:
            sample = [job.tokens if isinstance(job, ScoreJob) else job.prompt for job in jobs[:8]]
            verdict = probe(self._model, sample, longest)
            if verdict.reason:
                name = type(self._model).__name__
                warnings.warn(f"{name} is run without the prefix tree: {verdict.reason}", RuntimeWarning, stacklevel=4)
            self._verdicts[state] = verdict
        return self._verdicts[state]


def _length(job: Job) -> int:
    """Return the longest sequence that a job can feed."""
    return len(job.tokens) if isinstance(job, ScoreJob) else len(job.prompt) + job.request.generation.max_tokens


def budget_of(model: Any, tokens: int | None, tally: Tally) -> Budget:
    """Return the token budget to begin with; None chooses by device."""
    return Budget(tokens or DEFAULT_TOKENS.get(input_device(model).type, 4096), tally)


@dataclass(frozen=True, slots=True)
class Begun:
    """Generations of one model, ready to run: rows, what was refused, what the probe found, the token budget."""

    rows: list[Row]
    refused: list[Response]
    verdict: Verdict | None
    tokens: int | None


class Outbox:
    """Hands responses over in batches of at most FLUSH_RESPONSES, or what there is after FLUSH_SECONDS."""

    def __init__(self, on_batch: Callable[[Sequence[Response]], None], tally: Tally) -> None:
        self._on_batch, self._tally = on_batch, tally
        self._held: list[Response] = []
        self._since = time.monotonic()

    def add(self, responses: Sequence[Response]) -> None:
        """Take responses that are done."""
        self._held.extend(responses)
        self._tally.failures += sum(one.failure is not None for one in responses)
        self._tally.truncated += sum(one.truncated > 0 for one in responses)
        while len(self._held) >= FLUSH_RESPONSES:
            self._send(FLUSH_RESPONSES)
        if self._held and time.monotonic() - self._since > FLUSH_SECONDS:
            self._send(len(self._held))

    def flush(self) -> None:
        """Hand over what is left."""
        if self._held:
            self._send(len(self._held))

    def _send(self, count: int) -> None:
        out, self._held = self._held[:count], self._held[count:]
        self._since = time.monotonic()
        self._on_batch(out)


def _bounded(model: Any, limits: ModelLimits) -> ModelLimits:
    """Bound the ids by the embedding's rows, and the length by a table of absolute positions."""
    rows = model.get_input_embeddings().weight.shape[0]
    tables = [
        module.num_embeddings
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding) and name.rpartition(".")[2] in ("wpe", "embed_positions")
    ]
    max_length = min([limits.max_length, *tables])
    ends = frozenset(end for end in limits.end_of_turn if end < rows)
    return replace(limits, vocabulary=min(limits.vocabulary, rows), max_length=max_length, end_of_turn=ends)
