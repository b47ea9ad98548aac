"""Put a method on a loaded model, with its trained parameters at a sensible start.

Comes in: the loaded model and the config. Goes out: the model that is trained. Prefixes and prompts start from what the
model itself makes of real tokens: PEFT's own random start costs 1.8 nats on general text (PEFT's MetaMathQA board).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from sfteval.errors import Fault, InputError
from sfteval.quiet import library_noise_off
from sfteval.train.method_config import Prefix, Prompt
from sfteval.train.methods import peft_config
from sfteval.train.movement import bits
from sfteval.train.new_tokens import give_rows, train_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sfteval.train.config import TrainingConfig


def adapt(model: Any, config: TrainingConfig, tokenizer: Any) -> Any:
    """Return the model with the config's method on it; the same seed gives the same start.

    Raises:
        InputError: The method does not fit the model.
    """
    ids = tuple(tokenizer.convert_tokens_to_ids(list(config.new_tokens.tokens))) if config.new_tokens else ()
    give_rows(model, ids)
    settings = peft_config(config.method, model, config.peft)
    if settings is None:
        return model
    if config.new_tokens:
        train_rows(settings, config.new_tokens, ids, model)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        before = {name: bits(value) for name, value in model.named_parameters()} if config.peft else {}
        adapted = inject(model, settings)
        _require_the_base(adapted, before)
        if isinstance(config.method, Prefix | Prompt):
            _start_virtual_tokens(adapted, config.method, tokenizer)
    return adapted


def _require_the_base(adapted: Any, before: Mapping[str, int]) -> None:
    """Refuse a start that rewrites the base, as PiSSA does: the saved adapter would not belong to the base on disk."""
    named = adapted.named_parameters() if before else ()
    now = {name.removeprefix("base_model.model.").replace(".base_layer.", "."): value for name, value in named}
    moved = [name for name, value in now.items() if name in before and bits(value) != before[name]]
    if moved:
        found = f"a start that changes the base's own weights ({len(moved)} tensors, first: {moved[0]})"
        do = "An adapter made so would not belong to the base on disk; choose another init_lora_weights"
        raise InputError(Fault("peft", found, "one that leaves the base as it is", do))


def inject(model: Any, settings: Any) -> Any:
    """Return a PEFT model.

    Raises:
        InputError: PEFT finds nothing to train in this model.
    """
    from peft import get_peft_model
    from transformers.utils import logging

    try:
        with library_noise_off(logging):
            return get_peft_model(model, settings)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        found = f"a method that PEFT cannot put on this model ({' '.join(str(error).split())[:300]})"
        raise InputError(Fault("method", found, "a method that fits the model")) from error


@torch.no_grad()
def _start_virtual_tokens(model: Any, method: Prefix | Prompt, tokenizer: Any) -> None:
    base = model.get_base_model()
    ids = _start_ids(base, method, tokenizer)
    encoder = model.prompt_encoder[model.active_adapter]
    if isinstance(method, Prompt):
        encoder.embedding.weight.copy_(base.get_input_embeddings()(ids)[0])
    elif not method.projection:
        training = base.training
        cache = base.eval()(input_ids=ids, use_cache=True).past_key_values
        base.train(training)
        encoder.load_prompt_embeddings(_flat(cache))


def _start_ids(base: Any, method: Prefix | Prompt, tokenizer: Any) -> torch.Tensor:
    """Return (1, tokens) ids: the method's text, repeated or cut to fit, else drawn from the vocabulary."""
    text = getattr(method, "text", "")
    device = base.get_input_embeddings().weight.device
    if not text:
        return torch.randint(len(tokenizer), (1, method.tokens)).to(device)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise InputError(Fault("method.text", repr(text), "a text of at least one token"))
    repeated = (ids * -(-method.tokens // len(ids)))[: method.tokens]
    return torch.tensor([repeated], device=device)


def _flat(cache: Any) -> torch.Tensor:
    """Return keys and values of one row as (tokens, layers · 2 · heads · head size), the layout of PEFT's prefix."""
    parts = [part[0].transpose(0, 1).flatten(1) for layer in cache.layers for part in (layer.keys, layer.values)]
    return torch.cat(parts, dim=1)
