"""Bad input, broken weights, no memory: a failure per request, never an exception, never a number."""

from __future__ import annotations

import pytest
import torch
from engine_cases import VOCABULARY, answer, assert_same, decode, make, scores
from pydantic import ValidationError

from sfteval.engine import Engine, ModelLimits
from sfteval.engine.memory import ran_out
from sfteval.engine.plain_generation import PlainGenerator
from sfteval.engine.slots import Slots
from sfteval.engine.wiring import Wiring
from sfteval.errors import EngineError
from sfteval.records import Generate, Generation, Score

SHORT = Generation(max_tokens=4)
REFUSED = [
    (Score("k", (), (1,)), "empty_prefix", "found no prefix token; expected at least the model's prefix token"),
    (Score("k", (1,), ()), "empty_continuation", "found no continuation token; expected at least one to score"),
    (Score("k", (1,), (VOCABULARY,)), "token_out_of_vocabulary", "found token id 97; expected 0 to 96"),
    (Score("k", (-1,), (3,)), "token_out_of_vocabulary", "found token id -1; expected 0 to 96"),
    (
        Score("k", (1,), (2,) * 65),
        "too_long",
        "found a continuation of 65 tokens; expected it to fit the model's 64 tokens",
    ),
    (Generate("k", (), SHORT), "empty_prompt", "found no prompt token; expected at least the model's prefix token"),
    (Generate("k", (VOCABULARY,), SHORT), "token_out_of_vocabulary", "found token id 97; expected 0 to 96"),
    (
        Generate("k", (1,), Generation(max_tokens=64)),
        "too_long",
        "found max_tokens 64, which leaves no room for a prompt; expected it to fit the model's 64 tokens",
    ),
]


@pytest.mark.parametrize(("request_", "kind", "message"), REFUSED)
def test_requests_that_cannot_be_answered_fail_alone(request_, kind, message):
    got, stats = answer(make("llama"), [request_, Score("good", (1,), (2,))])
    assert (got["k"].failure.kind, got["k"].failure.message) == (kind, message)
    assert got["k"].loglikelihood is None
    assert got["k"].text is None
    assert got["good"].failure is None
    assert (stats.requests, stats.failures) == (2, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_tokens": 0}, "greater than or equal to 1"),
        ({"stop": ("end", "")}, "at least 1 character"),
    ],
)
def test_generations_of_nothing_cannot_be_asked_for(settings, message):
    with pytest.raises(ValidationError, match=message):
        Generation(**settings)


def test_the_embedding_bounds_the_vocabulary():
    engine = Engine(make("llama"), limits=ModelLimits(VOCABULARY + 40, 64), decode=decode)
    out: list = []
    engine.run([Score("k", (VOCABULARY + 2,), (1,))], out.extend)
    assert out[0].failure.message == "found token id 99; expected 0 to 96"


def test_no_requests_call_nothing():
    called: list = []
    stats = Engine(make("llama"), limits=ModelLimits(VOCABULARY, 64), decode=decode).run([], called.append)
    assert called == []
    assert (stats.requests, stats.batches) == (0, 0)


def test_training_mode_is_refused():
    engine = Engine(make("llama").train(), limits=ModelLimits(VOCABULARY, 64), decode=decode)
    with pytest.raises(EngineError, match="the model is in training mode, so dropout would change every answer"):
        engine.run([Score("k", (1,), (2,))], lambda batch: None)


def poisoned(token: int):
    model = make("llama")
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
    with torch.no_grad():
        model.model.embed_tokens.weight[token] = float("nan")
    return model


def test_nan_fails_the_requests_that_meet_it_and_no_other():
    model = poisoned(50)
    requests = [r for r in scores(11) if 50 not in r.prefix + r.continuation]
    bad = [Score(f"bad{i}", (4, 50, i), (6, 7)) for i in range(3)]
    got, stats = answer(model, requests + bad)
    for request in bad:
        assert got[request.key].failure.kind == "nan_logits"
        assert got[request.key].failure.message == (
            "found logits that are not finite; expected finite numbers; the first layer with such values is "
            "model.embed_tokens"
        )
    assert stats.failures == 3
    assert_same(model, requests, got)


def test_nan_before_generation_fails_that_prompt_and_no_other():
    model = poisoned(50)
    prompts = {"bad": (4, 50, 6), "good": (4, 5, 6), "other": (9,)}
    got, stats = answer(model, [Generate(key, prompt, SHORT) for key, prompt in prompts.items()])
    assert got["bad"].failure.kind == "nan_logits"
    assert got["bad"].text is None
    assert got["good"].failure is None
    assert got["other"].failure is None
    assert stats.failures == 1


