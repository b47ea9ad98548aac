"""Encodings on disk: made once, equal when read, never believed when changed."""

from __future__ import annotations

import json
import threading

import pytest

from sfteval.errors import InputError
from sfteval.train import dataset
from sfteval.train import encodings as module
from sfteval.train.config import TrainingConfig
from sfteval.train.dataset import prepare
from sfteval.train.masks import encode
from sfteval.train.template import chat_template

ROWS = [[("user", f"question {i}"), ("assistant", "an answer" * (i % 3 + 1))] for i in range(12)]


@pytest.fixture
def template(make_tokenizer):
    return chat_template(make_tokenizer(), "tiny")


@pytest.fixture
def config(write_rows):
    def make(rows=ROWS, **fields):
        data = {"train": [{"path": str(write_rows(rows))}], "max_length": 128, **fields}
        return TrainingConfig.model_validate_json(json.dumps({"model": "tiny", "data": data}))

    return make


@pytest.fixture
def made(monkeypatch):
    """How many rows the mask engine encoded."""
    seen = []

    def counted(turns, *given, **named):
        seen.append(turns)
        return encode(turns, *given, **named)

    monkeypatch.setattr(dataset, "encode", counted)
    return seen


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_second_run_encodes_nothing_and_gives_equal_rows(config, template, made, tmp_path):
    folder = tmp_path / "encodings"
    long = [("user", "a"), ("assistant", "b"), ("user", "c" * 200), ("assistant", "d")]
    fields = {"prompt_weight": 0.25, "holdout": 0.2, "budget": {"cut": 1}}
    plain = prepare(config([*ROWS, long], **fields), template)
    assert len(made) == 14
    for expected in (14, 0):
        made.clear()
        cached = prepare(config([*ROWS, long], **fields), template, cache=folder)
        assert len(made) == expected
        assert list(cached.train) == list(plain.train)
        assert list(cached.held_out) == list(plain.held_out)
        assert cached.audit == plain.audit
    assert [name.rpartition(".")[2] for name in files(folder)] == ["jsonl"]


def test_refused_rows_are_refused_for_the_same_reason(config, template, made, tmp_path):
    rows = [*ROWS, [("user", "<|im_end|>"), ("assistant", "a")]]
    messages = []
    for expected in (13, 0):
        made.clear()
        with pytest.raises(InputError) as caught:
            prepare(config(rows), template, cache=tmp_path / "encodings")
        messages.append(str(caught.value))
        assert len(made) == expected
    assert messages[0] == messages[1]
    assert "message 0: the content holds the special token '<|im_end|>'" in messages[0]


@pytest.mark.parametrize("fields", [{"loss_on": "all"}, {"prompt_weight": 0.5}, {"max_length": 100}])
def test_another_mask_is_another_cache(config, template, made, tmp_path, fields):
    prepare(config(), template, cache=tmp_path / "encodings")
    made.clear()
    prepare(config(**fields), template, cache=tmp_path / "encodings")
    assert len(made) == 12
    assert len(files(tmp_path / "encodings")) == 2


def test_another_tokenizer_is_another_cache(config, template, make_tokenizer, made, tmp_path):
    prepare(config(), template, cache=tmp_path / "encodings")
    made.clear()
    merged = chat_template(make_tokenizer(merges=[("a", "n")]), "tiny")
    found = prepare(config(), merged, cache=tmp_path / "encodings")
    assert len(made) == 12
    assert found.train[0] != prepare(config(), template, cache=tmp_path / "encodings").train[0]


def break_line(path, number):
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number] = lines[number].replace(b'"ids": [1', b'"ids": [2')
    path.write_bytes(b"".join(lines))


def cut_off(path, number):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:number]) + lines[number][:20])


@pytest.mark.parametrize("damage", [break_line, cut_off])
def test_what_is_damaged_is_encoded_again_and_replaced(config, template, made, tmp_path, damage):
    folder = tmp_path / "encodings"
    whole = prepare(config(), template, cache=folder)
    (path,) = folder.iterdir()
    good = path.read_bytes()
    damage(path, 5)
    assert path.read_bytes() != good
    made.clear()
    again = prepare(config(), template, cache=folder)
    assert len(made) == 7
    assert list(again.train) == list(whole.train)
    assert path.read_bytes() == good
    assert files(folder) == [path.name]


def test_writers_at_once_leave_one_whole_file(config, template, tmp_path):
    folder, one = tmp_path / "encodings", config()
    expected = list(prepare(one, template).train)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(list(prepare(one, template, cache=folder).train)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
    assert len(files(folder)) == 1
    assert len(next(folder.iterdir()).read_bytes().splitlines()) == 12


def test_a_folder_that_cannot_be_written_changes_nothing(config, template, tmp_path):
    (tmp_path / "encodings").write_text("a file")
    found = prepare(config(), template, cache=tmp_path / "encodings")
    assert list(found.train) == list(prepare(config(), template).train)


def test_a_template_that_writes_the_date_is_not_cached(config, make_tokenizer, tmp_path):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{% set today = strftime_now('%d') %}" + tokenizer.chat_template
    prepare(config(), chat_template(tokenizer, "tiny"), cache=tmp_path / "encodings")
    assert not (tmp_path / "encodings").exists()


def test_the_ones_unused_for_longest_go(config, template, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    for limit in (100, 101, 102):
        prepare(config(max_length=limit), template, cache=tmp_path / "encodings")
    assert len(files(tmp_path / "encodings")) == 2
