"""One generation in progress: what it has said so far, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sfteval.engine.sampling import Chooser
from sfteval.engine.stops import StopFinder
from sfteval.records import FinishReason, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sfteval.engine.figures import ModelLimits
    from sfteval.engine.intake import GenerateJob
    from sfteval.engine.trie import Tokens
    from sfteval.engine.trunks import Trunk


LOOK_TOKENS = 4


@dataclass(slots=True)
class Row:
    """A generation in progress.

    Attributes:
        job: What was asked.
        chooser: Picks the next token.
        stop: Finds stop strings.
        decode: Ids to text, special tokens left out.
        end_of_turn: Ids that end it.
        stop_ids: Special tokens that are stop strings; text does not show them.
        output: Tokens generated so far, the end-of-turn token included.
        trunk: What it shares with other prompts; its keys and values are held once.
        solo: Its logits were not finite in a packed prefill; it is prefilled alone next time.
        voice: PEFT's name of its adapter, where models share the batch; "" where there is one model.
    """

    job: GenerateJob
    chooser: Chooser
    stop: StopFinder
    decode: Callable[[Sequence[int]], str]
    end_of_turn: frozenset[int]
    stop_ids: frozenset[int] = frozenset()
    output: list[int] = field(default_factory=list)
    solo: bool = False
    voice: str = ""
    trunk: Trunk | None = None

    @classmethod
    def of(cls, job: GenerateJob, decode: Callable[[Sequence[int]], str], limits: ModelLimits, voice: str = "") -> Row:
        """Begin a generation."""
        settings = job.request.generation
        chooser = Chooser.of(settings, job.request.seed, job.prompt, limits.end_of_turn)
        stop = StopFinder(settings.stop, decode, settings.min_tokens)
        stop_ids = frozenset(limits.special[text] for text in settings.stop if text in limits.special)
        return cls(job, chooser, stop, decode, limits.end_of_turn, stop_ids, voice=voice)

    @property
    def length(self) -> int:
        """Tokens of prompt and output."""
        return len(self.job.prompt) + len(self.output)

    @property
    def own(self) -> int:
        """Tokens of prompt and output below the trunk."""
        return self.length - (self.trunk.length if self.trunk else 0)

    def tokens(self) -> Tokens:
        """Return prompt and output, whose keys and values a prefill must make."""
        return np.concatenate([self.job.prompt, np.asarray(self.output, dtype=np.int64)])

    def restart(self) -> None:
        """Begin again, sampling as the first time."""
        self.chooser = Chooser.of(self.job.request.generation, self.job.request.seed, self.job.prompt, self.end_of_turn)
        self.output.clear()

    def take(self, token: int) -> Response | None:
        """Add a token; return the response if the generation has ended."""
        self.output.append(token)
        if token in self.end_of_turn:
            return self._response(self.decode(self.output[:-1]), FinishReason.END_TURN)
        if token in self.stop_ids and len(self.output) > self.job.request.generation.min_tokens:
            return self._response(self.decode(self.output[:-1]), FinishReason.STOP)
        text = self.stop.cut(self.output)
        if text is not None:
            return self._response(text, FinishReason.STOP)
        text = self._lost()
        if text is not None:
            return self._response(text, FinishReason.EARLY_EXIT)
        if len(self.output) >= self.job.request.generation.max_tokens:
            return self._response(self.decode(self.output), FinishReason.LENGTH)
        return None

    def _lost(self) -> str | None:
        """Return the text so far if its verdict is settled; asked every few tokens, half a character left out."""
        lost = self.job.request.lost
        if lost is None or len(self.output) % LOOK_TOKENS or len(self.output) < self.job.request.generation.min_tokens:
            return None
        text = self.decode(self.output).rstrip("\ufffd")
        return text if lost(text) else None

    def _response(self, text: str, reason: FinishReason) -> Response:
        return Response(
            self.job.request.key,
            text=text,
            finish_reason=reason,
            prompt_tokens=len(self.job.prompt),
            output_tokens=len(self.output),
            truncated=self.job.truncated,
        )