def test_a_broken_layer_is_named_and_everything_fails():
    model = make("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[0, 0] = float("inf")
        model.model.layers[1].mlp.down_proj.weight[0, 1] = float("nan")
    got, stats = answer(model, [*scores(12), Generate("g", (1, 2), SHORT)])
    assert stats.failures == len(got) == 41
    assert {one.failure.message.rpartition(" ")[2] for one in got.values()} == {"model.layers.1.mlp.down_proj"}


def starving(monkeypatch, most: int):
    """Let a forward pass run out of memory beyond `most` tokens."""
    true = Wiring.hidden

    def hidden(self, tokens, positions, plan, names=()):
        if tokens.numel() > most:
            raise torch.OutOfMemoryError("not enough memory: you tried to allocate 1 byte")
        return true(self, tokens, positions, plan, names)

    monkeypatch.setattr(Wiring, "hidden", hidden)


def test_out_of_memory_halves_the_budget_and_loses_nothing(monkeypatch):
    model, requests = make("llama"), scores(13)
    engine = Engine(model, limits=ModelLimits(VOCABULARY, 64), decode=decode, token_budget=512)
    engine.run(requests[:1], lambda batch: None)
    starving(monkeypatch, 100)
    got: dict = {}
    stats = engine.run(requests, lambda batch: got.update({one.key: one for one in batch}))
    assert (stats.halvings, stats.token_budget) == (3, 64)
    assert stats.tokens_forwarded == stats.tokens_distinct
    assert_same(model, requests, got)
    again = engine.run(requests, lambda batch: None)
    assert (again.halvings, again.token_budget) == (0, 64)


def test_out_of_memory_at_the_floor_fails_the_requests(monkeypatch):
    requests = scores(14)
    engine = Engine(make("llama"), limits=ModelLimits(VOCABULARY, 64), decode=decode, token_budget=64)
    engine.run(requests[:1], lambda batch: None)
    starving(monkeypatch, 3)
    got: dict = {}
    stats = engine.run(requests, lambda batch: got.update({one.key: one for one in batch}))
    assert len(got) == stats.requests == len(requests)
    lost = [one for one in got.values() if one.failure]
    assert len(lost) >= len(requests) - 3
    assert {one.failure.kind for one in lost} == {"out_of_memory"}


def test_out_of_memory_while_generating_calls_rows_back(monkeypatch):
    model = make("llama")
    requests = [Generate(f"{i}", (1, 2, i), Generation(max_tokens=8)) for i in range(12)]
    whole, _ = answer(model, requests)
    engine = Engine(model, limits=ModelLimits(VOCABULARY, 64), decode=decode)
    engine.run(requests[:1], lambda batch: None)
    starving(monkeypatch, 20)
    starving_rows(monkeypatch, 5)
    got: dict = {}
    stats = engine.run(requests, lambda batch: got.update({one.key: one for one in batch}))
    assert {key: one.text for key, one in got.items()} == {key: one.text for key, one in whole.items()}
    assert stats.halvings >= 2


def starving_rows(monkeypatch, most: int):
    true = Wiring.hidden

    def hidden(self, tokens, positions, plan, names=()):
        if tokens.shape[0] > most:
            torch.empty(2**50, dtype=torch.uint8)
        return true(self, tokens, positions, plan, names)

    monkeypatch.setattr(Wiring, "hidden", hidden)


def test_other_errors_are_not_taken_for_memory(monkeypatch):
    def broken(self, tokens, positions, plan, names=()):
        raise RuntimeError("size mismatch")

    model, requests = make("llama"), scores(15)
    engine = Engine(model, limits=ModelLimits(VOCABULARY, 64), decode=decode)
    engine.run(requests[:1], lambda batch: None)
    monkeypatch.setattr(Wiring, "hidden", broken)
    with pytest.raises(RuntimeError, match="size mismatch"):
        engine.run(requests, lambda batch: None)


def test_what_the_allocator_says_is_understood():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.uint8)
    assert ran_out(caught.value)
    assert not ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_rows_whose_keys_do_not_fit_together_are_asked_in_turn(monkeypatch):
    """Memory runs out for keys and values, whatever the budget of a pass: fewer rows, and none is lost."""
    model = make("llama")
    requests = [Generate(f"{i}", (1, 2, i), Generation(max_tokens=8)) for i in range(12)]
    whole, _ = answer(model, requests)
    true = Slots.reserve

    def reserve(self, rows, length):
        if rows > 3:
            raise torch.OutOfMemoryError("not enough memory: you tried to allocate 1 byte")
        true(self, rows, length)

    monkeypatch.setattr(Slots, "reserve", reserve)
    got, stats = answer(model, requests)
    assert {key: one.text for key, one in got.items()} == {key: one.text for key, one in whole.items()}
    assert stats.failures == 0
    assert stats.token_budget == 256


def test_out_of_memory_in_the_fallback_asks_fewer_rows_at_once(monkeypatch):
    model = make("mamba")
    requests = [Generate(f"{i}", (1, i), Generation(max_tokens=4)) for i in range(20)]
    whole, _ = answer(model, requests)
    true = PlainGenerator._generate

    def generate(self, prompts, rows, steering):
        if len(rows) > 2:
            raise torch.OutOfMemoryError("not enough memory: you tried to allocate 1 byte")
        true(self, prompts, rows, steering)

    monkeypatch.setattr(PlainGenerator, "_generate", generate)
    got, stats = answer(model, requests)
    assert got == whole
    assert stats.failures == 0
