"""The choice of a token: processors against transformers' own, and the distribution of samples."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from transformers.generation import logits_process as tf

from sfteval.engine.figures import Tally
from sfteval.engine.sampling import NEAR_TIE, Chooser, choose
from sfteval.records import Generation


def chooser(seed=0, prompt=(1, 2), **settings) -> Chooser:
    return Chooser.of(Generation(**settings), seed, np.asarray(prompt), frozenset({9}))


@pytest.mark.parametrize("top_k", [0, 3, 40])
@pytest.mark.parametrize("top_p", [0.3, 0.95, 1.0])
def test_only_tokens_that_transformers_would_keep_are_drawn_at_their_rate(top_k, top_p):
    torch.manual_seed(top_k)
    logits = torch.randn(30) * 2
    warped = logits[None] / 0.7
    if top_k:
        warped = tf.TopKLogitsWarper(top_k)(None, warped)
    if top_p < 1:
        warped = tf.TopPLogitsWarper(top_p)(None, warped)
    expected = warped.softmax(-1)[0].numpy()
    one = chooser(temperature=0.7, top_k=top_k, top_p=top_p)
    drawn = Counter(one.choose(logits, 0, Tally()) for _ in range(4000))
    assert set(drawn) <= set(np.flatnonzero(expected).tolist())
    for token, share in enumerate(expected):
        assert abs(drawn[token] / 4000 - share) < 4.5 * (share * (1 - share) / 4000) ** 0.5 + 1e-3


def test_flat_distributions_are_sorted_whole(monkeypatch):
    from sfteval.engine import sampling

    logits = torch.linspace(0, 1, 50)
    whole = [chooser(seed, temperature=1.0, top_p=0.9).choose(logits, 0, Tally()) for seed in range(50)]
    monkeypatch.setattr(sampling, "NUCLEUS_GUESS", 4)
    assert [chooser(seed, temperature=1.0, top_p=0.9).choose(logits, 0, Tally()) for seed in range(50)] == whole


def test_the_repetition_penalty_sees_prompt_and_output():
    logits = torch.tensor([0.0, 5.0, 4.9, 4.8, -1.0])
    one = chooser(prompt=(1,), repetition_penalty=2.0)
    assert [one.choose(logits, n, Tally()) for n in range(3)] == [2, 3, 1]
    assert logits.tolist() == pytest.approx([0.0, 5.0, 4.9, 4.8, -1.0])


def test_end_of_turn_waits_for_min_tokens():
    logits = torch.zeros(10)
    logits[9], logits[4] = 3.0, 2.0
    one = chooser(min_tokens=2)
    assert [one.choose(logits, n, Tally()) for n in range(3)] == [4, 4, 9]


def test_negative_and_neighbouring_seeds_differ():
    logits = torch.zeros(1000)
    first = [chooser(seed, temperature=1.0).choose(logits, 0, Tally()) for seed in (-1, 0, 1, 2)]
    assert len(set(first)) == 4


@pytest.mark.parametrize("temperature", [1e-45, 1e-40, 1e-20])
def test_temperatures_that_overflow_are_greedy(temperature):
    logits = torch.tensor([1.0, 30.0, 29.0, -5.0])
    assert {chooser(seed, temperature=temperature).choose(logits, 0, Tally()) for seed in range(20)} == {1}


def test_of_equal_logits_the_first_is_taken_and_near_ties_are_counted():
    torch.manual_seed(0)
    logits = torch.randn(4, 5000).clamp(max=3)
    for row, places in enumerate(([4000, 7, 900], [12, 11], [3], [])):
        logits[row, places] = 8.0
    logits[2, 4] = 8.0 - NEAR_TIE / 2
    logits[3, 8] = float("nan")
    tally = Tally()
    assert choose([chooser() for _ in range(4)], logits, [0] * 4, tally, [True, True, True, False]) == [7, 11, 3, None]
    assert tally.near_ties == 3
    assert choose([chooser()], torch.zeros(1, 1), [0], tally, [True]) == [0]
    assert tally.near_ties == 3
