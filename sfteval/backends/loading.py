"""Weights from disk into memory: full checkpoints, GGUF files, adapters on a loaded base. Needs torch.

Comes in: a checked `ModelReference`. Goes out: a transformers model in fp32, in evaluation mode, or a `ModelError`.
A checkpoint that leaves parameters without weights is refused: transformers would fill them with random numbers.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from sfteval.backends.references import Kind, ModelReference
from sfteval.backends.tokenizer_files import adapter_rows
from sfteval.backends.weight_files import read_json
from sfteval.errors import Fault, ModelError
from sfteval.quiet import library_noise_off

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FAILURES = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    MemoryError,
    SafetensorError,
)


def load_base(reference: ModelReference) -> Any:
    """Load a full checkpoint or GGUF file. Raises ModelError."""
    loader: Callable[[Path], Any] = load_gguf if reference.kind is Kind.GGUF else load_full
    model = loader(reference.path)
    return model.to("cuda") if torch.cuda.is_available() else model


def load_full(folder: Path) -> Any:
    """Load a safetensors checkpoint in fp32. Raises ModelError."""
    return _load(folder, str(folder), {"use_safetensors": True})


def load_gguf(file: Path) -> Any:
    """Load a GGUF file, its weights unpacked to fp32. Raises ModelError."""
    from transformers import GgufConfig

    unpacked = GgufConfig(dequantize=True)
    model = _load(file, str(file.parent), {"gguf_file": file.name, "quantization_config": unpacked})
    return _as_plain(model)


def save_plain(model: Any, folder: Path) -> None:
    """Save a model as safetensors."""
    from transformers.utils import logging

    with library_noise_off(logging, stderr=True):
        model.save_pretrained(folder)


def resize_for(model: Any, reference: ModelReference) -> bool:
    """Give the embedding as many rows as the adapter brings; True if that changed the model."""
    rows = adapter_rows(reference)
    if rows is None or rows == model.get_input_embeddings().weight.shape[0]:
        return False
    model.resize_token_embeddings(rows, mean_resizing=False)
    return True


def attach(model: Any, reference: ModelReference) -> Any:
    """Put an adapter on a loaded base, in place. Raises ModelError, also when part of the adapter is missing."""
    from peft import PeftModel

    import sfteval.peft_ext  # noqa: F401  (PEFT learns of bottleneck adapters)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            adapted = PeftModel.from_pretrained(model, str(reference.path), autocast_adapter_dtype=False)
        except FAILURES as error:
            raise ModelError(_unloadable(reference.path, "adapter", error)) from error
    _refuse_missing(reference, [str(w.message) for w in said if "missing adapter keys" in str(w.message)])
    return adapted.float().eval()


def fits_beside(adapted: Any, reference: ModelReference) -> bool:
    """Say whether PEFT can hold the adapter beside those of `adapted`: same method, inside the layers, same rows."""
    config = read_json(reference.path / "adapter_config.json")
    held = list(adapted.peft_config.values())
    rows = adapter_rows(reference)
    return (
        all(one.peft_type == config.get("peft_type") and not one.is_prompt_learning for one in held)
        and config.get("bias", "none") == "none"
        and rows in (None, adapted.get_input_embeddings().weight.shape[0])
    )


def attach_beside(adapted: Any, reference: ModelReference, name: str) -> None:
    """Put a further adapter on, under PEFT's `name`. Raises ModelError as `attach` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            options = {"autocast_adapter_dtype": False, "torch_device": str(adapted.device)}
            found = adapted.load_adapter(str(reference.path), name, **options)
        except FAILURES as error:
            raise ModelError(_unloadable(reference.path, "adapter", error)) from error
    keys = list(found.missing_keys)
    _refuse_missing(reference, [f"Found missing adapter keys: {keys}."] if keys else [])
    adapted.float().eval()


def _refuse_missing(reference: ModelReference, said: Sequence[str]) -> None:
    if said:
        advice = "The adapter does not fit this base model; check base_model_name_or_path, or save it again."
        raise ModelError(Fault(str(reference.path), said[0][:300], "weights for the whole adapter", advice))


def probe(model: Any) -> torch.Tensor:
    """Return the logits of a few tokens, to tell whether a model still computes what it did."""
    with torch.inference_mode():
        ids = torch.arange(8, device=model.device)[None] % model.get_input_embeddings().weight.shape[0]
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
        return logits


def _load(where: Path, name: str, options: dict[str, Any]) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    _refuse_quantized(where)
    try:
        with library_noise_off(logging, stderr=True):
            model, info = AutoModelForCausalLM.from_pretrained(
                name,
                dtype=torch.float32,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
    except FAILURES as error:
        raise ModelError(_unloadable(where, "model", error)) from error
    lost = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if lost:
        found = f"no fitting weights for {len(lost)} parameters: {', '.join(lost[:3])}"
        raise ModelError(Fault(str(where), found, "weights for every parameter", "Save the whole model again."))
    return model.eval()


def _refuse_quantized(where: Path) -> None:
    if where.is_dir() and read_json(where / "config.json").get("quantization_config"):
        found = "quantized weights (quantization_config)"
        advice = "De-quantise and save it, or evaluate the GGUF file."
        raise ModelError(Fault(str(where / "config.json"), found, "plain float weights", advice))


def _as_plain(model: Any) -> Any:
    """Forget that the weights were unpacked from GGUF: saving refuses otherwise."""
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model


def _unloadable(where: Path, part: str, error: BaseException) -> Fault:
    reason = " ".join(str(error).split())[:400] or type(error).__name__
    memory = isinstance(error, MemoryError) or "allocate memory" in reason or "out of memory" in reason.lower()
    advice = "Free memory or take a smaller model." if memory else "Check the files, or save the model again."
    found = f"{'too little memory' if memory else f'{part} files that cannot be loaded'} ({reason})"
    return Fault(str(where), found, "files that transformers and peft can load", advice)
