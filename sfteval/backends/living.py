"""A model that is being trained, as a `Backend`: no reload, no copy of its weights, no trace.

Comes in: model and tokenizer as a training script holds them. Goes out: `LivingBackend`s for the model as it is now,
and for its base (adapter switched off). Tokenizer and configuration are saved once and read back as serving would read
them, so that the prompts are those of `pytest suites/` and the script's own tokenizer is never touched.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sfteval.backends.identity import identify, template_hash
from sfteval.backends.references import Kind, ModelReference
from sfteval.backends.tokenization import HubTokenization
from sfteval.backends.undisturbed import undisturbed
from sfteval.backends.weights import switched_off
from sfteval.errors import Fault, ModelError
from sfteval.quiet import library_noise_off
from sfteval.records import ModelIdentity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sfteval.engine import Engine
    from sfteval.protocols import OnBatch, Tokenization
    from sfteval.records import Request

# Initialisations that change the base's own weights: with the adapter off, the base is no longer the base.
REWRITING = ("pissa", "olora", "corda", "loftq", "lora_ga")


class LivingModel:
    """The live model with its tokenization; makes backends that share one engine."""

    def __init__(self, model: Any, tokenizer: Any, *, base: ModelIdentity | None = None) -> None:
        """Read tokenizer and configuration.

        Args:
            model: A causal language model or a PEFT model, on its device.
            tokenizer: Its tokenizer, with chat template.
            base: What the model is before step 1, if that is known from files; else its weights are hashed.

        Raises:
            ModelError: The tokenizer cannot be used, or the weights are spread over processes.
        """
        _refuse_sharded(model)
        self.model = model
        self._engines: dict[bool, Engine] = {}
        with tempfile.TemporaryDirectory(prefix="sfteval-living-") as folder:
            reference = _saved(model, tokenizer, Path(folder))
            self.text = HubTokenization(reference)
            self.files = identify(reference)
        self.text.max_length -= _virtual_tokens(model)
        self._known = base

    @property
    def adapted(self) -> bool:
        """True when the base can be had by switching the adapter off."""
        configs = getattr(self.model, "peft_config", {})
        ways = [str(getattr(config, "init_lora_weights", "")).lower() for config in configs.values()]
        return bool(configs) and not any(way.startswith(REWRITING) for way in ways)

    def base(self) -> LivingBackend:
        """Return the backend that answers as the base: the adapter off, or the model itself before step 1."""
        return LivingBackend(self, self._base_identity(), adapter_off=self.adapted)

    def now(self, step: int) -> LivingBackend:
        """Return the backend that answers as the model after `step`."""
        return LivingBackend(self, self._identity(f"step:{step}", "live"), adapter_off=False)

    def engine(self, model: Any, *, adapter_off: bool) -> Engine:
        """Return the engine for the model in one of its two states."""
        from sfteval.engine import Engine, ModelLimits

        if adapter_off not in self._engines:
            text = self.text
            limits = ModelLimits(text.vocabulary, text.max_length, text.end_of_turn, special=text.special)
            self._engines[adapter_off] = Engine(model, limits=limits, decode=text.decode)
        return self._engines[adapter_off]

    def _base_identity(self) -> ModelIdentity:
        plain = next(self.model.parameters()).dtype == torch.float32
        if self._known is not None and plain and not self._known.adapter:
            return self._known
        return self._identity(_weights_hash(self.model, frozen_only=self.adapted), "")

    def _identity(self, weights: str, adapter: str) -> ModelIdentity:
        dtype = str(next(self.model.parameters()).dtype).removeprefix("torch.")
        name = str(getattr(self.model.config, "_name_or_path", "") or "live model")
        return ModelIdentity(
            reference=name,
            weights=weights,
            adapter=adapter,
            tokenizer=self.files.tokenizer,
            template=template_hash(self.text.template),
            numerics=f"{dtype}/live/{self.files.numerics}",
        )


class LivingBackend:
    """One state of a live model. Nothing to load, nothing to close."""

    def __init__(self, living: LivingModel, identity: ModelIdentity, *, adapter_off: bool) -> None:
        """Made by `LivingModel`."""
        self._living, self._off = living, adapter_off
        self.identity = identity
        self.text: Tokenization = living.text
        self.template = living.text.template

    def respond(self, requests: Sequence[Request], on_batch: OnBatch) -> None:
        """Answer every request once, in evaluation mode; the model is left as it was found."""
        if not requests:
            return
        with undisturbed(self._living.model), _state(self._living.model, adapter_off=self._off) as model:
            self._living.engine(model, adapter_off=self._off).run(requests, on_batch)

    def close(self) -> None:
        """Do nothing: the model is its owner's."""


@contextmanager
def _state(model: Any, *, adapter_off: bool) -> Iterator[Any]:
    if not adapter_off:
        yield model
        return
    base = model.get_base_model()
    with switched_off(base, model):
        yield base


def _saved(model: Any, tokenizer: Any, folder: Path) -> ModelReference:
    from transformers.utils import logging

    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    with library_noise_off(logging):
        tokenizer.save_pretrained(str(folder))
        base.config.save_pretrained(str(folder))
        if getattr(base, "generation_config", None) is not None:
            base.generation_config.save_pretrained(str(folder))
    return ModelReference("live model", Kind.FULL, folder)


def _virtual_tokens(model: Any) -> int:
    configs = getattr(model, "peft_config", {}).values()
    return sum(int(getattr(config, "num_virtual_tokens", 0) or 0) for config in configs)


def _weights_hash(model: Any, *, frozen_only: bool) -> str:
    """Return the sha256 of all parameters, or of those that an adapter leaves alone; names as the base has them."""
    found = {}
    for name, value in model.named_parameters():
        if not (frozen_only and value.requires_grad):
            found[name.replace(".base_layer.", ".").removeprefix("base_model.model.")] = value
    digest = hashlib.sha256()
    for name in sorted(found):
        value = found[name].detach().contiguous().cpu()
        digest.update(f"{name}/{value.dtype}/{tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _refuse_sharded(model: Any) -> None:
    """Refuse weights that no single process holds: an evaluation would answer with parts of a model."""
    for name, value in model.named_parameters():
        if value.numel() == 0 or hasattr(value, "ds_id") or type(value).__name__ == "DTensor":
            found = f"a model whose weights are spread over processes (first: {name})"
            do = "Evaluate saved checkpoints with `sfteval eval`, or train with DDP"
            raise ModelError(Fault("live evaluation", found, "every weight in each process", do))
