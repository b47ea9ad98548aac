"""The model that is trained: weights and tokenizer, in float32.

Comes in: a `ModelSource`, resolved by the caller, who may hand down its own loaders so that training and serving read
the same files the same way. Goes out: model and tokenizer, an adapter parent merged into its base.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, ModelError
from sfteval.quiet import library_noise_off

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sfteval.records import ModelIdentity


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A resolved model reference.

    Attributes:
        path: A model directory or a `.gguf` file (of the base, for an adapter).
        adapter: A PEFT adapter directory on `path`, or None.
        reference: What the person wrote.
        identity: Content hashes, recorded as the parent.
        open_tokenizer: Loads the tokenizer; None reads `adapter` or `path` with transformers.
        open_model: Loads the base's weights in float32, without the adapter; None reads `path` with transformers.
    """

    path: Path
    adapter: Path | None = None
    reference: str = ""
    identity: ModelIdentity | None = None
    open_tokenizer: Callable[[], Any] | None = None
    open_model: Callable[[], Any] | None = None

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.reference or str(self.adapter or self.path)


def load_tokenizer(source: ModelSource) -> Any:
    """Return the tokenizer; the adapter's own if it has one (its template is the one that trained it).

    Raises:
        ModelError: It cannot be loaded.
    """
    if source.open_tokenizer:
        return source.open_tokenizer()
    from transformers import AutoTokenizer

    own = source.adapter and (source.adapter / "tokenizer_config.json").is_file()
    place = source.adapter if own else _folder(source)
    with _Failures(source, "a tokenizer that transformers can load"):
        return AutoTokenizer.from_pretrained(str(place))


def load_model(source: ModelSource) -> Any:
    """Return the model in float32, all of it trainable, an adapter parent merged into its base.

    Raises:
        ModelError: It cannot be loaded.
    """
    from transformers.utils import logging

    with library_noise_off(logging), _Failures(source, "a model that transformers can load"):
        model = source.open_model() if source.open_model else _load_folder(_folder(source))
        if source.adapter:
            from peft import PeftModel

            import sfteval.peft_ext  # noqa: F401  (PEFT learns of bottleneck adapters)

            model = PeftModel.from_pretrained(model, str(source.adapter)).merge_and_unload()
    # peft froze the base when it put the adapter on, and leaves it frozen.
    model.requires_grad_(True)
    return model


def _load_folder(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)


def _folder(source: ModelSource) -> Path:
    """Return `path`; a `.gguf` file needs the caller's loaders: transformers misreads some of their tokenizers."""
    if source.path.suffix == ".gguf":
        raise ModelError(Fault(source.name, "a .gguf file", "a model directory, or loaders for it", "Pass open_model"))
    return source.path


class _Failures:
    """Turn what transformers raises on unreadable files into one ModelError."""

    def __init__(self, source: ModelSource, expected: str) -> None:
        self.source, self.expected = source, expected

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, ValueError, KeyError)):
            found = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelError(Fault(self.source.name, found, self.expected)) from error
