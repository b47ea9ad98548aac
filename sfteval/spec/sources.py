"""Samples made of files that are no samples: training conversations, and the pieces of a text.

Comes in: `samples: {train: FILE, heldout: FILE}` or `samples: {text: FILE}`, and the fence. Goes out: rows as an author
could have written them, so that everything after this knows one kind of sample only.

- A training conversation becomes its messages before the last answer, with that answer as the reference. Beside it
  stands a held-out one under `vars.heldout`. Which conversations are drawn and paired depends on their content and the
  seed alone.
- A text becomes pieces of about `chunk_bytes`, cut at line ends or spaces; all of them together are the text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfteval.keys import content_key
from sfteval.records import TextSamples, TrainingSamples
from sfteval.spec.paths import shown_path
from sfteval.spec.validation import validate
from sfteval.yamlfile import Located, Mark, dotted, read_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sfteval.errors import Fault
    from sfteval.spec.paths import Fence

FORMS = "the name of a .jsonl file, a list of samples, {train: FILE, heldout: FILE} or {text: FILE}"
CONVERSATION = "messages that end with the assistant's, or messages with a reference"
HELDOUT = "heldout"
"""Name in a row's `vars` under which its held-out partner stands."""
MAX_TEXT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Conversation:
    """A question with its answer, and where it was read."""

    name: str
    messages: list[dict[str, Any]]
    answer: str
    place: Located

    def key(self, seed: int) -> str:
        return content_key(seed, self.messages, self.answer)


def made_rows(suite: Located, fence: Fence, faults: list[Fault]) -> list[Located]:
    """Return the rows that a mapping under `samples` stands for, as located data; append a fault for each mistake."""
    written = suite.data["samples"]
    if "text" in written:
        text = validate(TextSamples, suite, ("samples",), faults)
        return _pieces(text, suite, fence, faults) if text is not None else []
    if "train" not in written:
        faults.append(suite.fault(("samples",), "a mapping without train or text in samples", FORMS))
        return []
    training = validate(TrainingSamples, suite, ("samples",), faults)
    return _pairs(training, suite, fence, faults) if training is not None else []


def _pairs(training: TrainingSamples, suite: Located, fence: Fence, faults: list[Fault]) -> list[Located]:
    before = len(faults)
    train = _conversations("train", training.train, suite, fence, faults)
    others = _conversations(HELDOUT, training.heldout, suite, fence, faults) if training.heldout else []
    known = {each.key(0): each.place for each in train}
    for each in others:
        if each.key(0) in known:
            line = known[each.key(0)].mark(()).line
            found = f"a held-out conversation that is in {training.train} too (line {line})"
            faults.append(each.place.fault((), found, "conversations that were not trained on", "Take it out."))
    if len(faults) > before:
        return []
    train.sort(key=lambda each: each.key(training.seed))
    others.sort(key=lambda each: each.key(training.seed))
    count = min([training.pairs, len(train), *([len(others)] if training.heldout else [])])
    partners = others[:count] if training.heldout else [None] * count
    return [_row(each, partner) for each, partner in zip(train[:count], partners, strict=True)]


def _row(train: _Conversation, heldout: _Conversation | None) -> Located:
    row: dict[str, Any] = {"id": train.name, "messages": train.messages, "reference": train.answer}
    if heldout is not None:
        row["vars"] = {HELDOUT: {"messages": heldout.messages, "reference": heldout.answer}}
    return Located(train.place.where, row, {(): train.place.mark(())})


def _conversations(field: str, written: str, suite: Located, fence: Fence, faults: list[Fault]) -> list[_Conversation]:
    path = ("samples", field)
    problem = fence.problem(written, dotted(path))
    if problem is not None:
        faults.append(suite.fault(path, *problem))
        return []
    before = len(faults)
    rows = list(read_jsonl(fence.path(written), shown_path(fence.path(written), fence.root), faults))
    if not rows and len(faults) == before:
        faults.append(suite.fault(path, f"no rows in {written!r}", "at least 1 conversation"))
    found: dict[str, _Conversation] = {}
    for row in rows:
        each = _conversation(row)
        if each is None:
            faults.append(row.fault((), "a row that is no conversation with an answer", CONVERSATION))
        else:
            found.setdefault(each.key(0), each)
    return list(found.values())


def _conversation(row: Located) -> _Conversation | None:
    """Return a row's last answer with what came before it; None when it has none."""
    messages, reference = row.data.get("messages"), row.data.get("reference")
    plain = isinstance(messages, list) and all(
        isinstance(one, dict) and isinstance(one.get("content"), str) and isinstance(one.get("role"), str)
        for one in messages
    )
    if not plain or not messages:
        return None
    turns = [{"role": one["role"], "content": one["content"]} for one in messages]
    if turns[-1]["role"] == "assistant":
        reference = turns.pop()["content"]
    if reference is not None and not isinstance(reference, str):
        reference = json.dumps(reference, ensure_ascii=False)
    if not turns or turns[-1]["role"] == "assistant" or not reference:
        return None
    name = row.data.get("id")
    return _Conversation(str(name) if name else f"line-{row.mark(()).line}", turns, reference, row)


def _pieces(text: TextSamples, suite: Located, fence: Fence, faults: list[Fault]) -> list[Located]:
    path = ("samples", "text")
    problem = fence.problem(text.text, dotted(path))
    if problem is not None:
        faults.append(suite.fault(path, *problem))
        return []
    file = fence.path(text.text)
    with file.open("rb") as stream:
        content = stream.read(MAX_TEXT_BYTES + 1)
    try:
        whole = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        faults.append(suite.fault(path, f"{text.text!r}, which is no UTF-8 (byte {error.start})", "a text in UTF-8"))
        return []
    if len(content) > MAX_TEXT_BYTES or not whole.strip():
        found = (
            f"{text.text!r} without text" if len(content) <= MAX_TEXT_BYTES else f"{text.text!r}, which is too large"
        )
        faults.append(suite.fault(path, found, f"a text of at most {MAX_TEXT_BYTES} bytes"))
        return []
    where = shown_path(file, fence.root)
    return [
        Located(
            where,
            {"id": f"bytes-{start}", "messages": [{"role": "user", "content": piece}], "cluster": cluster},
            {(): Mark(line, 0)},
        )
        for start, line, piece, cluster in _cut(whole, text.chunk_bytes)
    ][: text.limit]


def _cut(text: str, size: int) -> Iterator[tuple[int, int, str, str]]:
    """Yield (first byte, line, piece, name) of pieces of at most `size` bytes that end at a line or a space.

    A piece that only white space is left in is joined to nobody: it has no words to be scored.
    """
    at, byte, line = 0, 0, 1
    while at < len(text):
        end = at + len(text[at : at + size].encode()[:size].decode(errors="ignore"))
        if end < len(text):
            ends = [text.rfind(mark, at, end) for mark in ("\n", " ")]
            best = next((place for place in ends if place >= at + (end - at) // 2), -1)
            end = best + 1 if best >= 0 else end
        piece = text[at:end]
        if piece.strip():
            yield byte, line, piece, f"bytes-{byte}"
        byte, line, at = byte + len(piece.encode()), line + piece.count("\n"), end
