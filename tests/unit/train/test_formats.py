"""Row formats and files: every one gives the same conversation, or one fault with its place."""

from __future__ import annotations

import gzip
import json

import pyarrow
import pytest
from pyarrow import parquet

from sfteval.errors import InputError
from sfteval.train.data_config import Data, Source
from sfteval.train.rows import Turn, read_rows

HI = (Turn("user", "Hi"), Turn("assistant", "Yo"))
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln"}}}


@pytest.fixture
def read(tmp_path):
    def make(records, name="x.jsonl", **source):
        path = tmp_path / name
        if name.endswith(".jsonl"):
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
        elif name.endswith(".gz"):
            path.write_bytes(gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode()))
        elif name.endswith(".json"):
            path.write_text(json.dumps(records, indent=1))
        else:
            parquet.write_table(pyarrow.Table.from_pylist(records), path)
        return read_rows([Source(path=str(path), **source)])[0]

    return make


def faults_of(call, *arguments, **named):
    with pytest.raises(InputError) as caught:
        call(*arguments, **named)
    return [str(fault).rpartition("/")[2] for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("form", "record"),
    [
        ("messages", {"messages": MESSAGES}),
        ("prompt_completion", {"prompt": "Hi", "completion": "Yo"}),
        ("prompt_completion", {"prompt": MESSAGES[:1], "completion": MESSAGES[1:]}),
        ("alpaca", {"instruction": "Hi", "input": "", "output": "Yo"}),
        ("sharegpt", {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]}),
    ],
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.parquet", "x.jsonl.gz"])
def test_every_format_in_every_file_gives_the_same_row(read, form, record, name):
    row, again = read([record | {"id": "a"}] * 2, name, format=form)
    assert (row.turns, row.tools, row.key) == (HI, "", again.key)
    place = {"x.jsonl": ":2", "x.jsonl.gz": ":2", "x.parquet": ": row 2"}.get(name)
    assert again.where.rpartition("/")[2] == (f"{name}{place}" if place else again.where.rpartition("/")[2])


def test_lines_of_a_json_array(read):
    records = [{"prompt": "a\nb", "completion": "c"}, {"prompt": "", "completion": "c"}]
    assert faults_of(read, records, "x.json", format="prompt_completion") == [
        "x.json:6: found message 0: an empty user turn; expected text. Remove the row, or write the turn"
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"a": 1}', "x.json:1: found broken JSON (no array); expected an array of objects"),
        ('[{"a": 1}\n{}]', "x.json:2: found broken JSON (no ',' or ']' after a row); expected an array of objects"),
        ("[{}]\nx", "x.json:1: found broken JSON (text after the array); expected an array of objects"),
        ("[{},\n", "x.json:2: found broken JSON (Expecting value); expected an array of objects"),
    ],
)
def test_a_broken_json_array(tmp_path, text, fault):
    (tmp_path / "x.json").write_text(text)
    assert faults_of(read_rows, [Source(path=str(tmp_path / "x.json"))]) == [fault]


def test_a_file_that_is_no_parquet(tmp_path):
    (tmp_path / "x.parquet").write_text("{}")
    (fault,) = faults_of(read_rows, [Source(path=str(tmp_path / "x.parquet"))])
    assert fault.startswith("x.parquet: found Parquet file size is 2 bytes")


def test_alpaca_with_input_system_and_history(read):
    record = {"instruction": "Sum", "input": "1 2", "output": "3", "system": "Be brief", "history": [["Hi", "Yo"]]}
    (row,) = read([record], format="alpaca")
    assert row.turns == (Turn("system", "Be brief"), *HI, Turn("user", "Sum\n\n1 2"), Turn("assistant", "3"))


