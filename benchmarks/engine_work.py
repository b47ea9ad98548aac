"""Published benchmark files in; the workloads of `benchmarks/engine.py` out, as token ids.

Prompts follow lm-eval 0.4.13's task YAML (arc_easy, hellaswag, mmlu, gsm8k, wikitext, ifeval). Data is read from a
folder of downloads, never copied; a workload whose file is absent raises FileNotFoundError, and its row says so.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfteval.records import Generate, Generation, Request, Score

SEED = 1234
ROLLING_WINDOW = 2048


@dataclass(frozen=True)
class Work:
    """One row of the table.

    Attributes:
        name: As in the table.
        documents: Requests per document.
        texts: Prompts as text, for generations (lm-eval's side takes text).
        adapter: A LoRA candidate is judged; the base's answers are stored already, where lm-eval runs twice.
    """

    name: str
    documents: list[list[Request]]
    texts: list[str]
    adapter: bool = False

    @property
    def generates(self) -> bool:
        """Whether the requests are generations."""
        return isinstance(self.documents[0][0], Generate)

    def first(self, count: int) -> Work:
        """Return the same work on its first documents."""
        return Work(self.name, self.documents[:count], self.texts[:count], self.adapter)


@dataclass(frozen=True)
class Source:
    """Where data lies, how text becomes ids (lm-eval's own encoding), how many documents are wanted at most."""

    data: Path
    peer: Any
    most: int | None
    new_tokens: int | None


def rows_of(path: Path) -> list[dict[str, Any]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    # Not splitlines: JSON strings may hold U+2028 and other characters that it takes for line ends.
    return [json.loads(line) for line in text.split("\n") if line]


def limited(rows: list[Any], source: Source, count: int) -> list[Any]:
    return rows[: min(count, source.most or count)]


def choices(source: Source, name: str, documents: Iterable[tuple[str, list[str]]], adapter: bool = False) -> Work:
    found: list[list[Request]] = []
    for number, (context, continuations) in enumerate(documents):
        pairs = [source.peer._encode_pair(context, continuation) for continuation in continuations]
        found.append([Score(f"{number}-{i}", tuple(c), tuple(t)) for i, (c, t) in enumerate(pairs)])
    return Work(name, found, [], adapter)


def arc_rows(source: Source) -> list[dict[str, Any]]:
    return rows_of(source.data / "benchmarks_val" / "ai2_arc_ARC-Easy.validation.jsonl")


def arc_text(row: dict[str, Any]) -> str:
    return f"Question: {row['question']}\nAnswer:"


def arc_choices(row: dict[str, Any]) -> list[str]:
    return [f" {choice}" for choice in row["choices"]["text"]]


def arc_shot(row: dict[str, Any]) -> str:
    return arc_text(row) + arc_choices(row)[row["choices"]["label"].index(row["answerKey"])]


def arc_zero_shot(source: Source) -> Work:
    rows = limited(arc_rows(source), source, 200)
    return choices(source, "arc_easy_0shot", ((arc_text(row), arc_choices(row)) for row in rows))


def arc_five_shot(source: Source, name: str, draw: Callable[[int], random.Random], adapter: bool = False) -> Work:
    rows = arc_rows(source)
    judged, pool = limited(rows, source, 200), rows[200:]

    def documents() -> Iterable[tuple[str, list[str]]]:
        for number, row in enumerate(judged):
            shots = "".join(f"{arc_shot(shot)}\n\n" for shot in draw(number).sample(pool, 5))
            yield shots + arc_text(row), arc_choices(row)

    return choices(source, name, documents(), adapter)


def arc_same(source: Source) -> Work:
    return arc_five_shot(source, "arc_easy_5shot_same", lambda _: random.Random(SEED))


def arc_drawn(source: Source) -> Work:
    return arc_five_shot(source, "arc_easy_5shot_drawn", lambda number: random.Random(SEED + number))


def arc_candidate(source: Source) -> Work:
    return arc_five_shot(source, "arc_easy_5shot_base_and_lora", lambda _: random.Random(SEED), adapter=True)


def hellaswag(source: Source) -> Work:
    rows = limited(rows_of(source.data / "benchmarks_val" / "hellaswag.validation.olmes1000.jsonl.gz"), source, 200)
    return choices(source, "hellaswag_0shot", ((row["query"], [f" {c}" for c in row["choices"]]) for row in rows))


def mmlu_text(row: dict[str, Any]) -> str:
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", row["choices"], strict=True))
    return f"{row['question'].strip()}\n{options}\nAnswer:"


def mmlu(source: Source) -> Work:
    subjects = ("anatomy", "marketing", "world_religions")
    shots = rows_of(source.data / "mmlu" / "mmlu_dev.jsonl")
    rows = rows_of(source.data / "mmlu" / "mmlu_test.jsonl.gz")

    def documents() -> Iterable[tuple[str, list[str]]]:
        for subject, count in zip(subjects, (34, 33, 33), strict=True):
            said = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
            own = [row for row in shots if row["subject"] == subject][:5]
            head = said + "".join(f"{mmlu_text(row)} {'ABCD'[row['answer']]}\n\n" for row in own)
            for row in limited([row for row in rows if row["subject"] == subject], source, count):
                yield head + mmlu_text(row), [" A", " B", " C", " D"]

    return choices(source, "mmlu_5shot_letters", documents())


def wikitext(source: Source) -> Work:
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    with gzip.open(source.data / "wikitext2" / "test.txt.gz", "rt", encoding="utf-8") as file:
        pages = [page for page in re.split(r"\n (?== [^=]+ = \n)", file.read()) if page.strip()]
    found: list[list[Request]] = []
    left = 20_000 if source.most is None else 300 * source.most
    for number, page in enumerate(pages):
        tokens = source.peer.tok_encode(page)[:left]
        if not tokens:
            break
        windows = get_rolling_token_windows(
            token_list=tokens,
            prefix_token=source.peer.prefix_token_id,
            max_seq_len=ROLLING_WINDOW,
            context_len=1,
        )
        pairs = [make_disjoint_window(window) for window in windows]
        found.append([Score(f"{number}-{i}", tuple(c), tuple(t)) for i, (c, t) in enumerate(pairs)])
        left -= len(tokens)
    return Work("wikitext2_rolling", found, [])


def generation(source: Source, name: str, texts: list[str], stop: tuple[str, ...], tokens: int, least: int = 0) -> Work:
    most = min(tokens, source.new_tokens or tokens)
    settings = Generation(max_tokens=most, min_tokens=min(least, most), stop=stop)
    prompts = [tuple(source.peer.tok_encode(text)) for text in texts]
    return Work(name, [[Generate(str(i), prompt, settings)] for i, prompt in enumerate(prompts)], texts)


def gsm8k(source: Source) -> Work:
    shots = random.Random(SEED).sample(rows_of(source.data / "gsm8k" / "train.jsonl.gz"), 5)
    head = "".join(f"Question: {row['question']}\nAnswer: {row['answer']}\n\n" for row in shots)
    rows = limited(rows_of(source.data / "gsm8k" / "test.jsonl.gz"), source, 40)
    texts = [f"{head}Question: {row['question']}\nAnswer:" for row in rows]
    return generation(source, "gsm8k_5shot", texts, ("Question:", "</s>", "<|im_end|>"), 128)


def ifeval(source: Source) -> Work:
    rows = limited(rows_of(source.data / "ifeval" / "input_data.jsonl"), source, 64)
    texts = [source.peer.apply_chat_template([{"role": "user", "content": row["prompt"]}]) for row in rows]
    return generation(source, "ifeval_greedy", texts, (), 256)


def decoding(source: Source) -> Work:
    """64 rows that stay together to the end, nearly nothing but decoding: the first words of questions, 128 tokens."""
    rows = limited(arc_rows(source), source, 64)
    texts = [" ".join(row["question"].split()[:4]) for row in rows]
    return generation(source, "decode_64_rows", texts, (), 128, least=128)


WORKS: dict[str, Callable[[Source], Work]] = {
    "hellaswag_0shot": hellaswag,
    "arc_easy_0shot": arc_zero_shot,
    "arc_easy_5shot_same": arc_same,
    "arc_easy_5shot_drawn": arc_drawn,
    "mmlu_5shot_letters": mmlu,
    "wikitext2_rolling": wikitext,
    "gsm8k_5shot": gsm8k,
    "ifeval_greedy": ifeval,
    "decode_64_rows": decoding,
    "arc_easy_5shot_base_and_lora": arc_candidate,
}
