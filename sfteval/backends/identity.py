"""What a model is, by content: hashes of everything that its answers depend on.

Comes in: a `ModelReference`. Goes out: a `ModelIdentity`. Neither torch nor transformers is imported.

- `weights`: the sha256 of each weight file in order, with the parts of `config.json` and `generation_config.json`
  that change answers (the same tensors under another rope base are another model).
- `adapter`: likewise, with `adapter_config.json` without the fields that only say where things are.
- `tokenizer`: its files, the template among them, since it also says where a turn ends.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from sfteval.backends.cache import file_hash
from sfteval.backends.gguf_header import read_gguf
from sfteval.backends.references import Kind, ModelReference
from sfteval.backends.weight_files import read_json
from sfteval.errors import Fault, ModelError
from sfteval.records import ModelIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NUMERICS = "float32/engine-1"
VOLATILE = {
    "config.json": {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache", "_commit_hash"},
    "generation_config.json": {"_from_model_config", "transformers_version", "_commit_hash", "use_cache"},
    "adapter_config.json": {
        "auto_mapping",
        "base_model_name_or_path",
        "inference_mode",
        "parent_library",
        "peft_version",
        "revision",
        "task_type",
    },
    "tokenizer_config.json": {
        "is_local",
        "local_files_only",
        "name_or_path",
        "tokenizer_file",
        "transformers_version",
        "chat_template",
    },
}
TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "spiece.model",
    "tekken.json",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
)
LISTS_WITHOUT_ORDER = {"target_modules", "modules_to_save", "exclude_modules"}


def identify(reference: ModelReference, *, template: str | None = None) -> ModelIdentity:
    """Hash a model's content.

    Args:
        reference: A resolved full checkpoint, adapter or GGUF file.
        template: Chat template for a model that has none of its own.

    Raises:
        ModelError: A file cannot be read.
    """
    base = reference.base or reference
    try:
        own = own_template(reference)
        tokenizer = _tokenizer(reference.tokenizer, own)
        weights = _weights(base)
        adapter = _hash([_files(reference.weights), _settings(reference.path, "adapter_config.json")])
    except OSError as error:
        fault = Fault(
            str(error.filename or reference.path), f"an unreadable file ({error.strerror})", "a readable model"
        )
        raise ModelError(fault) from error
    return ModelIdentity(
        reference=reference.reference,
        weights=weights,
        adapter=adapter if reference.kind is Kind.ADAPTER else "",
        tokenizer=tokenizer,
        template=template_hash(own or template),
        numerics=_numerics(base),
        training=reference.training,
    )


def template_hash(template: str | None) -> str:
    """Return the sha256 of a template's text, "" if there is none."""
    return hashlib.sha256(template.encode()).hexdigest() if template else ""


def own_template(reference: ModelReference) -> str | None:
    """Return the chat template that the model brings itself, read from its files, or None."""
    home = reference.tokenizer
    if home.is_file():
        return read_gguf(home).get("tokenizer.chat_template")
    if (home / "chat_template.jinja").is_file():
        return (home / "chat_template.jinja").read_text(encoding="utf-8")
    config = home / "tokenizer_config.json"
    found = read_json(config).get("chat_template") if config.is_file() else None
    if isinstance(found, list):
        named = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
        found = named.get("default")
    return found if isinstance(found, str) else None


def _numerics(base: ModelReference) -> str:
    """Return in what the model computes, and for a GGUF file in what its weights were stored, such as `Q4_K_M`."""
    kind = read_gguf(base.path).get("general.file_type") if base.kind is Kind.GGUF else None
    if not kind:  # absent, or 0: float32
        return NUMERICS
    from gguf.constants import LlamaFileType

    known = {each.value: each.name.partition("_")[2] for each in LlamaFileType}
    return f"{NUMERICS}/{known.get(kind, f'type-{kind}')}"


def _weights(base: ModelReference) -> str:
    if base.kind is Kind.GGUF:
        return file_hash(base.path)
    settings = [_settings(base.path, name) for name in ("config.json", "generation_config.json")]
    return _hash([_files(base.weights), *settings])


def _tokenizer(home: Path, template: str | None) -> str:
    if home.is_file():
        return file_hash(home)
    files = {name: file_hash(home / name) for name in TOKENIZER_FILES if (home / name).is_file()}
    return _hash([files, _settings(home, "tokenizer_config.json"), template])


def _files(files: Sequence[Path]) -> list[str]:
    return [file_hash(file) for file in files]


def _settings(folder: Path, name: str) -> dict[str, Any] | None:
    """Return a configuration's fields that can change an answer; None if there is no such file."""
    path = folder / name
    if not path.is_file():
        return None
    kept = {key: value for key, value in read_json(path).items() if key not in VOLATILE[name]}
    return {key: _ordered(key, value) for key, value in kept.items()}


def _ordered(key: str, value: Any) -> Any:
    return sorted(map(str, value)) if key in LISTS_WITHOUT_ORDER and isinstance(value, list) else value


def _hash(parts: list[Any]) -> str:
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
