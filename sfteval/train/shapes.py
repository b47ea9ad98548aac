"""The largest micro-batch of a training: what decides its memory.

Comes in: a config with its data, or a length and a token budget. Goes out: rows, padded length, labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.train.batches import MICRO_TOKENS, StepBatches, label_count, plan_steps
from sfteval.train.dataset import prepare
from sfteval.train.packing import LENGTHS
from sfteval.train.template import chat_template
from sfteval.train.tracing import Shape

if TYPE_CHECKING:
    import torch

    from sfteval.train.config import TrainingConfig


def largest_shape(config: TrainingConfig, tokenizer: Any, name: str, *, packed: bool) -> Shape:
    """Return the micro-batch with most tokens, from the very plan that the training would follow.

    Args:
        config: The training.
        tokenizer: Its tokenizer.
        name: What to call it in messages.
        packed: Whether rows are laid end to end.

    Raises:
        InputError: Broken rows, or rows that cannot be masked.
        TrainingError: Rows longer than `max_length`, or nothing to train on.
    """
    data = prepare(config, chat_template(tokenizer, name))
    optimizer = config.optimizer
    lengths = [len(row.ids) for row in data.train]
    steps = plan_steps(lengths, optimizer.batch_tokens, optimizer.epochs, config.seed)
    batches = StepBatches(data.train, steps, pad_id=0)
    batches.lay_out(lengths, packed=packed)
    micros = [micro for index in range(len(batches)) for micro in batches[index]["micro"]]
    shapes = [
        Shape(*_size(micro["input_ids"]), label_count(micro), tuple(micro[LENGTHS].tolist()) if packed else ())
        for micro in micros
    ]
    return max(shapes, key=lambda shape: (shape.rows * shape.length, shape.labels))


def assumed_shape(length: int, batch_tokens: int, *, packed: bool) -> Shape:
    """Return a full micro-batch of rows of one length, every token but the first of a row a label."""
    rows = max(1, min(batch_tokens, MICRO_TOKENS) // length)
    labels = rows * (length - 1)
    return Shape(1, rows * length, labels, (length,) * rows) if packed else Shape(rows, length, labels)


def _size(ids: torch.Tensor) -> tuple[int, int]:
    return ids.shape[0], ids.shape[1]
