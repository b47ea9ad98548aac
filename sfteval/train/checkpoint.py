"""The checkpoint folder: weights or adapter, tokenizer, template, generation config.

Comes in: the trained model. Goes out: files that reload to the same prompts and stop tokens (checked from disk).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.errors import DiskError, TrainingError, reason_of
from sfteval.quiet import library_noise_off

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.train.loading import ModelSource
    from sfteval.train.rows import Row
    from sfteval.train.template import ChatTemplate


def save_checkpoint(model: Any, template: ChatTemplate, source: ModelSource, folder: Path) -> None:
    """Write everything that serving needs. `model` is a PEFT model or a full one.

    Raises:
        DiskError: The disk is full or not writable.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging

    generation = generation_config(model, template)
    try:
        more: dict[str, Any] = {}
        if hasattr(model, "peft_config"):
            for config in model.peft_config.values():
                config.base_model_name_or_path = str(source.path)
            # "auto" asks the hub whether the vocabulary grew; it never does here.
            more = {"save_embedding_layers": False}
        with library_noise_off(logging):
            model.save_pretrained(str(folder), safe_serialization=True, **more)
        template.tokenizer.save_pretrained(str(folder))
        generation.save_pretrained(str(folder))
        (folder / "README.md").unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise DiskError(folder, reason_of(error), "room for the checkpoint") from None


def generation_config(model: Any, template: ChatTemplate) -> Any:
    """Return the model's generation config, ending at every end-of-turn token that was trained."""
    generation = model.generation_config
    known = generation.eos_token_id
    known = [] if known is None else [known] if isinstance(known, int) else list(known)
    # Else loading may rebuild it from the model's config, which knows only one eos.
    generation._from_model_config = False
    generation.eos_token_id = [*template.stop_ids, *(stop for stop in known if stop not in template.stop_ids)]
    return generation


def check_checkpoint(folder: Path, template: ChatTemplate, rows: Sequence[Row]) -> None:
    """Reload tokenizer and generation config; prompts (of these rows) and stop tokens must be those that trained.

    Raises:
        TrainingError: The saved template renders another prompt, or generation would not stop at the end of a turn.
    """
    from transformers import AutoTokenizer, GenerationConfig

    from sfteval.train.template import chat_template

    saved = chat_template(AutoTokenizer.from_pretrained(str(folder)), str(folder))
    for row in rows:
        before = row.messages[: next(i for i, turn in enumerate(row.turns) if turn.role == "assistant")]
        texts = [one.render(before, prompt=True, tools=row.tool_list) for one in (template, saved)]
        if texts[0] != texts[1]:
            raise TrainingError(
                f"{row.where}: the saved chat template renders another prompt than the one that trained"
            )
        if template.encode(texts[0]) != saved.encode(texts[1]):
            raise TrainingError(f"{row.where}: the saved tokenizer gives other token ids than the one that trained")
    if saved.fingerprint != template.fingerprint:
        raise TrainingError("the saved chat template is not the one that trained")
    stops = GenerationConfig.from_pretrained(str(folder)).eos_token_id
    if not set(template.stop_ids) <= set(stops):
        raise TrainingError(f"the saved generation config stops at {stops}; trained end-of-turn: {template.stop_ids}")
