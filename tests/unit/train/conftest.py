"""Small tokenizers and models, built on the spot; nothing is downloaded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from train_templates import CHATML

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<s>",
    "<|end|>",
    "<|return|>",
    "<turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<｜end▁of▁sentence｜>",
)


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    """A byte-level tokenizer: SPECIALS come first, then the 256 bytes; merges only if asked for."""

    def make(template: str | None = CHATML, merges: Sequence[tuple[str, str]] = (), **special: str) -> Any:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        words = [*alphabet, *(a + b for a, b in merges)]
        vocabulary = {word: index + len(SPECIALS) for index, word in enumerate(words)}
        vocabulary |= {word: index for index, word in enumerate(SPECIALS)}
        raw = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        raw.decoder = decoders.ByteLevel()
        raw.add_special_tokens(list(SPECIALS))
        named = {"bos_token": "<s>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"} | special
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, **named)
        tokenizer.chat_template = template
        return tokenizer

    return make


@pytest.fixture(scope="session")
def ids_of(make_tokenizer: Callable[..., Any]) -> Callable[[str], list[int]]:
    """Ids of plain text in the merge-free tokenizer, by hand: one per UTF-8 byte."""
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}

    def ids(text: str) -> list[int]:
        return [len(SPECIALS) + alphabet.index(symbols[byte]) for byte in text.encode()]

    return ids


@pytest.fixture(scope="session")
def tiny_base(make_tokenizer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 60k parameters with the ChatML tokenizer, on disk."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny_base")
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=8,
        eos_token_id=0,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Write conversations (lists of (role, content)) or raw lines as JSONL."""

    def write(rows: Sequence[Any], name: str = "rows.jsonl") -> Path:
        lines = [
            row if isinstance(row, str) else json.dumps({"messages": [{"role": r, "content": c} for r, c in row]})
            for row in rows
        ]
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
