"""PEFT models: adapters inside the layers keep the tree, virtual tokens do not."""

from __future__ import annotations

import warnings

import pytest
import torch
from engine_cases import VOCABULARY, answer, assert_same, decode, generated, make, scores

from sfteval.engine import Engine, ModelLimits
from sfteval.records import Generate, Generation


def with_adapter(kind: str):
    peft = pytest.importorskip("peft")
    configs = {
        "lora": lambda: peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"),
        "prefix": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        "prompt": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    }
    torch.manual_seed(1)
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5.23 for an attribute that it deprecates.
        warnings.simplefilter("ignore", FutureWarning)
        model = peft.get_peft_model(make("llama"), configs[kind]()).eval()
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.5)
    return model


@pytest.mark.parametrize(("kind", "tree"), [("lora", True), ("prefix", False), ("prompt", False)])
def test_scores_equal_one_by_one(kind, tree):
    model, requests = with_adapter(kind), scores(7, count=20)
    got, stats = answer(model, requests, 50)
    assert (stats.fallback == "") == tree
    assert_same(model, requests, got)


@pytest.mark.parametrize("kind", ["lora", "prefix", "prompt"])
def test_greedy_equals_generate(kind):
    model, eot = with_adapter(kind), frozenset({3, 7})
    requests = [Generate(r.key, r.prefix, Generation(max_tokens=6)) for r in scores(8, count=6)]
    got, _ = answer(model, requests, 50, eot=eot)
    for request in requests:
        response = got[request.key]
        assert (response.text, response.output_tokens, response.finish_reason) == generated(model, request, eot)


@pytest.mark.parametrize("kind", ["lora", "prefix"])
def test_one_engine_follows_the_adapter_as_it_is_switched(kind):
    model, requests = with_adapter(kind), scores(9, count=10)
    engine = Engine(model, limits=ModelLimits(VOCABULARY, 64), decode=decode)
    adapted: dict = {}
    base: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        engine.run(requests, lambda batch: adapted.update({one.key: one for one in batch}))
        with model.disable_adapter():
            stats = engine.run(requests, lambda batch: base.update({one.key: one for one in batch}))
            assert_same(model, requests, base)
    assert_same(model, requests, adapted)
    assert stats.fallback == ""
    assert all(adapted[key].loglikelihood != base[key].loglikelihood for key in base)
