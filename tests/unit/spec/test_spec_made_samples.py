"""Samples made of training files and of texts: exact rows, the same whoever reads them, and every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sfteval.errors import InputError
from sfteval.pipeline.planning import load_file

TRAIN = "suite: x\nsamples: {train: train.jsonl, heldout: heldout.jsonl, pairs: 2}\n"
TEXT = "suite: x\nsamples: {text: prose.txt, chunk_bytes: 100}\n"
CHECKS = {
    TRAIN: "checks:\n  gap: {heldout_gap: true}\ngates:\n  - {check: gap, at_most: 1}\n",
    TEXT: "checks:\n  cost: {text_bits_per_byte: true}\ngates:\n  - {check: cost, at_most: 9}\n",
}


def chat(number: int, kind: str) -> dict:
    turns = [{"role": "user", "content": f"{kind} question {number}"}]
    return {"messages": [*turns, {"role": "assistant", "content": f"{kind} answer {number}"}]}


def write(folder: Path, name: str, rows: list[dict]) -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def load(folder: Path, head: str):
    (folder / "x.suite.yaml").write_text(head + CHECKS.get(head, CHECKS[TRAIN]))
    return load_file(folder / "x.suite.yaml", folder)[0].suite.samples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "train.jsonl", [chat(i, "train") for i in range(5)])
    write(tmp_path, "heldout.jsonl", [chat(i, "held") for i in range(3)])
    return tmp_path


def test_pairs_of_conversations(folder: Path) -> None:
    rows = load(folder, TRAIN)
    assert len(rows) == 2
    for row in rows:
        assert row.reference == row.messages[-1].content.replace("question", "answer")
        assert row.id == f"line-{int(row.reference.split()[-1]) + 1}"
        held = row.vars["heldout"]
        assert held["reference"] == held["messages"][-1]["content"].replace("question", "answer")
        assert held["reference"].startswith("held answer")


def test_the_draw_depends_on_content_alone(folder: Path) -> None:
    def drawn() -> set:
        return {(row.reference, row.vars["heldout"]["reference"]) for row in load(folder, TRAIN)}

    before = drawn()
    write(folder, "train.jsonl", [chat(i, "train") for i in reversed(range(5))])
    write(folder, "heldout.jsonl", [chat(i, "held") for i in reversed(range(3))])
    assert drawn() == before


def test_held_out_rows_with_a_reference(folder: Path) -> None:
    messages = [{"role": "user", "content": "Give the total as JSON."}]
    write(folder, "heldout.jsonl", [{"messages": messages, "reference": {"total": 3}}])
    (row,) = load(folder, TRAIN)
    assert row.vars["heldout"] == {"messages": messages, "reference": '{"total": 3}'}


def test_training_rows_alone(folder: Path) -> None:
    head = "suite: x\nsamples: {train: train.jsonl}\n"
    rest = "checks:\n  cost: {bits_per_byte: true}\ngates:\n  - {check: cost, at_most: 9}\n"
    (folder / "x.suite.yaml").write_text(head + rest)
    rows = load_file(folder / "x.suite.yaml", folder)[0].suite.samples
    assert sorted(row.reference for row in rows) == [f"train answer {i}" for i in range(5)]
    assert all(row.vars == {} for row in rows)


def test_pieces_are_the_whole_text(tmp_path: Path) -> None:
    text = "".join(f"Line {i} of the tale, größer than ten bytes.\n" for i in range(20)) + "x" * 250 + "é" * 80
    (tmp_path / "prose.txt").write_text(text, encoding="utf-8")
    rows = load(tmp_path, TEXT)
    pieces = [row.messages[-1].content for row in rows]
    assert "".join(pieces) == text
    assert max(len(piece.encode()) for piece in pieces) <= 100
    assert pieces[0] == "".join(f"Line {i} of the tale, größer than ten bytes.\n" for i in range(2))
    starts = [0]
    for piece in pieces[:-1]:
        starts.append(starts[-1] + len(piece.encode()))
    assert [row.id for row in rows] == [f"bytes-{start}" for start in starts]


FAULTS = {
    "no such form": (
        "suite: x\nsamples: {file: a}\n",
        "2:10: found a mapping without train or text in samples; expected",
    ),
    "unknown key": (
        "suite: x\nsamples: {train: train.jsonl, held: h.jsonl}\n",
        "2:31: found unknown key 'held' in samples; expected one of heldout, pairs, seed, train. Did you mean",
    ),
    "no file": ("suite: x\nsamples: {train: trian.jsonl}\n", "found no file 'trian.jsonl' in samples.train; expected"),
    "escape": (
        "suite: x\nsamples: {text: ../../etc/passwd}\n",
        "found '../../etc/passwd' in samples.text, which leads out",
    ),
}


@pytest.mark.parametrize(("head", "message"), FAULTS.values(), ids=FAULTS)
def test_mistakes_in_the_suite(folder: Path, head: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(folder, head)
    assert message in str(caught.value)


def test_a_held_out_row_that_was_trained_on(folder: Path) -> None:
    write(folder, "heldout.jsonl", [chat(0, "held"), chat(2, "train")])
    with pytest.raises(InputError) as caught:
        load(folder, TRAIN)
    found = "heldout.jsonl:2: found a held-out conversation that is in train.jsonl too (line 3); expected"
    assert str(caught.value).startswith(found)


def test_a_row_without_an_answer(folder: Path) -> None:
    write(folder, "train.jsonl", [chat(0, "train"), {"messages": [{"role": "user", "content": "Hi"}]}])
    with pytest.raises(InputError) as caught:
        load(folder, TRAIN)
    assert str(caught.value) == (
        "train.jsonl:2: found a row that is no conversation with an answer; expected messages that end with the "
        "assistant's, or messages with a reference"
    )


def test_a_check_on_pairs_needs_pairs(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(folder, "suite: x\nsamples: {train: train.jsonl}\n")
    assert "train.jsonl:" in str(caught.value)
    assert "found a row without a held-out partner in the row; expected samples: {train: FILE, heldout: FILE}" in str(
        caught.value
    )


def test_a_text_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "prose.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError) as caught:
        load(tmp_path, TEXT)
    assert "found 'prose.txt', which is no UTF-8 (byte 3); expected a text in UTF-8" in str(caught.value)
