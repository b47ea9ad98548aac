"""Several adapters on one base in one batch: which row speaks with which, through PEFT's own mixed-batch forward.

PEFT's LoRA layers take `adapter_names`, one name per row of the batch, "__base__" for none (peft 0.21
`tuners/lora/layer.py` `_mixed_batch_forward`). `PeftModel.forward` hands them down by hooks that stay behind when a
pass fails; the engine calls the body alone and survives failed passes, so it hands them down by hooks of its own.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from sfteval.engine.figures import BASE_VOICE
from sfteval.engine.wiring import causal_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    Speaking = Callable[[str], AbstractContextManager[Any]]

MIXED = "_mixed_batch_forward"
PROBE_TOKENS = 8
# Largest difference of two logits, relative to their spread.
TOLERANCE = 1e-4


class Voices:
    """Hands each row's adapter to the LoRA layers of a model.

    Attributes:
        names: PEFT's adapter name per row of the next pass, `BASE_VOICE` for none.
    """

    def __init__(self, model: Any) -> None:
        """Find the layers; nothing is changed before `heard`."""
        self._layers = [module for module in model.modules() if hasattr(module, MIXED)]
        self.names: list[str] = []

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Let every pass inside follow `names`."""
        handles = [layer.register_forward_pre_hook(self._named, with_kwargs=True) for layer in self._layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _named(self, _layer: Any, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, given | {"adapter_names": self.names}


def why_not_mixed(model: Any) -> str:
    """Return what PEFT's mixed batches cannot do about a PEFT model's adapters; "" if they are plain LoRA inside it."""
    if any(config.peft_type != "LORA" for config in model.peft_config.values()):
        return "an adapter that is not LoRA"
    for module in model.modules():
        if hasattr(module, "original_module") or (hasattr(module, "base_layer") and not hasattr(module, MIXED)):
            return f"a trained {type(module).__name__}"
        if getattr(module, "lora_variant", None):
            return f"a variant of LoRA ({type(next(iter(module.lora_variant.values()))).__name__})"
    if hasattr(causal_model(model).get_output_embeddings(), MIXED):
        return "an adapter on the vocabulary head"
    return ""


def any_adapter(names: Sequence[str]) -> str:
    """Return one of the names that is an adapter's: adapters must be switched on where rows name theirs."""
    return next(name for name in names if name != BASE_VOICE)


@torch.no_grad()
def mixed_difference(model: Any, names: Sequence[str], speaking: Speaking) -> float:
    """Return the largest difference of logits in a mixed batch and of each adapter alone, as a share of their spread.

    Args:
        model: The PEFT model.
        names: PEFT's names of the adapters, `BASE_VOICE` for the base.
        speaking: Switches the model to one adapter.
    """
    causal, voices = causal_model(model), Voices(model)
    embedding = causal.get_input_embeddings().weight
    tokens = torch.arange(PROBE_TOKENS, device=embedding.device) % embedding.shape[0]
    ids = tokens.expand(2 * len(names), PROBE_TOKENS)
    voices.names = [*names, *names]
    with speaking(any_adapter(names)), voices.heard():
        mixed = causal(input_ids=ids, use_cache=False).logits.float()
    differences = []
    for place, name in enumerate(voices.names):
        with speaking(name) as alone:
            logits = alone(input_ids=ids[:1], use_cache=False).logits[0].float()
        spread = (logits.max() - logits.min()).clamp(min=1e-9)
        differences.append((mixed[place] - logits).abs().max() / spread)
    return torch.stack(differences).max().item()
