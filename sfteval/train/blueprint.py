"""A model without weights: its configuration to modules on the meta device, with a method on them.

Comes in: a `config.json` (or the folder that holds it) and a method. Goes out: the model whose parameters have shapes
but no storage, and exact counts. Nothing of the weights is read; remote code is never run.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sfteval.errors import Fault, ModelError
from sfteval.quiet import library_noise_off
from sfteval.train.adapting import inject
from sfteval.train.lora_fusion import fuse_lora
from sfteval.train.methods import peft_config
from sfteval.train.new_tokens import give_rows, train_rows

if TYPE_CHECKING:
    from pathlib import Path

    from sfteval.train.method_config import Method, NewTokens, PeftOptions

FAILURES = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError)


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameters by number: trained, all (base and adapter), and the frozen ones in linear layers but the head."""

    trainable: int
    total: int
    linear: int


def read_model_config(place: Path) -> Any:
    """Read a model's configuration from its folder or its `config.json`.

    Raises:
        ModelError: It is not there, or transformers knows no such model without running its code.
    """
    from transformers import AutoConfig
    from transformers.utils import logging

    try:
        with library_noise_off(logging, stderr=True):
            return AutoConfig.from_pretrained(str(place), trust_remote_code=False, local_files_only=True)
    except FAILURES as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(Fault(str(place), f"a configuration that cannot be read ({reason})", "config.json")) from error


@dataclass(frozen=True, slots=True)
class Added:
    """New tokens: what the person wrote, and their ids."""

    wanted: NewTokens
    ids: tuple[int, ...]


def build(config: Any, method: Method, options: PeftOptions | None = None, added: Added | None = None) -> Any:
    """Return the model that the method trains, on the meta device.

    Args:
        config: The model's transformers configuration.
        method: The method with its options.
        options: The `peft` block, for `method: peft`.
        added: New tokens, for `full` and `lora`.

    Raises:
        InputError: The method does not fit the model.
        ModelError: The configuration makes no causal language model.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    with library_noise_off(logging), warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        try:
            # A copy: PEFT and transformers write into it.
            model = AutoModelForCausalLM.from_config(copy.deepcopy(config), trust_remote_code=False)
        except FAILURES as error:
            reason = " ".join(str(error).split())[:300]
            found = f"a configuration that makes no causal language model ({reason})"
            raise ModelError(Fault(str(config.model_type), found, "a causal language model")) from error
        give_rows(model, added.ids if added else ())
        settings = peft_config(method, model, options)
        if settings is None:
            return model
        if added:
            train_rows(settings, added.wanted, added.ids, model)
        if hasattr(settings, "init_lora_weights"):
            settings.init_lora_weights = True  # Others decompose weights, and there are none; shapes stay the same.
        adapted = inject(model, settings)
        fuse_lora(adapted)  # as the trainer does: it keeps less
        return adapted


def count(model: Any) -> Counts:
    """Count a model's parameters; tied ones once."""
    parameters = list(model.parameters())
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = base.get_output_embeddings()
    linear = sum(
        module.weight.numel()
        for module in base.modules()
        if isinstance(module, torch.nn.Linear) and module is not head and not module.weight.requires_grad
    )
    trainable = sum(value.numel() for value in parameters if value.requires_grad)
    return Counts(trainable, sum(value.numel() for value in parameters), linear)


def shallow(config: Any, layers: int) -> Any:
    """Return the configuration with fewer layers."""
    smaller = copy.deepcopy(config)
    text = smaller.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = list(text.layer_types)[:layers]
    return smaller
