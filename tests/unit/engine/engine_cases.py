"""Tiny random models of several architectures, random request families, and the slow truth to compare with."""

from __future__ import annotations

import random
import warnings
from typing import Any

import torch
import transformers as tf

from sfteval.engine import Engine, EngineStats, ModelLimits
from sfteval.records import Generate, Generation, Request, Response, Score

VOCABULARY = 97
# Wide initial weights, so that logits differ by units and a wrong mask cannot hide in rounding.
WIDE = {"vocab_size": VOCABULARY, "initializer_range": 0.4, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SHAPE = {"hidden_size": 48, "intermediate_size": 64, "max_position_embeddings": 128}
GEMMA = SHAPE | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "sliding_window": 8}


def llama(**changes: Any) -> Any:
    shape = SHAPE | {"num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2}
    return tf.LlamaForCausalLM(tf.LlamaConfig(**WIDE, **shape | changes))


def gpt2() -> Any:
    return tf.GPT2LMHeadModel(tf.GPT2Config(**WIDE, n_embd=48, n_layer=3, n_head=4, n_positions=64))


def gemma3() -> Any:
    kinds = ["sliding_attention", "sliding_attention", "full_attention"]
    return tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(**WIDE, **GEMMA, num_hidden_layers=3, layer_types=kinds))


def gemma2() -> Any:
    caps = {"final_logit_softcapping": 5.0, "attn_logit_softcapping": 5.0, "attn_implementation": "eager"}
    return tf.Gemma2ForCausalLM(tf.Gemma2Config(**WIDE, **GEMMA, **caps, num_hidden_layers=2))


def granite() -> Any:
    """Scale the logits in the model's own forward."""
    shape = SHAPE | {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return tf.GraniteForCausalLM(tf.GraniteConfig(**WIDE, **shape, logits_scaling=3.0, residual_multiplier=0.5))


def mamba() -> Any:
    return tf.MambaForCausalLM(tf.MambaConfig(**WIDE, hidden_size=48, num_hidden_layers=2, state_size=8))


TREE = {"llama": llama, "gpt2": gpt2, "gemma3": gemma3, "gemma2": gemma2, "granite": granite}
ALL = TREE | {"mamba": mamba}


def make(name: str) -> Any:
    torch.manual_seed(0)
    return ALL[name]().eval()


def decode(ids: Any) -> str:
    """Decode each id as one letter."""
    return "".join(chr(97 + i % 26) for i in ids)


def family(seed: int, count: int = 40, add: int = 25) -> list[tuple[int, ...]]:
    """Random sequences, most of which branch off an earlier one; some repeat it."""
    rng = random.Random(seed)
    found: list[tuple[int, ...]] = []
    for _ in range(count):
        other = rng.choice(found) if found and rng.random() < 0.7 else ()
        shared = other[: rng.randrange(1, len(other) + 1)] if other else ()
        new = tuple(rng.randrange(VOCABULARY) for _ in range(rng.randrange(0 if shared else 2, add)))
        found.append(shared + new if len(shared + new) > 1 else (1, 2))
    return found


def scores(seed: int, count: int = 40) -> list[Score]:
    rng = random.Random(seed + 1000)
    cut = [(tokens, rng.randrange(1, min(len(tokens), 6))) for tokens in family(seed, count)]
    return [Score(f"{i}", tokens[:-last], tokens[-last:]) for i, (tokens, last) in enumerate(cut)]


def answer(
    model: Any,
    requests: list[Request],
    budget: int | None = None,
    max_length: int = 64,
    eot: frozenset[int] = frozenset(),
) -> tuple[dict[str, Response], EngineStats]:
    """Run a fresh engine; the fallback's warning is let through."""
    engine = Engine(model, limits=ModelLimits(VOCABULARY, max_length, eot), decode=decode, token_budget=budget)
    got: dict[str, Response] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        stats = engine.run(requests, lambda batch: got.update({one.key: one for one in batch}))
    return got, stats


def alone(model: Any, request: Score, max_length: int = 64) -> tuple[float, bool]:
    """Score one request as lm-eval's HFLM does at batch size 1."""
    whole = (request.prefix + request.continuation)[-(max_length + 1) :]
    with torch.no_grad():
        logits = model(torch.tensor([whole[:-1]])).logits[0]
    # PEFT's virtual tokens have logits too; they come first.
    rows = torch.log_softmax(logits, -1, dtype=torch.float32)[-len(request.continuation) :]
    wanted = torch.tensor(request.continuation)
    return rows.gather(1, wanted[:, None]).sum().item(), bool((rows.argmax(-1) == wanted).all())


def assert_same(model: Any, requests: list[Score], got: dict[str, Response], max_length: int = 64) -> None:
    """Compare every answer with the request computed alone: 1e-4 relative, same greedy flag."""
    for request in requests:
        expected, greedy = alone(model, request, max_length)
        response = got[request.key]
        assert response.failure is None
        assert response.loglikelihood is not None
        assert abs(response.loglikelihood - expected) <= 1e-4 * max(1.0, abs(expected))
        assert response.is_greedy == greedy


def generated(model: Any, request: Generate, eot: frozenset[int], max_length: int = 64) -> tuple[str, int, str]:
    """Return text, tokens and finish reason of `model.generate` on one prompt alone."""
    settings: Generation = request.generation
    prompt = torch.tensor([request.prompt[-(max_length - settings.max_tokens) :]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=settings.max_tokens,
            min_new_tokens=settings.min_tokens or None,
            repetition_penalty=settings.repetition_penalty,
            eos_token_id=sorted(eot) or None,
            pad_token_id=0,
        )[0, prompt.shape[1] :].tolist()
    ended = out[-1] in eot
    return decode(out[:-1] if ended else out), len(out), "end_turn" if ended else "length"
