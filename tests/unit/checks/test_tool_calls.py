"""Tool calls: how they are written, what they must be, and when none is wanted."""

import json
from pathlib import Path

import pytest

from sfteval.checks import Answer, Outcome, bind
from sfteval.errors import InputError

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
CLOCK = {"name": "clock"}
TOOLS = [WEATHER, CLOCK]
PARIS = {"name": "weather", "arguments": {"city": "Paris"}}
ROME = {"name": "weather", "arguments": {"city": "Rome"}}
NOW = {"name": "clock", "arguments": {}}


def judge(check: dict, text: str, folder: Path = Path(), **row: object) -> Outcome:
    return bind({"x": check}, folder)(Answer(text, **row))["x"]


def tags(*calls: dict) -> str:
    return "\n".join(f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in calls)


WRAPPED = {"type": "function", "id": "1", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
ANY = {"tool_calls": {"at_least": 1}}


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (json.dumps(PARIS), {}, (1, "1 calls, at least 1")),
        (json.dumps([PARIS, NOW]), {}, (1, "2 calls, at least 1")),
        (json.dumps([WRAPPED]), {}, (1, "1 calls, at least 1")),
        (json.dumps({"role": "assistant", "content": None, "tool_calls": [WRAPPED]}), {}, (1, "1 calls, at least 1")),
        (tags(PARIS, NOW), {}, (1, "2 calls, at least 1")),
        (tags(PARIS), {"form": "json"}, (0, None)),
        (json.dumps(PARIS), {"form": "tags"}, (0, "no <tool_call>")),
        (f"```json\n{json.dumps(PARIS)}\n```", {}, (0, None)),
        (f"```json\n{json.dumps(PARIS)}\n```", {"allow_fence": True}, (1, "1 calls, at least 1")),
        (f"I look. {tags(PARIS)}", {}, (0, "prose around the calls: 'I look.'")),
        (f"{tags(PARIS)} Done.", {}, (0, "prose around the calls: 'Done.'")),
        (f"I look. {tags(PARIS)} Done.", {"allow_prose": True}, (1, "1 calls, at least 1")),
        (f"I look. {json.dumps(PARIS)} Done.", {"allow_prose": True}, (1, "1 calls, at least 1")),
        (json.dumps({"content": "Hi", "tool_calls": [WRAPPED]}), {}, (0, "prose around the calls: 'Hi'")),
        (json.dumps({"tool_calls": []}), {}, (0, "0 calls, at least 1")),
        (json.dumps({"tool_calls": 1}), {}, (0, "tool_calls that is no list")),
        ("[]", {}, (0, "0 calls, at least 1")),
        (
            json.dumps(PARIS | {"thought": "?"}),
            {},
            (0, "'thought' in a call, which has arguments, name"),
        ),
        (json.dumps({"name": "weather"}), {}, (0, "'weather' without an object of arguments")),
        (json.dumps({"name": "weather", "arguments": "Paris"}), {}, (0, None)),
        ('"weather"', {}, (0, "no call: an object with name and arguments was expected")),
        ("<tool_call>{}", {}, (0, "no </tool_call> for call 1")),
        ("It is sunny.", {}, (0, None)),
        (json.dumps([NOW] * 101), {}, (0, "more than 100 calls")),
    ],
)
def test_how_calls_are_written(text: str, options: dict, expected: tuple[float, str | None]) -> None:
    outcome = judge(ANY | options, text)
    assert outcome.score == expected[0]
    assert expected[1] is None or outcome.evidence == expected[1]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([PARIS], Outcome(1.0, "1 calls, at least 1")),
        ([NOW], Outcome(1.0, "1 calls, at least 1")),
        ([{"name": "rain", "arguments": {}}], Outcome(0.0, "call 1: the tool 'rain', there are weather, clock")),
        (
            [NOW, {"name": "weather", "arguments": {}}],
            Outcome(0.0, "call 2: weather: $: 'city' is a required property"),
        ),
        (
            [{"name": "weather", "arguments": {"city": 1}}],
            Outcome(0.0, "call 1: weather: $.city: 1 is not of type 'string'"),
        ),
        (
            [{"name": "weather", "arguments": {"city": "Rome", "hour": 1}}],
            Outcome(0.0, "call 1: weather: $: unexpected property 'hour'"),
        ),
    ],
)
def test_calls_fit_the_tools(calls: list, expected: Outcome, tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    text = json.dumps(calls)
    assert judge(ANY | {"tools": TOOLS}, text) == expected
    assert judge(ANY | {"tools": "tools.json"}, text, tmp_path) == expected
    assert judge(ANY | {"tools": True}, text, vars={"tools": TOOLS}) == expected


def test_tools_of_the_row_that_are_not_there() -> None:
    assert judge(ANY | {"tools": True}, json.dumps(PARIS)) == Outcome(None, "the row has no vars.tools")
    odd = judge(ANY | {"tools": True}, json.dumps(PARIS), vars={"tools": [{}]})
    assert odd == Outcome(None, "the row's tools or reference cannot be used: tool 1 without a name")


@pytest.mark.parametrize(
    ("calls", "in_order", "any_order"),
    [
        ([PARIS, ROME], (1, "called weather, weather"), (1, "called weather, weather")),
        (
            [ROME, PARIS],
            (0, 'call 1: weather: city is "Rome", expected "Paris"'),
            (1, "called weather, weather"),
        ),
        ([PARIS], (0, "1 calls (weather), expected 2"), (0, "1 calls (weather), expected 2")),
        (
            [PARIS, PARIS],
            (0, 'call 2: weather: city is "Paris", expected "Rome"'),
            (0, "no call fits the expected 'weather'"),
        ),
        ([PARIS, NOW], (0, "call 2: 'clock', expected 'weather'"), (0, "no call fits the expected 'weather'")),
    ],
)
def test_expected_calls_in_order_or_not(calls: list, in_order: tuple, any_order: tuple) -> None:
    check = {"tool_calls": {"calls": [PARIS, ROME]}}
    assert judge(check, tags(*calls)) == Outcome(*in_order)
    assert judge(check | {"any_order": True}, tags(*calls)) == Outcome(*any_order)
    referred = {"tool_calls": {"reference": True}}
    assert judge(referred, tags(*calls), reference=[PARIS, ROME]) == Outcome(*in_order)


def test_a_call_that_fits_two_expected_ones_goes_where_it_is_needed() -> None:
    check = {"tool_calls": {"calls": [{"name": "weather"}, PARIS]}, "any_order": True}
    assert judge(check, tags(PARIS, ROME)).score == 1.0
    assert judge(check, tags(ROME, PARIS)).score == 1.0
    assert judge(check, tags(ROME, ROME)) == Outcome(0.0, "no call fits the expected 'weather'")


def test_arguments_by_schema_and_left_open() -> None:
    by_schema = {"name": "weather", "arguments_schema": {"properties": {"days": {"maximum": 3}}, "required": ["days"]}}
    check = {"tool_calls": {"calls": [by_schema]}}
    assert judge(check, '{"name": "weather", "arguments": {"days": 2}}').score == 1.0
    assert judge(check, '{"name": "weather", "arguments": {"days": 4}}') == Outcome(
        0.0, "call 1: weather: $.days: 4 is greater than the maximum of 3"
    )
    assert (
        judge({"tool_calls": {"calls": [{"name": "clock"}]}}, '{"name": "clock", "arguments": {"a": 1}}').score == 1.0
    )


def test_counts_of_parallel_calls() -> None:
    assert judge({"tool_calls": {"at_least": 2}}, tags(PARIS, ROME)).score == 1.0
    assert judge({"tool_calls": {"at_least": 2}}, tags(PARIS)) == Outcome(0.0, "1 calls, at least 2")
    assert judge({"tool_calls": {"at_most": 1}}, tags(PARIS, ROME)) == Outcome(0.0, "2 calls, at least 1, at most 1")


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"tool_calls": {}}, "found 0 targets; expected exactly one of reference: true, calls, at_least or at_most"),
        ({"tool_calls": {"reference": True, "at_least": 1}}, "found 2 targets"),
        ({"tool_calls": {"calls": [PARIS | {"arguments_schema": {}}]}}, "found arguments and arguments_schema"),
        (ANY | {"tools": [CLOCK, CLOCK]}, "two tools named 'clock'"),
        (ANY | {"tools": [CLOCK | {"parameters": {"type": "dict"}}]}, "the tool 'clock' with a schema that is wrong"),
        (ANY | {"tools": "tools.json"}, "No such file"),
    ],
)
def test_mistakes_of_authors(check: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        bind({"x": check}, Path("/nowhere"))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("It is 42.", 1),
        ("", 0),
        (tags(PARIS), 0),
        (json.dumps(PARIS), 0),
        ('Let me see: {"name": "weather", "arguments": {', 0),
        ('{"tool_calls" : [', 0),
        ("The arguments of a function are its inputs; its name: f.", 1),
    ],
)
def test_no_tool_calls(text: str, score: int) -> None:
    assert judge({"no_tool_calls": True}, text).score == score
