"""Optimiser steps from rows: which rows make a step, and how they are padded.

Comes in: row lengths and a token budget. Goes out: the whole plan of the training before its first step (a list of
steps, each a list of micro-batches of row numbers), and the collator that turns a step into tensors.

A step holds at most `batch_tokens` tokens of rows in random order; inside the step, rows are sorted by length and cut
into micro-batches such that padding plus a fixed cost per micro-batch is smallest.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import torch

from sfteval.train.masks import IGNORED, Encoded
from sfteval.train.packing import pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What one more forward and backward costs, as padded tokens that it may save; measured on small models, where the
# fixed cost per call is largest against the cost per token.
CALL_TOKENS = 96
# The largest micro-batch or pack, in tokens as computed: long enough for matrix products at full speed, and memory does
# not grow with `batch_tokens`.
MICRO_TOKENS = 2048

Step = list[list[int]]
Micro = dict[str, torch.Tensor]


def plan_steps(lengths: Sequence[int], batch_tokens: int, epochs: float, seed: int) -> list[Step]:
    """Return every optimiser step of the training; a fraction of an epoch takes that share of its steps."""
    steps: list[Step] = []
    whole = int(epochs)
    for epoch in range(whole + (epochs > whole)):
        order = list(range(len(lengths)))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        epoch_steps = [_micro_batches(rows, lengths) for rows in _fill(order, lengths, batch_tokens)]
        share = min(1.0, epochs - epoch)
        steps += epoch_steps[: max(1, round(share * len(epoch_steps)))]
    return steps


def _fill(order: Sequence[int], lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    rows: list[int] = []
    tokens = 0
    for row in order:
        if rows and tokens + lengths[row] > budget:
            yield rows
            rows, tokens = [], 0
        rows.append(row)
        tokens += lengths[row]
    if rows:
        yield rows


def _micro_batches(rows: Sequence[int], lengths: Sequence[int]) -> Step:
    """Cut rows, longest first, where the sum of padded tokens and call costs is smallest (dynamic programming)."""
    ordered = sorted(rows, key=lambda row: (-lengths[row], row))
    best: list[tuple[int, int]] = [(0, 0)]
    for end in range(1, len(ordered) + 1):
        cuts = []
        for start in range(end):
            padded = lengths[ordered[start]] * (end - start)
            if padded <= MICRO_TOKENS or end - start == 1:
                cuts.append((best[start][0] + padded + CALL_TOKENS, start))
        best.append(min(cuts))
    step: Step = []
    end = len(ordered)
    while end:
        start = best[end][1]
        step.append(ordered[start:end])
        end = start
    return step[::-1]


def _packs(rows: Sequence[int], lengths: Sequence[int]) -> Step:
    """Fill packs of about equal size, longest rows first; a row longer than a pack is one by itself."""
    count = max(1, -(-sum(lengths[row] for row in rows) // MICRO_TOKENS))
    packs: list[list[int]] = [[] for _ in range(count)]
    sizes = [0] * count
    for row in sorted(rows, key=lambda row: (-lengths[row], row)):
        smallest = sizes.index(min(sizes))
        packs[smallest].append(row)
        sizes[smallest] += lengths[row]
    return [pack for pack in packs if pack]


def collate(rows: Sequence[Encoded], pad_id: int) -> Micro:
    """Return `input_ids` and `labels`, shape (rows, longest), padded right; `attention_mask` only if there is padding.

    `weights` (the same shape) only where labels do not all count the same.

    Padding is masked by place and never by value: a pad token that is also the end-of-turn token stays trained.
    """
    longest = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORED, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = torch.tensor(row.ids)
        labels[index, : len(row.ids)] = torch.tensor(row.labels)
        mask[index, : len(row.ids)] = 1
    batch = {"input_ids": ids, "labels": labels}
    if any(row.prompt_weight for row in rows):
        batch["weights"] = torch.tensor([row.weights + [0.0] * (longest - len(row.ids)) for row in rows])
    return batch if bool(mask.all()) else batch | {"attention_mask": mask}


def label_count(micro: Micro) -> int:
    """Return how many labels of a micro-batch count in the loss: the first column is never predicted."""
    return int((micro["labels"][:, 1:] != IGNORED).sum())


def label_weight(micro: Micro) -> float:
    """Return the summed weight of a micro-batch's labels: what the loss is divided by."""
    return float(micro["weights"][:, 1:].double().sum()) if "weights" in micro else float(label_count(micro))


class StepBatches(torch.utils.data.Dataset[Any]):
    """The plan as a dataset: item i is optimiser step i, a dict with the list of its micro-batches."""

    def __init__(self, rows: Sequence[Encoded], steps: Sequence[Step], pad_id: int) -> None:
        """Keep rows and plan; tensors are made when a step is asked for."""
        self.rows, self.steps, self.pad_id = rows, steps, pad_id
        self.packed, self.start = False, 0

    def lay_out(self, lengths: Sequence[int], *, packed: bool) -> None:
        """Pack the rows of each step, or leave them padded; which rows make a step stays as it is."""
        self.packed = packed
        if packed:
            self.steps = [_packs([row for micro in step for row in micro], lengths) for step in self.steps]

    def __len__(self) -> int:
        """Return the number of optimiser steps."""
        return len(self.steps)

    @property
    def tokens_per_step(self) -> float:
        """Mean number of tokens in a step, padding not counted."""
        tokens = sum(len(self.rows[row].ids) for step in self.steps for micro in step for row in micro)
        return tokens / max(1, len(self.steps))

    def __getitem__(self, index: int) -> dict[str, list[Micro]]:
        """Return step `index` after `start`: a resumed training begins where it stopped."""
        step = [[self.rows[row] for row in rows] for rows in self.steps[(self.start + index) % len(self.steps)]]
        return {"micro": [pack(rows) if self.packed else collate(rows, self.pad_id) for rows in step]}
