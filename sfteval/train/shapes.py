"""The largest micro-batch of a training: what decides its memory.

Comes in: a config with its data, or a length and a token budget. Goes out: rows, padded length, labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.train.audit import Protected
from sfteval.train.batches import MICRO_TOKENS, StepBatches, plan_steps
from sfteval.train.dataset import prepare
from sfteval.train.masks import IGNORED
from sfteval.train.template import chat_template
from sfteval.train.tracing import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.train.config import TrainingConfig


def largest_shapes(
    config: TrainingConfig, tokenizer: Any, name: str, *, cache: Path | None = None
) -> dict[bool, Shape]:
    """Return the micro-batch with most tokens, packed (True) and padded, from the very plan of the training.

    Args:
        config: The training. What its rows overlap with is the audit's business and changes no size.
        tokenizer: Its tokenizer.
        name: What to call it in messages.
        cache: Where token ids are kept, so that the training need not make them again.

    Raises:
        InputError: Broken rows, or rows that cannot be masked.
        AuditError: Rows longer than `max_length`.
        TrainingError: Nothing to train on.
    """
    data = prepare(config, chat_template(tokenizer, name), Protected(), cache=cache)
    lengths, labels = [], []
    for row in data.train:
        lengths.append(len(row.ids))
        labels.append(sum(label != IGNORED for label in row.labels[1:]))
    optimizer = config.optimizer
    steps = plan_steps(lengths, optimizer.batch_tokens, optimizer.epochs, config.seed)
    return {packed: _largest(StepBatches(data.train, steps, 0), lengths, labels, packed) for packed in (True, False)}


def _largest(batches: StepBatches, lengths: Sequence[int], labels: Sequence[int], packed: bool) -> Shape:
    batches.lay_out(lengths, packed=packed)
    micros = (micro for step in batches.steps for micro in step)
    shapes = (_shape([lengths[row] for row in rows], sum(labels[row] for row in rows), packed) for rows in micros)
    return max(shapes, key=lambda shape: (shape.rows * shape.length, shape.labels))


def _shape(lengths: Sequence[int], labels: int, packed: bool) -> Shape:
    if packed:
        return Shape(1, sum(lengths), labels, tuple(lengths))
    return Shape(len(lengths), max(lengths), labels)


def assumed_shape(length: int, batch_tokens: int, *, packed: bool) -> Shape:
    """Return a full micro-batch of rows of one length, every token but the first of a row a label."""
    rows = max(1, min(batch_tokens, MICRO_TOKENS) // length)
    return _shape([length] * rows, rows * (length - 1), packed)
