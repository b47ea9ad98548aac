"""What every method would train and need on a model, without its weights: the joint of backends and train.

Comes in: a training config, a model reference, or the path of a `config.json` alone. Goes out: plain data.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.backends import Kind, checkpoint_of, load_tokenizer, resolve
from sfteval.backends.cache import encodings_dir
from sfteval.errors import Fault, InputError, ModelError
from sfteval.train import TrainingConfig, load_config
from sfteval.train.method_config import METHOD_TABLE, Full, Lora, Prefix, Prompt, make_method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sfteval.backends import ModelReference
    from sfteval.train.blueprint import Added
    from sfteval.train.sizing import MethodSize
    from sfteval.train.tracing import Shape

LENGTH, STEP_TOKENS = 1024, 4096


def plan_sizes(
    target: str, asked: Mapping[str, Any] | None = None, *, length: int | None = None, batch_tokens: int | None = None
) -> dict[str, Any]:
    """Return parameters and memory per method.

    Args:
        target: A training config (`.yaml`), a model reference, or a folder or path of a `config.json` alone.
        asked: Fields of one method; it stands first. A config's own method if left out.
        length: Padded length of a row; the config's data decide it if left out, 1024 without a config.
        batch_tokens: Tokens of one optimiser step, likewise; 4096 without a config.

    Raises:
        InputError: Mistakes in the config, its data, or the asked method.
        ModelError: The model's configuration cannot be read.
    """
    from sfteval.train.sizing import size

    config = load_config(Path(target)) if Path(target).suffix in {".yaml", ".yml"} else None
    reference, place = _find(config.model if config else target, Path(target).parent if config else Path.cwd())
    model_config = _model_config(reference, place)
    first = make_method(asked) if asked else config.method if config else None
    tokenizer, added = _tokenizer(config, reference)
    shapes = _shapes(config, tokenizer, model_config, length, batch_tokens)
    may_pack = config is None or config.optimizer.packing is not False
    methods = {name: method for name, method in METHOD_TABLE.items() if first is None or name != first.name}
    if first is not None:
        methods = {first.name: first} | methods
    options = config.peft if config else None
    sizes = {}
    for name, method in methods.items():
        learns = isinstance(method, Full | Lora)
        packed = may_pack and not isinstance(method, Prefix | Prompt)
        sizes[name] = size(model_config, method, shapes[packed], options, added if learns else None)
        if added and not learns:
            said = f"cannot learn the {len(added.ids)} new tokens"
            sizes[name] = replace(sizes[name], note="; ".join(filter(None, [sizes[name].note, said])))
    return {
        "model": config.model if config else target,
        "batch": {"packed": shapes[True]._asdict() if may_pack else None, "padded": shapes[False]._asdict()},
        "methods": {name: _row(one, asked=name == getattr(first, "name", None)) for name, one in sizes.items()},
    }


def _row(size: MethodSize, *, asked: bool) -> dict[str, Any]:
    memory = size.memory
    return {
        "options": size.method.model_dump(mode="json", exclude={"name"}),
        "asked": asked,
        "trainable_parameters": size.trainable,
        "total_parameters": size.total,
        "memory_bytes": asdict(memory) | {"total": memory.total} if memory else None,
        "note": size.note,
    }


def _find(name: str, root: Path) -> tuple[ModelReference | None, Path]:
    """Return the whole model, if it is one, and where its configuration is."""
    path = root / Path(name).expanduser()
    if path.is_file() and path.suffix == ".json":
        return None, path
    if path.is_dir() and (checkpoint_of(path) / "config.json").is_file():
        try:
            return resolve(name, relative_to=root), checkpoint_of(path)
        except ModelError:
            return None, checkpoint_of(path)  # a configuration without weights is enough
    reference = resolve(name, relative_to=root)
    if reference.kind is Kind.SCRIPTED:
        raise ModelError(Fault(name, "a scripted fake", "a model with a configuration"))
    return reference, (reference.base or reference).path


def _model_config(reference: ModelReference | None, place: Path) -> Any:
    from sfteval.backends.tokenizer_files import load_config as read_gguf_config
    from sfteval.train.blueprint import read_model_config

    gguf = reference is not None and (reference.base or reference).kind is Kind.GGUF
    return read_gguf_config(place) if gguf else read_model_config(place)


def _tokenizer(config: TrainingConfig | None, reference: ModelReference | None) -> tuple[Any, Added | None]:
    """Return a config's tokenizer with its new tokens; (None, None) without a config or its model's files."""
    from sfteval.train.blueprint import Added
    from sfteval.train.new_tokens import add_tokens

    if config is None or reference is None:
        return None, None
    tokenizer = load_tokenizer(reference.tokenizer)
    if config.new_tokens is None:
        return tokenizer, None
    return tokenizer, Added(config.new_tokens, add_tokens(tokenizer, config.new_tokens))


def _shapes(
    config: TrainingConfig | None,
    tokenizer: Any,
    model_config: Any,
    length: int | None,
    batch_tokens: int | None,
) -> dict[bool, Shape]:
    """Return the largest micro-batch, packed (True) and padded."""
    from sfteval.train.shapes import assumed_shape, largest_shapes

    if config and tokenizer and length is None and batch_tokens is None:
        return largest_shapes(config, tokenizer, config.model, cache=encodings_dir())
    longest = getattr(model_config.get_text_config(), "max_position_embeddings", None) or LENGTH
    if length is not None and length > longest:
        raise InputError(Fault("--length", str(length), f"at most {longest}", "That is the model's context"))
    tokens = batch_tokens or (config.optimizer.batch_tokens if config else STEP_TOKENS)
    row = length or min(config.data.max_length if config else LENGTH, longest)
    return {packed: assumed_shape(row, tokens, packed=packed) for packed in (True, False)}
