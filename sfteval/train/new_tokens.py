"""Tokens that the model has never seen: into the tokenizer, the embedding and the head.

Comes in: the config's `new_tokens`. Goes out: a tokenizer that knows them, a model with a row for each (the mean of the
rows before), and which rows a LoRA trains besides its matrices. Full fine-tuning trains all rows anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from sfteval.errors import Fault, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.train.method_config import NewTokens


def add_tokens(tokenizer: Any, wanted: NewTokens | None) -> tuple[int, ...]:
    """Add the tokens to the tokenizer; return their ids.

    Raises:
        InputError: A token that the vocabulary already has.
    """
    if wanted is None:
        return ()
    known = tokenizer.get_vocab()
    faults = [
        Fault("new_tokens.tokens", f"{token!r}, which the vocabulary has already", "tokens that are new")
        for token in wanted.tokens
        if token in known
    ]
    if faults:
        raise InputError(faults)
    tokenizer.add_tokens(list(wanted.tokens))
    return tuple(tokenizer.convert_tokens_to_ids(list(wanted.tokens)))


@torch.no_grad()
def give_rows(model: Any, ids: Sequence[int]) -> None:
    """Make room for the ids; each new row starts as the mean of those before, in the embedding and an untied head."""
    if not ids:
        return
    first, rows = min(ids), model.get_input_embeddings().weight.shape[0]
    if max(ids) >= rows:
        model.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    for weight in {id(layer.weight): layer.weight for layer in layers}.values():
        weight[list(ids)] = weight[:first].mean(dim=0)


def train_rows(settings: Any, wanted: NewTokens, ids: Sequence[int], model: Any) -> None:
    """Let a LoRA train the rows of the new tokens, or the whole embedding, and save them with the adapter."""
    names = _layer_names(model)
    tied = len(names) == 1
    if wanted.train == "rows":
        settings.trainable_token_indices = {name: list(ids) for name in names}
    else:
        settings.modules_to_save = names
        settings.ensure_weight_tying = tied


def _layer_names(model: Any) -> list[str]:
    """Return the last names of the embedding and, if it has weights of its own, of the head."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    wanted = [embedding] if head.weight is embedding.weight else [embedding, head]
    return [next(name for name, module in model.named_modules() if module is one).rpartition(".")[2] for one in wanted]
