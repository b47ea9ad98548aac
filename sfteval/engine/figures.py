"""What the engine must know of a model, and what it counted: plain figures, no torch.

Comes in: limits from the tokenizer and configuration. Goes out: `EngineStats` of one `Engine.run`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE_VOICE = "__base__"
"""PEFT's name for no adapter, where rows of one batch name theirs."""


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What the engine must know of the model beside its weights.

    Attributes:
        vocabulary: Ids at or above are refused (the embedding's rows bound it too).
        max_length: Longest sequence in tokens; longer requests are cut from the left.
        end_of_turn: Ids that end a generation.
        pad: Any valid id, used where a batch must be filled up; its results are never read.
        special: Ids of the tokens that decoding leaves out, by their text: a stop string that is one is found by its
            id.
    """

    vocabulary: int
    max_length: int
    end_of_turn: frozenset[int] = frozenset()
    pad: int = 0
    special: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What one run computed.

    Attributes:
        requests: Requests answered, failures included.
        failures: Of these, answered with a `BackendFailure`.
        truncated: Requests that were cut from the left.
        tokens_forwarded: Tokens sent through the model's body (padding of the fallback counted), without the probe's
            and the rows that fill a decoding step up.
        tokens_distinct: Distinct (prefix, token) pairs of the scored sequences and prompts, plus tokens fed back while
            generating.
        tokens_generated: Tokens generated, end-of-turn tokens counted.
        rows_projected: Rows sent through the vocabulary head.
        batches: Forward passes.
        halvings: Times the token budget was halved for want of memory.
        token_budget: Tokens per forward pass at the end.
        near_ties: Greedy steps whose two best logits lay within 1e-4.
        fallback: Why plain batching was used instead of the prefix tree; "" if it was not.
    """

    requests: int = 0
    failures: int = 0
    truncated: int = 0
    tokens_forwarded: int = 0
    tokens_distinct: int = 0
    tokens_generated: int = 0
    rows_projected: int = 0
    batches: int = 0
    halvings: int = 0
    token_budget: int = 0
    near_ties: int = 0
    fallback: str = ""


@dataclass(slots=True)
class Tally:
    """The running counts behind `EngineStats`; same names, same meaning."""

    requests: int = 0
    failures: int = 0
    truncated: int = 0
    tokens_forwarded: int = 0
    tokens_distinct: int = 0
    tokens_generated: int = 0
    rows_projected: int = 0
    batches: int = 0
    halvings: int = 0
    token_budget: int = 0
    near_ties: int = 0
    fallback: str = ""

    def stats(self) -> EngineStats:
        """Freeze the counts."""
        return EngineStats(**{each.name: getattr(self, each.name) for each in fields(self)})
