"""Tools and tool calls of a row, in the one form that chat templates take.

Comes in: what a data set holds (OpenAI's nested form, the flat one, JSON in a text). Goes out: `{"type": "function",
"function": {…}}` with `arguments` as an object, since templates write them with `tojson`; or a fault.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[..., None]

EXPECTED_TOOL = '{"type": "function", "function": {"name": …, "parameters": {…}}}'
EXPECTED_CALL = '{"type": "function", "function": {"name": …, "arguments": {…}}}'


def read_tools(value: Any, say: Say) -> list[dict[str, Any]]:
    """Return the tools of a row; none if it has none."""
    if value is None or value == "":
        return []
    tools = _parsed(value)
    if not isinstance(tools, list) or not all(_named(tool) for tool in tools):
        say("tools", "tools that cannot be read", f"a list of {EXPECTED_TOOL}")
        return []
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def read_calls(value: Any, index: int, tools: list[dict[str, Any]], say: Say) -> list[dict[str, Any]]:
    """Return the calls of message `index`."""
    calls = _parsed(value)
    if not isinstance(calls, list) or not calls or not all(_named(call) for call in calls):
        say("tools", f"message {index}: tool_calls that cannot be read", f"a list of {EXPECTED_CALL}")
        return []
    known = [tool["function"]["name"] for tool in tools]
    made = []
    for call in calls:
        function = _function(call)
        name, arguments = function["name"], _parsed(function.get("arguments", {}))
        if not isinstance(arguments, dict):
            say("tools", f"message {index}: arguments of {name!r} that are no object", EXPECTED_CALL)
        if known and name not in known:
            say("tools", f"message {index}: a call of {name!r}", f"one of the row's tools: {', '.join(known)}")
        rest = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
        made.append({"type": "function", "function": {"name": name, "arguments": arguments}} | rest)
    return made


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def _function(entry: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = entry.get("function", entry)
    return function


def _named(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    function = entry.get("function", entry)
    return isinstance(function, dict) and isinstance(function.get("name"), str) and bool(function["name"])
