"""Tool calls out of answers: OpenAI's JSON, or `<tool_call>` tags.

Comes in: text of any size. Goes out: calls in the order written, or `NoCallsError` with the reason. JSON is one call,
a list of calls, or an assistant message with `tool_calls`; a call is `{"name", "arguments"}`, alone or under
`"function"`, its arguments an object or (as OpenAI's API writes them) an object inside a text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from sfteval.checks.json_text import NotJsonError, read_json

Form = Literal["any", "json", "tags"]
OPEN, CLOSE = "<tool_call>", "</tool_call>"
MOST_CALLS = 100
WRAPPER = {"id", "type", "index", "function"}
MESSAGE = {"role", "content", "refusal", "tool_calls"}
TRACES = (re.compile(r"</?tool_call>"), re.compile(r'"tool_calls"\s*:'), re.compile(r'"arguments"\s*:'))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call as the model wrote it."""

    name: str
    arguments: dict[str, Any]


class NoCallsError(ValueError):
    """The answer holds no well-formed calls; the message says why."""


def read_calls(text: str, *, form: Form, allow_fence: bool, allow_prose: bool) -> tuple[ToolCall, ...]:
    """Return the calls of an answer.

    Args:
        text: The answer.
        form: `json`, `tags`, or `any` of both.
        allow_fence: Also accept JSON inside one code fence that is the whole answer.
        allow_prose: Accept words around the calls; of JSON, the first object or list counts.

    Raises:
        NoCallsError: with the reason; more than 100 calls are a reason too.
    """
    tagged = OPEN in text if form == "any" else form == "tags"
    try:
        if tagged:
            return _tagged(text, allow_prose)
        value = read_json(text, allow_fence=allow_fence, first_object=allow_prose)
        return _calls(value, allow_prose)
    except NotJsonError as error:
        msg = f"not JSON: {error}"
        raise NoCallsError(msg) from None


def trace_of_calls(text: str) -> str | None:
    """Return what in a text looks like a call, well-formed or not; None without a trace."""
    return next((match.group(0) for trace in TRACES if (match := trace.search(text))), None)


def _tagged(text: str, allow_prose: bool) -> tuple[ToolCall, ...]:
    before, *parts = text.split(OPEN)
    if not parts:
        msg = f"no {OPEN}"
        raise NoCallsError(msg)
    _few(len(parts))
    calls: list[ToolCall] = []
    around = [before]
    for part in parts:
        body, closed, after = part.partition(CLOSE)
        if not closed:
            msg = f"no {CLOSE} for call {len(calls) + 1}"
            raise NoCallsError(msg)
        calls.append(_call(read_json(body)))
        around.append(after)
    prose = next((each.strip() for each in around if each.strip()), None)
    if prose is not None and not allow_prose:
        msg = f"prose around the calls: {prose[:40]!r}"
        raise NoCallsError(msg)
    return tuple(calls)


def _calls(value: Any, allow_prose: bool) -> tuple[ToolCall, ...]:
    if isinstance(value, dict) and "tool_calls" in value:
        _only(value, MESSAGE, "a message")
        if value.get("content") and not allow_prose:
            msg = f"prose around the calls: {str(value['content'])[:40]!r}"
            raise NoCallsError(msg)
        value = value["tool_calls"]
        if not isinstance(value, list):
            msg = "tool_calls that is no list"
            raise NoCallsError(msg)
    written = value if isinstance(value, list) else [value]
    _few(len(written))
    return tuple(_call(each) for each in written)


def _call(value: Any) -> ToolCall:
    if isinstance(value, dict) and "function" in value:
        _only(value, WRAPPER, "a call")
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        msg = "no call: an object with name and arguments was expected"
        raise NoCallsError(msg)
    _only(value, {"name", "arguments"}, "a call")
    arguments = value.get("arguments")
    if isinstance(arguments, str):
        arguments = read_json(arguments)
    if not isinstance(arguments, dict):
        msg = f"{value['name']!r} without an object of arguments"
        raise NoCallsError(msg)
    return ToolCall(value["name"], arguments)


def _only(value: dict[str, Any], known: set[str], noun: str) -> None:
    extra = [key for key in value if key not in known]
    if extra:
        msg = f"{extra[0]!r} in {noun}, which has {', '.join(sorted(known))}"
        raise NoCallsError(msg)


def _few(count: int) -> None:
    if count > MOST_CALLS:
        msg = f"more than {MOST_CALLS} calls"
        raise NoCallsError(msg)
