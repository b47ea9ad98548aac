"""Optimiser steps, padding, collation."""

from __future__ import annotations

import torch

from sfteval.train.batches import CALL_TOKENS, MICRO_TOKENS, collate, label_count, label_weight, plan_steps
from sfteval.train.masks import IGNORED, Encoded, encode
from sfteval.train.rows import Turn
from sfteval.train.template import chat_template


def encoded(ids, labels):
    return Encoded(tuple(ids), tuple(labels), ((0, 1),), "prefixes")


def rows_of(step):
    return [row for micro in step for row in micro]


def test_every_row_once_per_epoch_within_the_budget():
    lengths = [(i * 37) % 90 + 10 for i in range(200)]
    steps = plan_steps(lengths, 400, 3, seed=1)
    per_epoch = len(steps) // 3
    flat = [row for step in steps for row in rows_of(step)]
    assert sorted(flat) == sorted([*range(200)] * 3)
    assert all(sum(lengths[row] for row in rows_of(step)) <= 400 for step in steps)
    assert [rows_of(s) for s in steps[:per_epoch]] != [rows_of(s) for s in steps[per_epoch : 2 * per_epoch]]
    assert steps == plan_steps(lengths, 400, 3, seed=1)
    assert steps != plan_steps(lengths, 400, 3, seed=2)


def test_a_row_above_the_budget_is_a_step_of_its_own():
    assert sorted(map(rows_of, plan_steps([50, 500, 50], 100, 1, seed=0)), key=len)[0] == [1]


def test_a_fraction_of_an_epoch():
    whole = plan_steps([10] * 100, 50, 1, seed=3)
    assert plan_steps([10] * 100, 50, 0.5, seed=3) == whole[:10]
    assert len(plan_steps([10] * 100, 50, 1.25, seed=3)) == 25


def test_equal_rows_stay_together_and_unequal_ones_part():
    assert plan_steps([20] * 4, 1000, 1, seed=0) == [[[0, 1, 2, 3]]]
    far = CALL_TOKENS + 100
    assert plan_steps([10, far, 10, far], 1000, 1, seed=0) == [[[1, 3], [0, 2]]]
    assert plan_steps([10, 11], 1000, 1, seed=0) == [[[1, 0]]]


def test_a_micro_batch_is_bounded():
    step = plan_steps([100] * 1000, 100_000, 1, seed=0)[0]
    assert max(map(len, step)) * 100 <= MICRO_TOKENS


def test_padding_is_masked_by_place_and_never_by_value():
    pad = 2
    batch = collate([encoded([5, 6, 2], [IGNORED, 6, 2]), encoded([7, 2], [IGNORED, 2])], pad)
    assert batch["input_ids"].tolist() == [[5, 6, 2], [7, 2, 2]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 2], [IGNORED, 2, IGNORED]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert label_count(batch) == 3


def test_without_padding_there_is_no_mask():
    batch = collate([encoded([5, 6], [5, 6])], 0)
    assert set(batch) == {"input_ids", "labels"}
    assert label_count(batch) == 1
    assert batch["labels"].dtype == torch.long


def test_a_prompt_weight_is_a_weight_in_the_loss(make_tokenizer):
    template = chat_template(make_tokenizer(), "m")
    turns = (Turn("user", "Hi"), Turn("assistant", "Yo"))
    plain, weighted = encode(turns, template), encode(turns, template, prompt_weight=0.25)
    assert weighted.labels == weighted.ids == plain.ids
    ((start, end),) = plain.spans
    assert weighted.weights == [0.25] * start + [1.0] * (end - start) + [0.25]
    batch = collate([weighted, encode((Turn("user", "Hello"), turns[1]), template, prompt_weight=0.25)], 0)
    assert batch["weights"][0, end + 1 :].tolist() == [0.0] * 3
    assert label_weight(collate([weighted], 0)) == 3 + 0.25 * (len(weighted.ids) - 4)
    assert "weights" not in collate([plain], 0)