def test_sharegpt_roles_calls_and_observations(read):
    turns = [
        {"from": "system", "value": "S"},
        {"from": "human", "value": "Weather?"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Köln"}}'},
        {"from": "observation", "value": "rain"},
        {"from": "gpt", "value": "Rain."},
    ]
    (row,) = read([{"conversations": turns, "tools": json.dumps([WEATHER["function"]])}], format="sharegpt")
    assert [turn.role for turn in row.turns] == ["system", "user", "assistant", "tool", "assistant"]
    assert row.messages[2] == {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert row.tool_list == [WEATHER]


def test_what_a_sharegpt_turn_says_besides_is_not_passed_over(read):
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo", "weight": 0, "markdown": None}]
    assert faults_of(read, [{"conversations": turns}], format="sharegpt") == [
        "x.jsonl:1: found turn 1: unknown field 'weight'; expected from and value. "
        "A field that is not needed: name it in the source's `ignore`"
    ]
    (row,) = read([{"conversations": turns}], format="sharegpt", ignore=("weight",))
    assert row.turns == HI


def test_alpaca_input_that_is_no_text(read):
    record = {"instruction": "Sum", "input": [1, 2], "output": "3"}
    assert faults_of(read, [record], format="alpaca") == ["x.jsonl:1: found input is a list; expected input: text"]


@pytest.mark.parametrize(
    "call",
    [CALL, CALL["function"], {"function": {"name": "weather", "arguments": '{"city": "Köln"}'}}],
    ids=["nested", "flat", "arguments as text"],
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
def test_tool_calls_in_every_form_and_without_arrow_padding(read, call, name):
    other = {"type": "function", "function": {"name": "stop", "arguments": {"now": "yes"}}}
    chat = [MESSAGES[0], {"role": "assistant", "content": None, "tool_calls": [call]}]
    padding = [MESSAGES[0], {"role": "assistant", "content": "x", "tool_calls": [other]}]
    if "text" in str(call) or isinstance(call.get("function", {}).get("arguments"), str):
        padding = MESSAGES
    row, _ = read([{"messages": chat}, {"messages": padding}], name)
    assert row.messages[1]["tool_calls"] == [CALL]


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "wetter", "arguments": {}}}]},
            "x.jsonl:1: found message 1: a call of 'wetter'; expected one of the row's tools: weather",
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "weather", "arguments": "{"}}]},
            "x.jsonl:1: found message 1: arguments of 'weather' that are no object; expected "
            '{"type": "function", "function": {"name": …, "arguments": {…}}}',
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [3]},
            "x.jsonl:1: found message 1: tool_calls that cannot be read; expected a list of "
            '{"type": "function", "function": {"name": …, "arguments": {…}}}',
        ),
        (
            {"role": "assistant", "content": "x", "weight": 0},
            "x.jsonl:1: found message 1: unknown field 'weight'; expected role, content, tool_calls, reasoning_content",
        ),
    ],
)
def test_broken_tool_calls(read, message, fault):
    assert faults_of(read, [{"messages": [MESSAGES[0], message], "tools": [WEATHER]}])[0] == fault


def test_a_tool_turn_that_answers_nothing(read):
    messages = [MESSAGES[0], {"role": "tool", "content": "x"}, MESSAGES[1]]
    assert faults_of(read, [{"messages": messages}]) == [
        "x.jsonl:1: found message 1: a tool turn after the user's; expected an assistant turn with tool_calls before it"
    ]


def test_other_names_are_mapped_and_other_columns_named(read):
    record = {"dialogue": [{"role": "kunde", "content": "Hi"}, {"role": "assistant", "content": "Yo"}], "score": 3}
    mapped = {"fields": {"messages": "dialogue"}, "roles": {"kunde": "user"}}
    (row,) = read([record], **mapped, ignore=("score",))
    assert row.turns == HI
    assert faults_of(read, [record], **mapped) == [
        "x.jsonl:1: found unknown field 'score'; expected dialogue, tools, id. "
        "A column that is not needed: name it in the source's `ignore`"
    ]
    assert faults_of(read, [record], fields={"messages": "dialogue"}, ignore=("score",)) == [
        "x.jsonl:1: found message 0: role 'kunde'; expected one of system, user, assistant, tool. "
        "Name it in the source's `roles`"
    ]


def test_a_data_set_of_the_hub(tmp_path, monkeypatch):
    """`datasets` reads a local folder by the same call as a hub id."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text(json.dumps({"messages": MESSAGES}) + "\n")
    (row,) = read_rows([Source(hub=str(folder))])[0]
    assert row.turns == HI
    assert row.where == f"hub:{folder}[train]: row 1"
    (fault,) = faults_of(read_rows, [Source(hub=str(tmp_path / "none"))])
    assert fault.endswith("expected a data set that can be loaded. Local files go in `path`")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "found neither path nor hub; expected one of path, hub"),
        ({"path": "a", "hub": "b"}, "found path and hub; expected one of path, hub"),
        ({"path": "a", "split": "s"}, "found 'split' beside a path; expected 'split' only for a data set of the hub"),
        (
            {"path": "a", "fields": {"prompt": "q"}},
            r"found 'prompt' in fields; expected one of messages, tools \(format: messages\)",
        ),
    ],
)
def test_fields_without_effect_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        Source(**source)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"prompt_weight": 0.1, "loss_on": "all"},
            "found prompt_weight with loss_on: all; expected loss_on: assistant or last_assistant, or no prompt_weight",
        ),
        (
            {"streaming": True},
            r"found streaming with train\[0\] 'a.json'; expected .jsonl, .jsonl.gz, .parquet or a hub data set",
        ),
    ],
)
def test_data_fields_without_effect_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        Data(train=(Source(path="a.json"),), **data)
