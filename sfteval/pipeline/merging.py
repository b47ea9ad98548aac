"""Merge an adapter: the joint of backends (weights) and train (real rows to measure on)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.backends import load_tokenizer, resolve
from sfteval.errors import Fault, InputError

if TYPE_CHECKING:
    from sfteval.backends import ModelReference

SHOWN, LONGEST = 16, 512
PROMPTS = (
    "Summarise in one sentence why the invoice total and the order total differ by the shipping fee.",
    "List three capital cities of South America, one a line.",
    'Answer with JSON only: {"name": …, "year": …} for the person who wrote Faust.',
    "Translate into German: The meeting has been moved to Thursday afternoon.",
    "What is 17 times 23? Show the steps.",
    "Write a short, polite reply to a customer whose parcel arrived two days late.",
    "def median(values):\n    # complete this function\n",
    "Explain to a ten-year-old why the moon has phases.",
)


def merge(checkpoint: str, out: Path, inputs: Path | None = None) -> dict[str, Any]:
    """Fold a LoRA adapter into its base.

    Args:
        checkpoint: Reference of the adapter.
        out: New folder of the merged checkpoint.
        inputs: JSONL with `messages` (or `text`) to measure on; the first 16 rows. Prompts of our own if left out.

    Raises:
        ModelError: It is no adapter that can be merged, or the merged model computes something else.
        InputError: `inputs` holds no rows of that kind, or the folder exists.
        DiskError: The folder cannot be written.
    """
    from sfteval.backends.merging import check_mergeable, merge_adapter

    reference = resolve(checkpoint)
    check_mergeable(reference)
    difference = merge_adapter(reference, out, _token_ids(reference, inputs))
    return {"checkpoint": str(out), "adapter": str(reference.path)} | asdict(difference)


def _token_ids(reference: ModelReference, inputs: Path | None) -> list[list[int]]:
    tokenizer = load_tokenizer(reference.tokenizer)
    rows: list[dict[str, Any]] = [{"messages": [{"role": "user", "content": prompt}]} for prompt in PROMPTS]
    if inputs is not None:
        rows = _rows(inputs)
    found = []
    for row in rows[:SHOWN]:
        text = row.get("text")
        if not isinstance(text, str):
            text = _rendered(tokenizer, row["messages"])
        found.append(tokenizer(text, add_special_tokens=not row.get("messages"))["input_ids"][:LONGEST])
    return [ids for ids in found if ids]


def _rendered(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    if tokenizer.chat_template is None:
        return "\n".join(message["content"] for message in messages)
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
    return text


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()][:SHOWN]
        rows = [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise InputError(Fault(str(path), f"an unreadable file ({error})", "JSONL with messages or text")) from None
    if not rows or not all(isinstance(row, dict) and (row.get("messages") or row.get("text")) for row in rows):
        raise InputError(Fault(str(path), "no rows with messages or text", "JSONL with messages or text"))
    return rows
