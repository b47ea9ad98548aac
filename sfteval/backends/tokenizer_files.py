"""A model's tokenizer and configuration as transformers reads them, and the few numbers that they hold.

Comes in: folders and `.gguf` files. Goes out: the tokenizer, the configuration, the longest sequence, the rows of the
embedding, the ids at which generation ends. Remote code is never run; failures are `ModelError`s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.backends.gguf_header import read_gguf
from sfteval.backends.weight_files import read_json, tensor_shapes
from sfteval.errors import Fault, ModelError
from sfteval.quiet import library_noise_off

if TYPE_CHECKING:
    from pathlib import Path

    from sfteval.backends.references import ModelReference

DEFAULT_LENGTH = 2048
UNSET_LENGTH = 1_000_000_000
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight", "tok_embeddings.weight")
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError)


def load_tokenizer(home: Path) -> Any:
    """Load the tokenizer of a folder or `.gguf` file. Raises ModelError."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    try:
        with library_noise_off(logging, stderr=True):
            tokenizer = AutoTokenizer.from_pretrained(**_place(home))
    except UNREADABLE as error:
        raise ModelError(_unloadable(home, "tokenizer", error)) from error
    if home.is_file():
        repair_pre_tokenizer(tokenizer, read_gguf(home).get("tokenizer.ggml.pre"))
    return tokenizer


def load_config(home: Path) -> Any:
    """Load the configuration of a folder or `.gguf` file. Raises ModelError."""
    from transformers import AutoConfig
    from transformers.utils import logging

    try:
        with library_noise_off(logging, stderr=True):
            return AutoConfig.from_pretrained(**_place(home))
    except UNREADABLE as error:
        raise ModelError(_unloadable(home, "configuration", error)) from error


def _place(home: Path) -> dict[str, Any]:
    """Return where transformers finds the files, and that it runs no code from there."""
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    if home.is_file():
        return options | {"pretrained_model_name_or_path": str(home.parent), "gguf_file": home.name}
    return options | {"pretrained_model_name_or_path": str(home)}


def repair_pre_tokenizer(tokenizer: Any, kind: str | None) -> None:
    r"""Split digits one by one where the vocabulary was learned so and transformers 5.23 does not know it.

    Without it `"a  7"` becomes two tokens of space and digit that the model never saw. The families are those that
    llama.cpp gives the pattern `\p{N}` before GPT-2's (`llama-vocab.cpp`, `LLAMA_VOCAB_PRE_TYPE_SMOLLM` and others).
    """
    from tokenizers import pre_tokenizers

    if kind in {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )


def _unloadable(home: Path, part: str, error: Exception) -> Fault:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    advice = "Check the files, or save them again; models that bring their own code are not run."
    return Fault(
        str(home), f"a {part} that cannot be loaded ({reason})", f"a {part} that transformers can read", advice
    )


def default_template(tokenizer: Any) -> str | None:
    """Return the tokenizer's chat template (the default one of several), or None."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return template or None


def max_length(config: Any, tokenizer: Any) -> int:
    """Return the longest sequence, by lm-eval's rule (`lm_eval/models/utils.py` `resolve_max_length`)."""
    text = getattr(config, "text_config", None) or config
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        if (value := getattr(text, name, None)) is not None:
            return int(value)
    known = getattr(tokenizer, "model_max_length", None)
    return int(known) if known is not None and known < UNSET_LENGTH else DEFAULT_LENGTH


def embedding_rows(reference: ModelReference, config: Any) -> int:
    """Return how many token ids the embedding knows; an adapter may bring a resized one of its own."""
    text = getattr(config, "text_config", None) or config
    return adapter_rows(reference) or int(text.vocab_size)


def adapter_rows(reference: ModelReference) -> int | None:
    """Return the rows of the embedding that an adapter brings in place of its base's, None if it brings none."""
    if reference.base is None:
        return None
    shapes = (shape for file in reference.weights for name, shape in tensor_shapes(file).items() if _is_embedding(name))
    whole = next((shape[0] for shape in shapes), None)
    return _rows_for_tokens(reference) if whole is None else whole


def _rows_for_tokens(reference: ModelReference) -> int | None:
    """Return the rows that an adapter's own token rows need, None if its base has them already."""
    assert reference.base is not None
    trained = read_json(reference.path / "adapter_config.json").get("trainable_token_indices")
    lists = list(trained.values()) if isinstance(trained, dict) else [trained] if isinstance(trained, list) else []
    needed = 1 + max((index for indices in lists for index in indices), default=-1)
    config = load_config(reference.base.path) if needed else None
    text = getattr(config, "text_config", None) or config
    return needed if needed > int(getattr(text, "vocab_size", 0)) and needed else None


def virtual_tokens(reference: ModelReference) -> int:
    """Return how many positions a prompt-learning adapter takes for itself."""
    if reference.base is None:
        return 0
    return int(read_json(reference.path / "adapter_config.json").get("num_virtual_tokens") or 0)


def generation_eos(home: Path, config: Any) -> int | list[int] | None:
    """Return the ids at which the model's own settings end a generation: generation_config.json, else config.json."""
    settings = home / "generation_config.json"
    found = read_json(settings).get("eos_token_id") if settings.is_file() else None
    if found is None:
        found = getattr(config, "eos_token_id", None)
    return found


def _is_embedding(name: str) -> bool:
    return name.endswith(EMBEDDINGS)
