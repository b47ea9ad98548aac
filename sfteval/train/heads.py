"""The loss at labelled positions only, a few hundred of them at a time.

Comes in: a causal language model and a micro-batch. Goes out: the summed negative log-likelihood of its labels. The
vocabulary projection is the largest single cost of a small model; prompts and padding need none of it, and the logits
of a whole batch are the largest tensor of a training: here they exist for `CHUNK` positions at a time, and their
gradient is taken while they do (as in Liger kernel's fused linear cross-entropy, arXiv:2410.10989).

The model's own forward runs up to its head; a head that is more than one linear layer (adapted, scaled or soft-capped
logits), found by comparing both once per model, gets the labelled positions in one piece and keeps its own arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.functional import cross_entropy, linear, log_softmax

from sfteval.train.masks import IGNORED
from sfteval.train.packing import packed_attention

if TYPE_CHECKING:
    from sfteval.train.batches import Micro

CHUNK = 256
_plain: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def label_nll(model: Any, micro: Micro) -> torch.Tensor:
    """Return the sum of negative log-likelihoods over the labels, in nats, weighted where weights are given.

    A scalar with a graph.
    """
    labels = micro["labels"][:, 1:]
    chosen = labels != IGNORED
    weights = micro["weights"][:, 1:][chosen] if "weights" in micro else None
    head = model.get_output_embeddings()
    if not _is_plain(model, head):
        return _weighted(_logits(model, head, micro, chosen).float(), labels[chosen], weights)
    hidden = _hidden(model, head, micro, chosen)
    return _chunked(hidden, head, labels[chosen], weights)


def whole_head_nll(model: Any, micro: Micro) -> torch.Tensor:
    """Return the same sum from the model's logits at every position: what `label_nll` is checked against."""
    with packed_attention(model, micro) as inputs:
        logits = model(**inputs, use_cache=False).logits
    labels = micro["labels"][:, 1:]
    logits = logits[:, -labels.shape[1] - 1 : -1]
    chosen = labels != IGNORED
    weights = micro["weights"][:, 1:][chosen] if "weights" in micro else None
    return _weighted(logits[chosen].float(), labels[chosen], weights)


def _weighted(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    if weights is None:
        return cross_entropy(logits, labels, reduction="sum")
    return (cross_entropy(logits, labels, reduction="none") * weights).sum()


def _chunked(hidden: torch.Tensor, head: Any, labels: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    nll: torch.Tensor = _ChunkedNll.apply(hidden, head.weight, head.bias, labels, weights)  # type: ignore[no-untyped-call]
    return nll


def _is_plain(model: Any, head: Any) -> bool:
    """Tell whether logits are the head's weight times the last hidden state, and nothing else."""
    if model not in _plain:
        _plain[model] = type(head) is torch.nn.Linear and _same_logits(model, head)
    return _plain[model]


def take_as_plain(model: Any) -> None:
    """Let a linear head count as plain where no values can be compared: on tensors without storage."""
    _plain[model] = type(model.get_output_embeddings()) is torch.nn.Linear


def take_whole(model: Any) -> None:
    """Let the head's weights be used by the model's own forward alone: elsewhere they may lie in other processes."""
    _plain[model] = False


@torch.no_grad()
def _same_logits(model: Any, head: Any) -> bool:
    was_training = [(module, module.training) for module in model.modules()]
    model.eval()
    ids = torch.arange(8, device=head.weight.device)[None] % head.weight.shape[0]
    probe = {"input_ids": ids, "labels": ids}
    chosen = torch.ones_like(ids[:, 1:], dtype=torch.bool)
    try:
        hidden, logits = _hidden(model, head, probe, chosen), _logits(model, head, probe, chosen)
    finally:
        for module, mode in was_training:
            module.training = mode
    return bool(torch.allclose(linear(hidden, head.weight, head.bias), logits, rtol=1e-5, atol=1e-5))


def _hidden(model: Any, head: Any, micro: Micro, chosen: torch.Tensor) -> torch.Tensor:
    """Return the last hidden states at the chosen positions; the head itself is given none."""
    kept: list[torch.Tensor] = []

    def take(module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        kept.append(_labelled(arguments[0], chosen))
        return (arguments[0][:, :0], *arguments[1:])

    _run(model, head, micro, take)
    return kept[0]


def _logits(model: Any, head: Any, micro: Micro, chosen: torch.Tensor) -> torch.Tensor:
    """Return the model's logits at the chosen positions."""
    out: torch.Tensor = _run(
        model, head, micro, lambda module, arguments: (_labelled(arguments[0], chosen), *arguments[1:])
    ).logits
    return out


def _labelled(hidden: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    # The last positions: prompt-learning methods put their own in front.
    length = chosen.shape[1] + 1
    return hidden[:, -length:][:, :-1][chosen]


def _run(model: Any, head: Any, micro: Micro, hook: Any) -> Any:
    handle = head.register_forward_pre_hook(hook)
    try:
        with packed_attention(model, micro) as inputs:
            return model(**inputs, use_cache=False)
    finally:
        handle.remove()


class _ChunkedNll(torch.autograd.Function):
    """Summed negative log-likelihood of hidden states [n, d] under a linear head; gradients made chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: Any, labels: torch.Tensor, weights: Any
    ) -> torch.Tensor:
        tensors = hidden, weight, bias
        wanted = ctx.needs_input_grad[: len(tensors)]
        grads = [torch.zeros_like(each) if need else None for each, need in zip(tensors, wanted, strict=True)]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), CHUNK):
            piece = slice(start, start + CHUNK)
            logs = log_softmax(linear(hidden[piece], weight, bias).float(), -1)
            gold = labels[piece, None]
            each = -logs.gather(1, gold)[:, 0]
            share = None if weights is None else weights[piece]
            total += each.sum() if share is None else (each * share).sum()
            if any(wanted):
                _add_gradients(piece, hidden, weight, _slope(logs, gold, share).to(weight.dtype), grads)
        ctx.save_for_backward(*[grad for grad in grads if grad is not None])
        ctx.given = [grad is not None for grad in grads]
        return total

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[Any, ...]:
        saved = iter(ctx.saved_tensors)
        return (*[next(saved) * outer[0] if given else None for given in ctx.given], None, None)


def _slope(logs: torch.Tensor, gold: torch.Tensor, share: torch.Tensor | None) -> torch.Tensor:
    """Turn log-probabilities [chunk, vocabulary] into the loss's gradient in the logits, in their place."""
    slope = logs.exp_()
    slope.scatter_add_(1, gold, torch.full_like(slope[:, :1], -1.0))
    return slope if share is None else slope.mul_(share[:, None])


def _add_gradients(
    piece: slice, hidden: torch.Tensor, weight: torch.Tensor, slope: torch.Tensor, grads: list[torch.Tensor | None]
) -> None:
    for_hidden, for_weight, for_bias = grads
    if for_hidden is not None:
        for_hidden[piece] = slope @ weight
    if for_weight is not None:
        for_weight.addmm_(slope.T, hidden[piece])
    if for_bias is not None:
        for_bias += slope.sum(0)
