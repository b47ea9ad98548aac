"""Rows in, responses out through `model.generate`, for models that the prefix tree cannot run.

Batches hold prompts of one length, so nothing is padded (recurrent layers would see it), and the model keeps whatever
cache it wants. Every token is still chosen by the row's own chooser: a logits processor leaves it the only candidate,
and what the checkpoint's generation_config recommends (a repetition penalty, suppressed tokens) is switched off.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sfteval.engine.intake import failed
from sfteval.engine.memory import Budget, ran_out
from sfteval.engine.plain import forget_lengths, input_device
from sfteval.engine.sampling import choose, sound_rows
from sfteval.engine.wiring import causal_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sfteval.engine.figures import Tally
    from sfteval.engine.nonfinite import Suspects
    from sfteval.engine.rows import Row
    from sfteval.records import Response

MAX_ROWS = 32


class PlainGenerator:
    """Generates with the model's own `generate`, one prompt length per batch.

    Args:
        model: The outermost model.
        pad: Id that stands for rows that have ended.
        same_length: Position scaling depends on lengths, and remembers them.
        budget: Prompt tokens per batch.
        tally: Where work is counted.
        suspects: Names the broken layer where logits are not finite.
    """

    def __init__(
        self, model: Any, pad: int, same_length: bool, budget: Budget, tally: Tally, suspects: Suspects
    ) -> None:
        self._model, self._pad, self._same_length = model, pad, same_length
        self._budget, self._tally, self._suspects = budget, tally, suspects
        self._most = MAX_ROWS

    def generate(self, rows: Sequence[Row], emit: Callable[[Sequence[Response]], None]) -> None:
        """Answer every row."""
        ordered = sorted(rows, key=lambda row: (-len(row.job.prompt), row.job.request.generation.max_tokens))
        for _, members in groupby(ordered, key=lambda row: len(row.job.prompt)):
            waiting = list(members)
            while waiting:
                size = max(1, min(self._most, self._budget.tokens // len(waiting[0].job.prompt)))
                try:
                    emit(self._batch(waiting[:size]))
                except (RuntimeError, MemoryError) as error:
                    if not ran_out(error):
                        raise
                    for row in waiting[:size]:
                        row.restart()
                    if size > 1:
                        self._budget.halve()
                        self._most = size // 2
                        continue
                    message = "memory ran out on one generation alone; use a smaller model or a larger machine"
                    emit([failed(row.job.request.key, "out_of_memory", message) for row in waiting[:size]])
                del waiting[:size]

    def _batch(self, rows: Sequence[Row]) -> list[Response]:
        steering = _Steering(rows, self._tally, self._suspects)
        prompts = torch.from_numpy(np.stack([row.job.prompt for row in rows])).to(input_device(self._model))
        if self._same_length:
            forget_lengths(self._model, self._pad)
        with warnings.catch_warnings():
            # PEFT warns of position ids that transformers itself puts in, and drops them rightly.
            warnings.filterwarnings("ignore", "Position ids are not supported", UserWarning)
            with _recommendations_off(causal_model(self._model)):
                self._generate(prompts, rows, steering)
        self._tally.tokens_forwarded += prompts.numel() + len(rows) * max(0, steering.steps - 1)
        self._tally.tokens_distinct += prompts.numel() + sum(max(0, len(row.output) - 1) for row in rows)
        self._tally.rows_projected += len(rows) * steering.steps
        self._tally.batches += steering.steps
        return [response for response in steering.responses if response is not None]

    def _generate(self, prompts: torch.Tensor, rows: Sequence[Row], steering: _Steering) -> None:
        self._model.generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            num_beams=1,
            max_new_tokens=max(row.job.request.generation.max_tokens for row in rows),
            eos_token_id=None,
            pad_token_id=self._pad,
            logits_processor=[steering.choose],
            stopping_criteria=[steering.finished],
            use_cache=True,
        )


@contextmanager
def _recommendations_off(model: Any) -> Iterator[None]:
    """Let `generate` take no setting from the checkpoint: it fills in what its arguments leave open."""
    from transformers import GenerationConfig

    before = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = before


class _Steering:
    """Chooses tokens inside `model.generate`, and says which rows have ended."""

    def __init__(self, rows: Sequence[Row], tally: Tally, suspects: Suspects) -> None:
        self._rows, self._tally, self._suspects = rows, tally, suspects
        self.responses: list[Response | None] = [None] * len(rows)
        self.steps = 0

    def choose(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Leave each row only the token that its chooser picks."""
        self.steps += 1
        open_rows = [i for i, response in enumerate(self.responses) if response is None]
        logits = scores[open_rows].float()
        sound = sound_rows(logits)
        rows = [self._rows[i] for i in open_rows]
        tokens = choose([row.chooser for row in rows], logits, [len(row.output) for row in rows], self._tally, sound)
        forced = torch.zeros(len(scores), dtype=torch.long)
        for i, row, token in zip(open_rows, rows, tokens, strict=True):
            if token is None:
                self.responses[i] = self._suspects.check(row.job.request.key, row.tokens())
                continue
            self._tally.tokens_generated += 1
            forced[i] = token
            self.responses[i] = row.take(token)
        only = torch.full_like(scores, float("-inf"))
        only[torch.arange(len(scores)), forced.to(scores.device)] = 0.0
        return only

    def finished(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Return which rows have ended, [rows]."""
        return torch.tensor([r is not None for r in self.responses], device=input_ids.device)
