"""Several adapters and their base in one decoding batch: the same answers as each model alone."""

from __future__ import annotations

import random
import warnings
from contextlib import contextmanager

import peft
import pytest
import torch
from engine_cases import VOCABULARY, decode, make
from test_engine_generation import EOT, prompts

from sfteval.engine import Engine, ModelLimits, generating, trunks
from sfteval.engine.figures import BASE_VOICE
from sfteval.engine.together import Part, generate_together
from sfteval.engine.voices import Voices, mixed_difference, why_not_mixed
from sfteval.records import Generate, Generation

VOICES = (BASE_VOICE, "default", "second")


def adapted(**options):
    """Return a tiny Llama with two LoRA adapters of wide random weights."""
    config = {"task_type": "CAUSAL_LM", "r": 4, "target_modules": "all-linear"} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers 5.23 for what it deprecates
        model = peft.get_peft_model(make("llama"), peft.LoraConfig(**config))
        model.add_adapter("second", peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "up_proj"]))
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.normal_(std=0.3)
    return model.eval()


def switch(model):
    @contextmanager
    def speaking(voice):
        if voice == BASE_VOICE:
            with model.disable_adapter():
                yield model
        else:
            model.set_adapter(voice)
            yield model

    return speaking


def engine(model):
    return Engine(model, limits=ModelLimits(VOCABULARY, 64, EOT), decode=decode, token_budget=60)


def asked(voice, seed):
    rng = random.Random(seed)
    return [
        Generate(f"{voice}-{i}", prompt, Generation(max_tokens=rng.choice([1, 6, 15])))
        for i, prompt in enumerate(prompts(seed))
    ]


def alone(model, requests):
    got: dict = {}
    stats = engine(model).run(requests, lambda batch: got.update({one.key: one for one in batch}))
    return got, stats


@pytest.mark.parametrize(("rows", "trunk"), [(64, 2), (5, 3), (3, 64)])
def test_shared_batches_answer_as_each_model_alone(rows, trunk, monkeypatch):
    monkeypatch.setattr(generating, "MAX_ROWS", rows)
    monkeypatch.setattr(trunks, "TRUNK_TOKENS", trunk)
    model = adapted()
    speaking = switch(model)
    # The same prompts for all: what one model computes of them must not reach another.
    requests = {voice: asked(voice, rows) for voice in VOICES}
    expected, apart = {}, []
    for voice in VOICES:
        with speaking(voice):
            answers, stats = alone(model, requests[voice])
        expected[voice] = answers
        apart.append(stats)
    got: dict = {voice: {} for voice in VOICES}

    def taker(voice):
        return lambda batch: got[voice].update({one.key: one for one in batch})

    parts = [Part(engine(model), voice, requests[voice], taker(voice)) for voice in VOICES]
    stats = generate_together(model, parts, speaking)
    assert got == expected
    texts = [[one.text for one in got[voice].values()] for voice in VOICES]
    assert texts[0] != texts[1] != texts[2] != texts[0]
    assert stats.tokens_generated == sum(one.tokens_generated for one in apart)
    assert stats.tokens_forwarded == stats.tokens_distinct
    if rows == 64:
        assert stats.tokens_forwarded == sum(one.tokens_forwarded for one in apart)
        assert stats.batches < sum(one.batches for one in apart)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_broken_adapter_fails_its_own_rows_and_no_other():
    model = adapted()
    speaking = switch(model)
    requests = {voice: asked(voice, 2) for voice in VOICES[:2]}
    with speaking(BASE_VOICE):
        expected, _ = alone(model, requests[BASE_VOICE])
    with torch.no_grad():
        model.base_model.model.model.layers[1].mlp.down_proj.lora_B["default"].weight[0, 0] = float("nan")
    got: dict = {}
    take = lambda batch: got.update({one.key: one for one in batch})  # noqa: E731
    refused = Generate("default-refused", (), Generation(max_tokens=2))
    asks = {BASE_VOICE: requests[BASE_VOICE], "default": [*requests["default"], refused]}
    parts = [Part(engine(model), voice, asks[voice], take) for voice in asks]
    stats = generate_together(model, parts, speaking)
    assert {key: one for key, one in got.items() if key.startswith(BASE_VOICE)} == expected
    failures = {one.failure.kind for key, one in got.items() if key.startswith("default-") and key != refused.key}
    assert failures == {"nan_logits"}
    assert got[refused.key].failure.kind == "empty_prompt"
    assert stats.failures == len(asks["default"])


def test_keys_that_two_models_share_are_not_mixed():
    model = adapted()
    parts = [Part(engine(model), voice, asked("same", 2), pytest.fail) for voice in VOICES]
    assert generate_together(model, parts, switch(model)) is None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, ""),
        ({"use_dora": True}, "a variant of LoRA (DoraLinearVariant)"),
        ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, "a trained ModulesToSaveWrapper"),
        ({"target_modules": ["q_proj", "lm_head"]}, "an adapter on the vocabulary head"),
    ],
)
def test_what_cannot_be_mixed_is_known_beforehand(options, reason):
    assert why_not_mixed(adapted(**options)) == reason


def test_mixing_that_changes_logits_is_measured(monkeypatch):
    model = adapted()
    assert mixed_difference(model, VOICES, switch(model)) < 1e-5
    monkeypatch.setattr(Voices, "_named", lambda self, layer, args, given: (args, given))
    assert mixed_difference(model, VOICES, switch(model)) > 0.01
