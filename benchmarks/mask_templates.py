"""Whose mask is right: ours against the generation markers of TRL's patched chat templates.

    python benchmarks/mask_templates.py

For every `*_training.jinja` that TRL ships and a chat of two answers: TRL's assistant mask (what
`assistant_only_loss=True` trains on) and the mask of our engine on the same template. A mask is right when each span
starts exactly where the rendered generation prompt ends and ends with the end-of-turn token. A newline that a template
writes after that token, and that TRL trains too, is listed for itself: the model never gets to write it. Ids come from
the tiny base's tokenizer with the family's control tokens added. Prints one table.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import TemplateError
from transformers import AutoTokenizer
from transformers.utils import logging

from sfteval.errors import ModelError
from sfteval.shipped import shipped
from sfteval.train.masks import IGNORED, MaskError, encode
from sfteval.train.rows import Turn
from sfteval.train.template import chat_template

CHAT = (Turn("user", "Hi"), Turn("assistant", "Yo"), Turn("user", "Ok?"), Turn("assistant", "Ja"))
CONTROL = re.compile(r"<[|｜][^<>{}'\"\n]{1,40}[|｜]>|<(?:start|end)_of_turn>|<turn\|>|<\|turn>|\[/?INST\]|</s>")


LATE_END = "runs past the end of turn"


def main() -> None:
    logging.set_verbosity_error()
    rows = [judged(path) for path in sorted(files("trl").joinpath("chat_templates").iterdir(), key=lambda p: p.name)]
    rows = [row for row in rows if row]
    print(f"TRL {version('trl')}: {len(rows)} patched templates\n")
    print("| template | TRL's markers | our engine | ours from |")
    print("|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    tested = [row for row in rows if row[1] != "not testable (text refused)"]
    wrong = sum(row[1] not in ("right", LATE_END) for row in tested)
    late = sum(row[1] == LATE_END for row in tested)
    right = sum(row[2] == "right" for row in tested)
    refused = sum(row[2].startswith("refused") for row in tested)
    print(f"\nTestable: {len(tested)}. TRL wrong: {wrong}, and {late} more that only run past the end of turn.")
    print(f"Ours right: {right}, refused: {refused}, wrong: {len(tested) - right - refused}.")


def judged(path: Any) -> tuple[str, str, str, str] | None:
    if not path.name.endswith("_training.jinja"):
        return None
    name, text = path.name.removesuffix("_training.jinja"), path.read_text(encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(str(shipped("fixtures/tiny_base")))
    tokenizer.add_tokens(sorted(set(CONTROL.findall(text))), special_tokens=True)
    tokenizer.chat_template = text
    messages = [turn.message for turn in CHAT]
    try:
        made = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        template = chat_template(tokenizer, name)
    except (ModelError, TemplateError, ValueError, TypeError) as error:
        return name, "not testable (text refused)", type(error).__name__, ""
    theirs = spans_of(made["assistant_masks"])
    try:
        ours = encode(CHAT, template)
    except MaskError as error:
        return (
            name,
            verdict(theirs, made["input_ids"], template),
            "refused: not prefix-stable" if "prefix-stable" in str(error) else f"refused: {error}",
            "",
        )
    learned = spans_of([label != IGNORED for label in ours.labels])
    return name, verdict(theirs, made["input_ids"], template), verdict(learned, list(ours.ids), template), ours.source


def spans_of(mask: list[Any]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for place, learned in enumerate(mask):
        if learned and spans and spans[-1][1] == place:
            spans[-1] = (spans[-1][0], place + 1)
        elif learned:
            spans.append((place, place + 1))
    return spans


def verdict(spans: list[tuple[int, int]], ids: list[int], template: Any) -> str:
    if len(spans) != 2:
        return f"{len(spans)} spans for 2 answers"
    found = []
    for (start, end), place in zip(spans, (1, 3), strict=True):
        prompt = template.encode(template.render([turn.message for turn in CHAT[:place]], prompt=True))
        if ids[: len(prompt)] != prompt:
            found.append("prompt differs from the one that generates")
        elif start > len(prompt):
            found.append(f"starts {start - len(prompt)} tokens late")
        elif start < len(prompt):
            found.append(f"starts {len(prompt) - start} tokens early (prompt in the loss)")
        if ids[end - 1] not in template.stop_ids:
            stops = [i for i in range(start, end) if ids[i] in template.stop_ids]
            found.append(LATE_END if stops else "end of turn not trained")
    return "; ".join(dict.fromkeys(found)) or "right"


if __name__ == "__main__":
    main()
