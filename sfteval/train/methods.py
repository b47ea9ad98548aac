"""Training methods: a method's config to what TRL needs for it.

Comes in: the config's `method` and the loaded model. Goes out: a PEFT config, or None for full fine-tuning. A new
method is a config model, a function here, and a line in `METHODS`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError, ModelError
from sfteval.train.config import Full, Lora

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfteval.train.loading import ModelSource


def peft_config(method: Lora | Full, model: Any) -> Any:
    """Return the PEFT config of a method, None if it trains the model's own weights.

    Raises:
        InputError: A target names no linear layer of the model.
    """
    return METHODS[type(method)](method, model)


def check_parent(method: Lora | Full, source: ModelSource) -> None:
    """Refuse what could not be served afterwards.

    Raises:
        ModelError: A new LoRA on top of an adapter: its base would be a merged model that is on no disk.
    """
    if isinstance(method, Lora) and source.adapter:
        found = "an adapter as the parent of a new LoRA"
        do = "Train the LoRA from the adapter's base, or use method: {name: full}, which merges the adapter first"
        raise ModelError(Fault(source.name, found, "a full checkpoint", do))


def _full(method: Full, model: Any) -> None:
    return None


def _lora(method: Lora, model: Any) -> Any:
    from peft import LoraConfig

    if method.targets != "all-linear":
        _check_targets(method.targets, model)
    targets = method.targets if method.targets == "all-linear" else list(method.targets)
    return LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


def _check_targets(targets: tuple[str, ...], model: Any) -> None:
    import torch

    head = model.get_output_embeddings()
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
    faults = []
    for target in targets:
        if target.rpartition(".")[2] not in linear:
            near = difflib.get_close_matches(target, sorted(linear), n=1)
            do = f"Did you mean {near[0]!r}?" if near else ""
            faults.append(Fault("method.targets", repr(target), f"one of {', '.join(sorted(linear))}", do))
    if faults:
        raise InputError(faults)


METHODS: dict[type, Callable[[Any, Any], Any]] = {Lora: _lora, Full: _full}


def rate_warning(method: Lora | Full, rate: float) -> str:
    """Return a warning when the learning rate suits the other method (about ten times apart); "" if it does not."""
    if isinstance(method, Lora) and rate < 3e-5:
        return f"learning_rate {rate:g} suits full fine-tuning; LoRA usually needs ten times more (1e-4 to 5e-4)"
    if isinstance(method, Full) and rate > 2e-4:
        return f"learning_rate {rate:g} suits LoRA; full fine-tuning usually needs ten times less (1e-5 to 5e-5)"
    return ""
