"""Scores: equal to one request at a time, whatever the architecture, the trie and the budget; no token twice."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
import transformers
from engine_cases import ALL, GEMMA, TREE, VOCABULARY, WIDE, alone, answer, assert_same, decode, llama, make, scores
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sfteval.engine import Engine, ModelLimits
from sfteval.engine.plain import padded_logits
from sfteval.engine.wiring import Wiring
from sfteval.records import Score


@pytest.fixture(scope="module")
def tiny_llama():
    return make("llama")


@pytest.fixture(scope="module")
def tiny():
    """Make each model once."""
    return functools.cache(make)


@pytest.mark.parametrize("budget", [1, 13, 100, 5000])
@pytest.mark.parametrize("name", ALL)
def test_scores_equal_one_by_one(name, budget):
    model, requests = make(name), scores(seed=budget, count=10 if budget == 1 else 40)
    got, stats = answer(model, requests, budget)
    assert_same(model, requests, got)
    assert stats.requests == len(requests)
    assert stats.failures == 0
    if name in TREE:
        assert stats.fallback == ""
        assert stats.tokens_forwarded == stats.tokens_distinct


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=14), min_size=1, max_size=10),
    st.integers(1, 40),
    st.integers(2, 12),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "mamba"])
def test_random_tries_at_random_budgets(tiny, name, sequences, budget, max_length):
    model = tiny(name)
    requests = [Score(f"{i}", tuple(s[:-1]), tuple(s[-1:])) for i, s in enumerate(sequences)]
    got, stats = answer(model, requests, budget, max_length)
    assert_same(model, requests, got, max_length)
    kept = [s[-(max_length + 1) :][:-1] for s in sequences]
    distinct = len({tuple(s[:n]) for s in kept for n in range(1, len(s) + 1)})
    if name in TREE:
        assert (stats.fallback, stats.tokens_forwarded) == ("", distinct)
    else:
        assert stats.fallback != ""
        assert stats.tokens_forwarded >= distinct


def test_one_token_choices_and_repeats_cost_nothing_beyond_the_context(tiny_llama):
    letters = [Score(f"{letter}", (5, 6, 7, 8), (letter,)) for letter in (10, 11, 12, 13)]
    got, stats = answer(tiny_llama, [*letters, Score("again", (5, 6, 7, 8), (10,))])
    assert (stats.tokens_forwarded, stats.rows_projected, stats.batches) == (4, 1, 1)
    assert got["again"].loglikelihood == got["10"].loglikelihood
    assert len(got) == 5


def test_two_requests_with_one_key_get_two_responses(tiny_llama):
    out: list = []
    engine = Engine(tiny_llama, limits=ModelLimits(VOCABULARY, 64), decode=decode)
    engine.run([Score("same", (1, 2), (3,))] * 2, out.extend)
    assert [one.key for one in out] == ["same", "same"]


def test_responses_arrive_in_batches_of_at_most_64(tiny_llama):
    sizes: list[int] = []
    engine = Engine(tiny_llama, limits=ModelLimits(VOCABULARY, 64), decode=decode)
    engine.run([Score(f"{i}", (1, i), (3,)) for i in range(90)], lambda batch: sizes.append(len(batch)))
    assert sizes == [64, 26]


def test_long_requests_lose_tokens_on_the_left_as_in_lm_eval(tiny_llama):
    prefix = tuple(range(1, 31))
    request = Score("long", prefix, (40, 41, 42))
    got, stats = answer(tiny_llama, [request], max_length=20)
    expected, greedy = alone(tiny_llama, Score("cut", prefix[-18:], (40, 41, 42)))
    response = got["long"]
    assert response.loglikelihood == pytest.approx(expected, rel=1e-5)
    assert response.is_greedy == greedy
    assert (response.truncated, response.prompt_tokens, response.output_tokens) == (12, 18, 3)
    assert stats.truncated == 1


def test_absolute_positions_bound_the_length():
    model = make("gpt2")
    got, _ = answer(model, [Score("a", tuple(range(80)), (1,))], max_length=500)
    assert got["a"].truncated == 80 + 1 - 65
    assert_same(model, [Score("a", tuple(range(80)), (1,))], got)


def test_recurrent_models_fall_back_with_one_warning():
    engine = Engine(make("mamba"), limits=ModelLimits(VOCABULARY, 64), decode=decode)
    with pytest.warns(RuntimeWarning) as caught:
        stats = [engine.run(scores(seed), lambda batch: None) for seed in (0, 1)][-1]
    assert len(caught) == 1
    assert str(caught[0].message).startswith("MambaForCausalLM is run without the prefix tree: ")
    assert stats.fallback != ""


def test_a_model_that_packs_wrongly_is_caught_by_the_probe(tiny_llama, monkeypatch):
    true = Wiring.hidden
    monkeypatch.setattr(Wiring, "hidden", lambda self, ids, places, plan: true(self, ids, places * 0, plan))
    requests = scores(3)
    got, stats = answer(tiny_llama, requests)
    assert "packed and plain logits differ by" in stats.fallback
    assert_same(tiny_llama, requests, got)


def test_position_scaling_that_looks_at_the_batch_is_run_row_by_length():
    rope = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
    torch.manual_seed(0)
    model = llama(max_position_embeddings=16, rope_parameters=rope).eval()
    requests, fresh = scores(4), copy.deepcopy(model)
    got, stats = answer(model, requests, 200)
    assert stats.fallback == "its dynamic position scaling depends on the longest row of a batch"
    for request in requests:
        assert_same(copy.deepcopy(fresh), [request], got)
    short = [Score(f"{i}", (1, i), (2,)) for i in range(5)]
    got, stats = answer(copy.deepcopy(fresh), short)
    assert stats.fallback == ""
    assert_same(fresh, short, got)


def test_the_models_own_attention_is_back_afterwards(tiny_llama):
    before = tiny_llama.config._attn_implementation
    answer(tiny_llama, scores(5))
    assert tiny_llama.config._attn_implementation == before
    assert "forward" not in tiny_llama.model.__dict__
    assert padded_logits(tiny_llama, [np.asarray([1, 2, 3])], 0).shape == (1, 3, VOCABULARY)


def test_low_precision_models_keep_the_tree():
    model = make("llama").to(torch.bfloat16)
    requests = scores(6)
    got, stats = answer(model, requests)
    assert stats.fallback == ""
    differences = [abs(got[r.key].loglikelihood - alone(model, r)[0]) for r in requests]
    assert float(np.mean(differences)) < 0.3


def test_a_model_that_does_not_bear_packing_falls_back(tiny_llama, monkeypatch):
    def refuse(self, ids, places, plan):
        raise ValueError("no packed input")

    monkeypatch.setattr(Wiring, "hidden", refuse)
    requests = scores(3)
    got, stats = answer(tiny_llama, requests)
    assert stats.fallback == "packing it raised ValueError: no packed input"
    assert_same(tiny_llama, requests, got)


def test_attention_that_is_not_causal_sees_no_padding():
    torch.manual_seed(0)
    kinds = ["sliding_attention", "full_attention"]
    changes = {"num_hidden_layers": 2, "layer_types": kinds, "use_bidirectional_attention": True}
    model = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**WIDE, **GEMMA, **changes)).eval()
    requests = scores(8, count=20)
    got, stats = answer(model, requests, 200)
    assert stats.fallback == "its attention is not causal"
    assert_same(model, requests, got)
