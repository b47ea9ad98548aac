"""Next-token logits in, chosen tokens out: processors, greedy choice, and sampling from each row's own seed.

The processors and their order are those of transformers 5.23 `generation/logits_process.py`: repetition penalty,
minimum length, temperature, top-k, top-p. Sampling inverts the cumulative distribution, in order of token ids and in
float64, at one uniform number per token from the row's own stream; so it depends on no batch and no library's kernel.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.engine.figures import Tally
    from sfteval.engine.trie import Tokens
    from sfteval.records import Generation

NEAR_TIE = 1e-4
# Top-p first looks at this many of the most likely tokens; only a flatter distribution is sorted whole.
NUCLEUS_GUESS = 1024
# Below it the most likely token has all the mass; smaller divisors would overflow float32 and leave no distribution.
LEAST_TEMPERATURE = 1e-6


@dataclass(slots=True)
class Chooser:
    """Chooses one row's next tokens.

    Attributes:
        generation: The row's settings.
        end_of_turn: Ids that may not come before `min_tokens`.
        seen: Distinct ids of prompt and output; kept only under a repetition penalty.
    """

    generation: Generation
    end_of_turn: torch.Tensor
    seen: torch.Tensor | None
    stream: random.Random = field(repr=False)

    @classmethod
    def of(cls, generation: Generation, seed: int, prompt: Tokens, end_of_turn: frozenset[int]) -> Chooser:
        """Make the chooser of one row."""
        penalised = generation.repetition_penalty != 1.0
        seen = torch.from_numpy(np.unique(prompt)) if penalised else None
        # A text seed is hashed, so that neighbouring and negative seeds give unrelated streams.
        return cls(generation, torch.tensor(sorted(end_of_turn), dtype=torch.long), seen, random.Random(f"seed {seed}"))

    @property
    def plain(self) -> bool:
        """True when the arg max of untouched logits is the answer from `min_tokens` on."""
        return self.generation.temperature == 0 and self.seen is None

    def choose(self, logits: torch.Tensor, generated: int, tally: Tally) -> int:
        """Return the next token.

        Args:
            logits: float32, [vocabulary]; not changed.
            generated: Tokens generated so far.
            tally: Where near ties of greedy steps are counted.
        """
        scores = self._processed(logits, generated)
        token = self._sampled(scores) if self.generation.temperature else _greedy(scores, tally)
        if self.seen is not None and not bool((self.seen == token).any()):
            self.seen = torch.cat([self.seen, torch.tensor([token])])
        return token

    def _processed(self, logits: torch.Tensor, generated: int) -> torch.Tensor:
        early = generated < self.generation.min_tokens and len(self.end_of_turn)
        if self.seen is None and not early:
            return logits
        scores = logits.clone()
        if self.seen is not None:
            seen = self.seen.to(scores.device)
            held, penalty = scores[seen], self.generation.repetition_penalty
            scores[seen] = torch.where(held < 0, held * penalty, held / penalty)
        if early:
            scores[self.end_of_turn.to(scores.device)] = float("-inf")
        return scores

    def _sampled(self, scores: torch.Tensor) -> int:
        scores = scores / max(self.generation.temperature, LEAST_TEMPERATURE)
        if self.generation.top_k:
            least = scores.topk(min(self.generation.top_k, len(scores))).values[-1]
            scores = scores.masked_fill(scores < least, float("-inf"))
        if self.generation.top_p < 1:
            scores = scores.masked_fill(scores < _nucleus_floor(scores, self.generation.top_p), float("-inf"))
        weights = (scores - scores.max()).double().cpu().exp()
        cumulative = weights.cumsum(0).numpy()
        place = int(np.searchsorted(cumulative, self.stream.random() * cumulative[-1], side="right"))
        return min(place, int(np.flatnonzero(weights.numpy())[-1]))


def sound_rows(logits: torch.Tensor) -> list[bool]:
    """Say which rows of logits [rows, vocabulary] hold a finite maximum: no NaN, no +inf, not all −inf."""
    return [bool(finite) for finite in torch.isfinite(logits.amax(-1)).tolist()]


def choose(
    choosers: Sequence[Chooser], logits: torch.Tensor, generated: Sequence[int], tally: Tally, sound: Sequence[bool]
) -> list[int | None]:
    """Return the next token of every row, None for rows that are not sound; logits are [rows, vocabulary]."""
    top, places = (found.cpu() for found in logits.topk(min(2, logits.shape[1]), dim=-1))
    best: list[int] = places[:, 0].tolist()
    tokens: list[int | None] = []
    for row, chooser in enumerate(choosers):
        if not sound[row]:
            tokens.append(None)
        elif chooser.plain and generated[row] >= chooser.generation.min_tokens:
            gap = float(top[row, 0] - top[row, -1]) if top.shape[1] > 1 else 1.0
            tally.near_ties += gap < NEAR_TIE
            # Of equal logits `argmax` takes the first; the order of `topk` is not said.
            tokens.append(best[row] if gap else int(logits[row].argmax()))
        else:
            tokens.append(chooser.choose(logits[row], generated[row], tally))
    return tokens


def _greedy(scores: torch.Tensor, tally: Tally) -> int:
    top = scores.topk(min(2, len(scores))).values
    tally.near_ties += bool(len(top) > 1 and top[0] - top[1] < NEAR_TIE)
    return int(scores.argmax())


def _nucleus_floor(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """Return the lowest score inside the smallest set of most likely tokens whose probability reaches `top_p`."""
    shares = scores.softmax(-1)
    places = scores.topk(min(NUCLEUS_GUESS, len(scores))).indices
    reached = shares[places].cumsum(0)
    if reached[-1] < top_p and len(places) < len(scores):
        places = scores.argsort(descending=True)
        reached = shares[places].cumsum(0)
    return scores[places[min(int((reached < top_p).sum()), len(places) - 1)]]
