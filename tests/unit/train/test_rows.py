"""Training rows: everything wrong with the files at once, nothing dropped."""

from __future__ import annotations

import json

import pytest

from sfteval.errors import InputError
from sfteval.train.data_config import Source
from sfteval.train.rows import Turn, read_rows
from sfteval.train.split import split_rows

GOOD = [("user", "Hi"), ("assistant", "Yo")]


def row(*messages, **more):
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in messages]} | more)


def faults_of(path):
    with pytest.raises(InputError) as caught:
        read_rows([Source(path=str(path))])
    return [str(fault).removeprefix(f"{path}:") for fault in caught.value.faults]


def test_rows_are_read_in_order(write_rows):
    path = write_rows([row(*GOOD, id="a"), "", row(("system", "S"), *GOOD)])
    first, second = read_rows([Source(path=str(path))])[0]
    assert first.turns == (Turn("user", "Hi"), Turn("assistant", "Yo"))
    assert (first.where, second.where) == (f"{path}:1", f"{path}:3")
    assert second.answers == ["Yo"]
    assert first.key != second.key


def test_line_separators_inside_text_do_not_split_rows(write_rows):
    line = json.dumps(
        {"messages": [{"role": "user", "content": "a\u2028b"}, {"role": "assistant", "content": "c"}]},
        ensure_ascii=False,
    )
    assert read_rows([Source(path=str(write_rows([line])))])[0][0].turns[0].content == "a\u2028b"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"messages": [', "1: found broken JSON (Expecting value at column 15); expected one JSON object per line"),
        ("[" * 100_000, "1: found JSON nested too deep or a number too long; expected one JSON object per line"),
        (
            row(("user", "\ud800"), GOOD[1]),
            "1: found message 0: half of a surrogate pair; expected text that UTF-8 can hold",
        ),
        ("[1]", '1: found a list; expected an object {"messages": …, "tools": …}'),
        ('{"messages": []}', "1: found no messages; expected a list of at least one user and one assistant message"),
        (
            '{"conversations": [{"from": "human", "value": "x"}]}',
            "1: found unknown field 'conversations'; expected messages, tools, id. ShareGPT rows: format: sharegpt",
        ),
        (
            row(*GOOD, mesages=1),
            "1: found unknown field 'mesages'; expected messages, tools, id. Did you mean 'messages'?",
        ),
        (
            row(("user", "x"), ("gpt", "y")),
            "1: found message 1: role 'gpt'; expected one of system, user, assistant, tool. Did you mean 'assistant'?",
        ),
        (
            row(("human", "x"), ("assistant", "y")),
            "1: found message 0: role 'human'; expected one of system, user, assistant, tool. Did you mean 'user'?",
        ),
        (
            row(("user", "x"), ("asistant", "y")),
            "1: found message 1: role 'asistant'; expected one of system, user, assistant, tool. "
            "Did you mean 'assistant'?",
        ),
        (
            row(("user", "x"), ("assistant", " \n")),
            "1: found message 1: an empty assistant turn; expected text. Remove the row, or write the turn",
        ),
        (row(("user", "x"), ("assistant", None)), "1: found message 1: no content; expected role and content"),
        (
            row(("user", "x")),
            "1: found no assistant turn; expected at least one. Nothing in this row can be learned: remove it",
        ),
        (
            row(*GOOD, ("system", "S"), *GOOD),
            "1: found message 2: a system turn inside the conversation; expected system only at the start",
        ),
        (
            row(*GOOD, ("assistant", "z")),
            "1: found message 2: two assistant turns in a row; expected another role between them. Join them",
        ),
        (
            '{"messages": [{"role": "user"}]}',
            "1: found message 0: no content; expected role and content",
        ),
    ],
)
def test_each_fault_has_its_message(write_rows, line, message):
    assert faults_of(write_rows([line])) == [message]


def test_all_faults_of_all_files_at_once(write_rows, tmp_path):
    first = write_rows(["{", row(*GOOD), row(("user", "x"))], "a.jsonl")
    with pytest.raises(InputError) as caught:
        read_rows([Source(path=str(first)), Source(path=str(tmp_path / "no.jsonl"))])
    assert [(fault.where, fault.line) for fault in caught.value.faults] == [
        (str(first), 1),
        (str(first), 3),
        (str(tmp_path / "no.jsonl"), 0),
    ]


def test_faults_are_capped_and_counted(write_rows):
    faults = faults_of(write_rows(["{"] * 25))
    assert len(faults) == 21
    assert faults[-1].endswith("found 5 more faults; expected none. Repair the ones above first")


def test_an_empty_file_is_a_fault(write_rows):
    path = write_rows([])
    assert faults_of(path) == [" found no rows; expected one JSON object per row"]


def test_bytes_that_are_not_utf8(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"messages": "\xff"}\n')
    assert faults_of(path) == ["1: found bytes that are not UTF-8; expected JSON in UTF-8"]


@pytest.fixture
def hundred(write_rows):
    path = write_rows([[("user", f"q{i}"), ("assistant", "a")] for i in range(100)])
    return read_rows([Source(path=str(path))])[0]


def test_the_held_out_rows_stay_when_rows_are_added(hundred):
    few = split_rows([hundred[:60]], [1.0], 0.2, seed=0)
    many = split_rows([hundred], [1.0], 0.2, seed=5)
    assert 0 < len(few.held_out) < 60
    assert set(few.held_out) <= set(many.held_out)
    assert set(few.train) <= set(many.train)
    assert not set(many.train) & set(many.held_out)
    assert many.counts == (
        {
            "rows": 100,
            "trained": 100 - len(many.held_out),
            "held_out": len(many.held_out),
            "draws": 100 - len(many.held_out),
        },
    )


def test_weights_draw_rows(hundred):
    half = split_rows([hundred], [0.5], 0.0, seed=1)
    assert len(half.train) == len(set(half.train)) == 50
    assert set(half.train) != set(split_rows([hundred], [0.5], 0.0, seed=2).train)
    assert half == split_rows([hundred], [0.5], 0.0, seed=1)
    twice = split_rows([hundred, hundred[:10]], [2.0, 1.5], 0.0, seed=1)
    assert len(twice.train) == 215
    assert twice.duplicates == 10


def test_duplicates_stay_on_one_side(hundred):
    split = split_rows([hundred, hundred], [1.0, 1.0], 0.3, seed=0)
    assert not {row.key for row in split.train} & {row.key for row in split.held_out}
    assert len(split.held_out) == len({row.key for row in split.held_out})
