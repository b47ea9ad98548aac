"""Training methods: a method's config to a model that trains it.

Comes in: the config's `method` and the loaded model. Goes out: the model with the method on it (a PEFT model, or the
model itself for full fine-tuning). A new method is a config model and a line in `METHODS`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError, ModelError
from sfteval.train.method_config import Adapter, Full, Lora, LowRank, Method, Peft, PeftOptions, Prefix, Prompt, Qlora

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfteval.train.loading import ModelSource


def check_parent(method: Method, source: ModelSource) -> None:
    """Refuse what could not be served afterwards, or not be trained here.

    Raises:
        ModelError: An adapter on top of an adapter (its base would be a merged model that is on no disk), or 4 bits
            without what they need.
    """
    if not isinstance(method, Full) and source.adapter:
        named = "LoRA" if isinstance(method, LowRank) else f"{method.name} adapter"
        found = f"an adapter as the parent of a new {named}"
        do = f"Train the {named} from the adapter's base, or use method: {{name: full}}, which merges the adapter first"
        raise ModelError(Fault(source.name, found, "a full checkpoint", do))
    if isinstance(method, Qlora):
        _check_quantization()


def peft_config(method: Method, model: Any, options: PeftOptions | None = None) -> Any:
    """Return the PEFT config of a method, None if it trains the model's own weights.

    Args:
        method: What the person asked for.
        model: The loaded model, or one on the meta device.
        options: The `peft` block, for `method: peft`.

    Raises:
        InputError: A target names no linear layer of the model; a PEFT type or field that does not exist.
    """
    if isinstance(method, Peft):
        from sfteval.train.any_peft import any_peft_config

        return any_peft_config(options or PeftOptions(type=""))
    return METHODS[type(method)](method, model)


def _full(method: Full, model: Any) -> None:
    return None


def _lora(method: LowRank, model: Any) -> Any:
    from peft import LoraConfig

    if method.targets != "all-linear":
        _check_targets(method.targets, model)
    return LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=method.targets if method.targets == "all-linear" else list(method.targets),
        use_rslora=method.rslora,
        use_dora=method.dora,
        init_lora_weights=True if method.init == "default" else method.init,
        task_type="CAUSAL_LM",
    )


def _prefix(method: Prefix, model: Any) -> Any:
    from peft import PrefixTuningConfig

    more = {"prefix_projection": True, "encoder_hidden_size": method.projection} if method.projection else {}
    return PrefixTuningConfig(num_virtual_tokens=method.tokens, init_weights="zero", task_type="CAUSAL_LM", **more)


def _prompt(method: Prompt, model: Any) -> Any:
    from peft import PromptTuningConfig

    return PromptTuningConfig(num_virtual_tokens=method.tokens, prompt_tuning_init="RANDOM", task_type="CAUSAL_LM")


def _adapter(method: Adapter, model: Any) -> Any:
    from sfteval.peft_ext import BottleneckConfig

    return BottleneckConfig(
        style=method.style,
        width=method.width,
        activation=method.activation,
        dropout=method.dropout,
        scale=method.scale,
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


def _check_quantization() -> None:
    """Refuse: nothing here loads a base in 4 bits yet, and training LoRA on 32 bits under its name would be a lie."""
    found = (
        "a base that would have to be loaded in 4 bits, which needs bitsandbytes and a CUDA GPU and is not built yet"
    )
    do = "Use method: {name: lora}; sfteval plan shows what 4 bits would save"
    raise ModelError(Fault("method qlora", found, "another method", do))


METHODS: dict[type, Callable[[Any, Any], Any]] = {
    Lora: _lora,
    Qlora: _lora,
    Full: _full,
    Prefix: _prefix,
    Prompt: _prompt,
    Adapter: _adapter,
}
