"""The loss at labelled positions only.

Comes in: a causal language model and a micro-batch. Goes out: the summed negative log-likelihood of its labels. The
vocabulary projection is the largest single cost of a small model; prompts and padding need none of it. The model's own
forward runs, so that scaled or soft-capped heads stay right: a hook hands its output layer fewer positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

from sfteval.train.masks import IGNORED

if TYPE_CHECKING:
    from sfteval.train.batches import Micro


def label_nll(model: Any, micro: Micro) -> torch.Tensor:
    """Return the sum of negative log-likelihoods over the labels, in nats, weighted where weights are given.

    A scalar with a graph.
    """
    labels = micro["labels"][:, 1:]
    chosen = labels != IGNORED
    length = labels.shape[1] + 1
    head = model.get_output_embeddings()

    def keep_chosen(module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        # The last `length` positions: prompt-learning methods put their own in front.
        hidden = arguments[0][:, -length:][:, :-1]
        return (hidden[chosen], *arguments[1:])

    handle = head.register_forward_pre_hook(keep_chosen)
    try:
        inputs = {name: value for name, value in micro.items() if name not in ("labels", "weights")}
        logits = model(**inputs, use_cache=False).logits
    finally:
        handle.remove()
    if "weights" in micro:
        each = cross_entropy(logits.float(), labels[chosen], reduction="none")
        return (each * micro["weights"][:, 1:][chosen]).sum()
    return cross_entropy(logits.float(), labels[chosen], reduction="sum")
