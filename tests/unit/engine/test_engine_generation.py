"""Generations: greedy as `model.generate` alone, exact stops and reasons, samples that depend on no batch."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
from engine_cases import ALL, VOCABULARY, answer, decode, family, generated, make

from sfteval.engine import Engine, ModelLimits, generating, trunks
from sfteval.records import FinishReason, Generate, Generation

EOT = frozenset({3, 7, 11, 50})


def prompts(seed: int) -> list[tuple[int, ...]]:
    found = family(seed, count=14, add=20)
    return [*found, found[0], found[3], (*found[4], 5)]


@pytest.mark.parametrize(("rows", "budget", "trunk"), [(64, 4000, 2), (5, 30, 3), (1, 3, 64)])
@pytest.mark.parametrize("name", ALL)
def test_greedy_equals_generate_on_each_prompt_alone(name, rows, budget, trunk, monkeypatch):
    monkeypatch.setattr(generating, "MAX_ROWS", rows)
    monkeypatch.setattr(trunks, "TRUNK_TOKENS", trunk)
    model, rng = make(name), random.Random(rows)
    requests = [
        Generate(
            f"{i}",
            prompt,
            Generation(
                max_tokens=rng.choice([1, 5, 15]),
                min_tokens=rng.choice([0, 0, 3]),
                repetition_penalty=rng.choice([1.0, 1.0, 1.3]),
            ),
        )
        for i, prompt in enumerate(prompts(rows))
    ]
    got, stats = answer(model, requests, budget, eot=EOT)
    for request in requests:
        response = got[request.key]
        assert response.failure is None
        assert (response.text, response.output_tokens, response.finish_reason) == generated(model, request, EOT)
    assert stats.near_ties == 0
    assert stats.tokens_generated == sum(one.output_tokens for one in got.values())


def test_samples_depend_on_their_seed_and_not_on_the_batch(monkeypatch):
    model = make("llama")
    settings = Generation(max_tokens=12, temperature=0.8, top_p=0.9, top_k=20, min_tokens=2)
    requests = [Generate(f"{i}", prompt, settings, seed=i) for i, prompt in enumerate(prompts(2))]
    whole, _ = answer(model, requests, eot=EOT)
    monkeypatch.setattr(generating, "MAX_ROWS", 3)
    monkeypatch.setattr(trunks, "TRUNK_TOKENS", 2)
    few, _ = answer(model, requests[::-1], 7, eot=EOT)
    assert few == whole
    other, _ = answer(model, [Generate(r.key, r.prompt, settings, seed=r.seed + 100) for r in requests], eot=EOT)
    assert sum(other[key].text != whole[key].text for key in whole) >= len(whole) - 1


def test_many_samples_of_one_prompt_prefill_it_once():
    settings = Generation(max_tokens=3, temperature=1.0)
    requests = [Generate(f"{seed}", tuple(range(20, 50)), settings, seed=seed) for seed in range(8)]
    got, stats = answer(make("llama"), requests)
    assert stats.tokens_forwarded == 30 + 8 * 2
    assert len({one.text for one in got.values()}) > 4


def test_prompts_share_their_prefix_across_waves(monkeypatch):
    monkeypatch.setattr(generating, "MAX_ROWS", 1)
    shared = tuple(range(20, 60))
    requests = [Generate(f"{i}", (*shared, i), Generation(max_tokens=1)) for i in range(5)]
    _, stats = answer(make("llama"), requests)
    assert stats.tokens_forwarded == 40 + 5


def greedy_text(model, prompt, tokens=12) -> str:
    return answer(model, [Generate("k", prompt, Generation(max_tokens=tokens))])[0]["k"].text


def test_the_text_ends_before_the_first_stop_string():
    model, prompt = make("llama"), (5, 6, 7)
    text = greedy_text(model, prompt)
    stop = text[4:7]
    settings = Generation(max_tokens=12, stop=("zzzzz", text[6:9], stop))
    got, _ = answer(model, [Generate("k", prompt, settings)])
    place = min(text.find(stop), text.find(text[6:9]))
    assert got["k"].text == text[:place]
    assert got["k"].finish_reason is FinishReason.STOP
    assert got["k"].output_tokens == text.find(stop) + 3


def test_a_stop_string_inside_the_first_min_tokens_does_not_count():
    model, prompt = make("llama"), (5, 6, 7)
    text = greedy_text(model, prompt)
    settings = Generation(max_tokens=12, min_tokens=3, stop=(text[0:2],))
    later = text.find(text[0:2], 2)
    response = answer(model, [Generate("k", prompt, settings)])[0]["k"]
    assert response.text == (text if later < 0 else text[:later])


def test_max_tokens_is_a_limit_and_a_stop_string_on_the_last_token_a_stop():
    model, prompt = make("llama"), (5, 6, 7)
    text = greedy_text(model, prompt, 5)
    limit = answer(model, [Generate("k", prompt, Generation(max_tokens=5))])[0]["k"]
    assert (limit.finish_reason, limit.output_tokens, limit.text) == (FinishReason.LENGTH, 5, text)
    stopped = answer(model, [Generate("k", prompt, Generation(max_tokens=5, stop=(text[3:5],)))])[0]["k"]
    if text.find(text[3:5]) == 3:
        assert (stopped.finish_reason, stopped.output_tokens) == (FinishReason.STOP, 5)


def test_the_end_of_turn_token_is_counted_and_not_shown():
    model, prompt = make("llama"), (5, 6, 7)
    free: list[int] = []
    answer_ids(model, prompt, free)
    response = answer(model, [Generate("k", prompt, Generation(max_tokens=12))], eot=frozenset({free[4]}))[0]["k"]
    first = free.index(free[4])
    assert (response.finish_reason, response.output_tokens) == (FinishReason.END_TURN, first + 1)
    assert response.text == decode(free[:first])


def answer_ids(model, prompt, out: list[int]) -> None:
    import torch

    ids = torch.tensor([prompt])
    out += model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12, eos_token_id=None, pad_token_id=0
    )[0, len(prompt) :].tolist()


def test_long_prompts_lose_tokens_on_the_left():
    model, prompt = make("llama"), tuple(range(1, 60))
    got, stats = answer(model, [Generate("k", prompt, Generation(max_tokens=10))], max_length=40)
    assert (got["k"].truncated, got["k"].prompt_tokens, stats.truncated) == (29, 30, 1)
    assert got["k"].text == greedy_text(model, prompt[-30:], 10)


def test_rows_are_called_back_when_keys_outgrow_their_room(monkeypatch):
    from sfteval.engine import memory, run

    model = make("llama")
    requests = [Generate(f"{i}", (1, 2, i), Generation(max_tokens=30)) for i in range(10)]
    whole, _ = answer(model, requests)
    monkeypatch.setattr(memory, "KV_BYTES", 3 * 2 * 2 * 8 * 4 * 300)
    monkeypatch.setattr(run, "kv_room", memory.kv_room)
    got, stats = answer(model, requests)
    assert {k: one.text for k, one in got.items()} == {k: one.text for k, one in whole.items()}
    assert stats.tokens_generated == 300


def test_near_ties_are_counted():
    import torch

    model = make("llama")
    with torch.no_grad():
        model.lm_head.weight[:] = model.lm_head.weight[0]
    _, stats = answer(model, [Generate("k", (1, 2), Generation(max_tokens=4))])
    assert stats.near_ties == 4


@pytest.mark.parametrize("trunk", [2, 64])
def test_rows_of_very_different_lengths_are_read_in_spans(trunk, monkeypatch):
    from sfteval.engine import decode_attention

    monkeypatch.setattr(decode_attention, "SPAN_ROWS", 2)
    monkeypatch.setattr(trunks, "TRUNK_TOKENS", trunk)
    model = make("llama")
    requests = [Generate(f"{n}", (7, 8, 9, *range(20, 20 + n)), Generation(max_tokens=6)) for n in (1, 40, 2, 25, 3)]
    got, stats = answer(model, requests, eot=EOT)
    for request in requests:
        response = got[request.key]
        assert (response.text, response.output_tokens, response.finish_reason) == generated(model, request, EOT)
    assert stats.fallback == ""


def test_spans_are_made_only_where_they_save_reading():
    assert decode_spans([5, 5, 5, 5]) == [(0, 4, 6)]
    assert decode_spans([50] * 16 + [5] * 16) == [(0, 16, 51), (16, 32, 6)]


def decode_spans(lengths: list[int]) -> list[tuple[int, int, int]]:
    from sfteval.engine.decode_attention import _spans

    return _spans(np.asarray(lengths))


@pytest.mark.parametrize("name", ["llama", "mamba"])
def test_a_generation_ends_early_when_nothing_can_change_its_verdict(name):
    """Its text is the beginning of what it would have said, and its neighbours say the same as without it."""
    model, settings = make(name), Generation(max_tokens=15, min_tokens=5)
    plain = [Generate(f"{i}", prompt, settings) for i, prompt in enumerate(prompts(4))]
    watched = [
        Generate(r.key, r.prompt, settings, lost=(lambda text: len(text) > 3) if i % 2 else None)
        for i, r in enumerate(plain)
    ]
    (whole, _), (early, stats) = answer(model, plain, eot=EOT), answer(model, watched, eot=EOT)
    cut = [key for key, response in early.items() if response.finish_reason is FinishReason.EARLY_EXIT]
    assert len(cut) > 3
    for key, response in early.items():
        if key not in cut:
            assert response == whole[key]
        else:
            assert whole[key].text.startswith(response.text)
            assert (len(response.text) > 3, response.output_tokens) == (True, 8)
    assert stats.tokens_generated == sum(one.output_tokens for one in early.values())


@pytest.mark.parametrize("name", ["llama", "mamba"])
def test_a_special_token_that_is_a_stop_string_stops(name):
    """Decoding leaves it out, so no text ever shows it: `<|im_end|>` among the stop strings of a base model."""
    model, prompt = make(name), (5, 6, 7)
    free: list[int] = []
    answer_ids(model, prompt, free)
    special = free[4]
    first = free.index(special)
    limits = ModelLimits(VOCABULARY, 64, special={"<|im_end|>": special})
    engine = Engine(model, limits=limits, decode=lambda ids: decode([i for i in ids if i != special]))

    def said(**settings):
        out: list = []
        engine.run([Generate("k", prompt, Generation(max_tokens=12, **settings))], out.extend)
        return out[0].text, out[0].output_tokens, out[0].finish_reason

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert said(stop=("zzzz", "<|im_end|>")) == (decode(free[:first]), first + 1, FinishReason.STOP)
        assert said(stop=("zzzz",))[1:] == (12, FinishReason.LENGTH)
        tokens = said(stop=("<|im_end|>",), min_tokens=first + 1)[1]
    later = [place for place in range(first + 1, 12) if free[place] == special]
    assert tokens == (later[0] + 1 if later else 12)


def test_what_a_checkpoint_recommends_changes_no_answer_of_the_fallback():
    model, settings = make("mamba"), Generation(max_tokens=10)
    requests = [Generate(f"{i}", prompt, settings) for i, prompt in enumerate(prompts(6))]
    plain, _ = answer(model, requests, eot=EOT)
    model.generation_config.update(repetition_penalty=5.0, no_repeat_ngram_size=1, suppress_tokens=list(range(40)))
    got, _ = answer(model, requests, eot=EOT)
    assert got == plain
    assert model.generation_config.no_repeat_ngram_size == 1
