"""At which steps a watched training is looked at.

Comes in: how long the training is, what a look costs. Goes out: the steps, decided before step 1 and equal each time:
costs are counted in tokens and never in seconds. The last step is always looked at.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sfteval.records import Sample

# Cost of a token against one token's forward pass in a batch: a training token needs a backward pass of twice the work,
# a generated one rereads the weights for few rows.
TRAINED, GENERATED = 3.0, 3.0


def look_cost(samples: Iterable[Sample]) -> float:
    """Return what answering these samples costs, in forward tokens (from base's own answers)."""
    return sum(sample.prompt_tokens + GENERATED * sample.output_tokens for sample in samples)


def looks(total: int, every: int | None, share: float, cost: float, step_tokens: float) -> tuple[int, ...]:
    """Return the steps that are looked at, ascending, the last one among them.

    Args:
        total: Optimiser steps of the training.
        every: Steps between looks; None lets `share` decide.
        share: Share of all work (training and looks together) that looks may take.
        cost: Of one look, in forward tokens.
        step_tokens: Tokens that one optimiser step trains on, on average.
    """
    if every is None:
        work = TRAINED * max(step_tokens, 1.0)
        every = max(1, math.ceil(cost * (1 - share) / (share * work)))
    return tuple(dict.fromkeys([*range(every, total + 1, every), total]))
