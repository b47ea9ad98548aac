"""Tool calls: the right functions, with arguments that fit, in order, in parallel, or none at all.

Comes in: an answer. Goes out: 1 or 0 with the first mistake. A tool is `{name, parameters}` with a JSON Schema, alone
or under `function` as OpenAI's API takes it. Where a tool lists its `properties` and says nothing of others, an
argument that is not listed is a mistake.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, model_validator

from sfteval.checks.answer import Answer, Outcome, judged, unjudged
from sfteval.checks.json_text import same_json
from sfteval.checks.kinds import Context, Flag, Judge, Params, author_fault, kind, prepared
from sfteval.checks.schema_validator import SchemaTimeoutError, Unresolvable, compile_schema
from sfteval.checks.tool_text import Form, NoCallsError, ToolCall, read_calls, trace_of_calls
from sfteval.records import Strict

FirstMistake = Callable[[Any], str | None]
Tools = Mapping[str, FirstMistake]
Wanted = tuple[tuple[str, FirstMistake], ...]
"""Name of each expected call, and what tells the first mistake in its arguments."""
OPENS_SCHEMA = {"additionalProperties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf"}
REMEMBERED = 256


class ExpectedCall(Strict):
    """A call to expect: its name, and its arguments as values or as a JSON Schema; without either, any arguments."""

    name: Annotated[str, Field(min_length=1)]
    arguments: dict[str, Any] | None = None
    arguments_schema: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> ExpectedCall:
        if self.arguments is not None and self.arguments_schema is not None:
            raise author_fault("arguments and arguments_schema", "at most one of them")
        return self


Expected = Annotated[tuple[ExpectedCall, ...], Field(min_length=1)]
_EXPECTED: TypeAdapter[Any] = TypeAdapter(Expected)


class CallTarget(Strict):
    """The calls to expect: the sample's reference, a list, or any that fit the tools, so many of them."""

    reference: Flag | None = None
    calls: Expected | None = None
    at_least: Annotated[int, Field(ge=1)] | None = None
    at_most: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_target(self) -> CallTarget:
        counted = self.at_least is not None or self.at_most is not None
        given = [self.reference is not None, self.calls is not None, counted]
        if sum(given) != 1:
            raise author_fault(f"{sum(given)} targets", "exactly one of reference: true, calls, at_least or at_most")
        return self


class ToolCalls(Params):
    """The answer is the expected tool calls and nothing else: names, arguments, number, order.

    Calls are read from OpenAI's JSON or from `<tool_call>` tags (`form`). `tools` are the functions there are: a file
    beside the suite, the list itself, or `true` for the row's `vars.tools`; every call must then name one of them and
    fit its parameters. Several expected calls must come in their order, unless `any_order`.
    """

    tool_calls: CallTarget
    tools: Flag | str | tuple[dict[str, Any], ...] | None = None
    any_order: bool = False
    form: Form = "any"
    allow_fence: bool = False
    allow_prose: bool = False

    def files(self) -> Mapping[str, str]:
        """Return the tools' file, if it is one."""
        return {"tools": self.tools} if isinstance(self.tools, str) else {}

    def needs_reference(self) -> bool:
        """Return whether the calls are the reference's."""
        return self.tool_calls.reference is True

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference is a call or a list of calls."""
        try:
            _reference_calls(json.dumps(reference))
        except ValueError:
            return "a call {name, arguments} or a list of calls"
        return None


class NoToolCalls(Params):
    """The model answers in words and calls no tool, not even a broken or a quoted one."""

    no_tool_calls: Flag


def compile_tools(tools: Sequence[Any]) -> Tools:
    """Return what tells the first mistake in the arguments of each tool, by name. Raises ValueError with the reason."""
    compiled: dict[str, FirstMistake] = {}
    for number, written in enumerate(tools, start=1):
        tool = written.get("function", written) if isinstance(written, dict) else None
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            msg = f"tool {number} without a name"
            raise ValueError(msg)
        if tool["name"] in compiled:
            msg = f"two tools named {tool['name']!r}"
            raise ValueError(msg)
        try:
            compiled[tool["name"]] = compile_schema(_closed(tool.get("parameters", {})))
        except ValueError as error:
            msg = f"the tool {tool['name']!r} with {error}"
            raise ValueError(msg) from None
    return compiled


def _closed(parameters: Any) -> Any:
    """Refuse arguments that a tool does not list, where it lists some and says nothing of others."""
    if isinstance(parameters, dict) and "properties" in parameters and not OPENS_SCHEMA & parameters.keys():
        return {**parameters, "additionalProperties": False}
    return parameters


@lru_cache(maxsize=REMEMBERED)
def _row_tools(written: str) -> Tools:
    return compile_tools(json.loads(written))


@lru_cache(maxsize=REMEMBERED)
def _reference_calls(written: str) -> Wanted:
    """Return the calls of a reference: one, or a list. Raises ValueError (pydantic's too)."""
    reference = json.loads(written)
    calls = reference if isinstance(reference, list) else [reference]
    return _compiled(_EXPECTED.validate_json(json.dumps(calls)))


def _compiled(calls: Sequence[ExpectedCall]) -> Wanted:
    return tuple((each.name, _arguments_mistake(each)) for each in calls)


def _arguments_mistake(call: ExpectedCall) -> FirstMistake:
    if call.arguments_schema is not None:
        return compile_schema(call.arguments_schema)
    wanted = call.arguments
    return lambda given: None if wanted is None else _difference(given, wanted)


def _difference(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    absent = object()
    for name in dict.fromkeys([*wanted, *given]):
        pair = given.get(name, absent), wanted.get(name, absent)
        if absent in pair or not same_json(*pair):
            mine, theirs = ("nothing" if each is absent else json.dumps(each, ensure_ascii=False)[:80] for each in pair)
            return f"{name} is {mine}, expected {theirs}"
    return None


def prepare_calls(params: ToolCalls, context: Context) -> Judge:
    """Read and compile tools and expected arguments. Raises ValueError with the reason when they cannot be used."""
    tools = _given_tools(params.tools, context)
    expected = None if params.tool_calls.calls is None else _compiled(params.tool_calls.calls)

    def judge(answer: Answer, _: Mapping[str, Outcome]) -> Outcome:
        try:
            there = _row_tools(json.dumps(answer.vars["tools"])) if params.tools is True else tools
            wanted = _reference_calls(json.dumps(answer.reference)) if params.tool_calls.reference else expected
        except KeyError:
            return unjudged("the row has no vars.tools")
        except ValueError as error:
            return unjudged(f"the row's tools or reference cannot be used: {error}")
        try:
            return _judge(params, answer, there, wanted)
        except (SchemaTimeoutError, Unresolvable, RecursionError) as error:
            return unjudged(f"{type(error).__name__}: {error}")

    return judge


def _given_tools(tools: Any, context: Context) -> Tools | None:
    if not isinstance(tools, str):
        return None if tools is None or tools is True else compile_tools(tools)
    try:
        written = json.loads((context.folder / tools).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"{tools!r} (no JSON: {error})"
        raise ValueError(msg) from None
    if not isinstance(written, list):
        msg = f"{tools!r} (no list of tools)"
        raise ValueError(msg)
    return compile_tools(written)


def _judge(params: ToolCalls, answer: Answer, tools: Tools | None, wanted: Wanted | None) -> Outcome:
    try:
        calls = read_calls(
            answer.text, form=params.form, allow_fence=params.allow_fence, allow_prose=params.allow_prose
        )
    except NoCallsError as error:
        return judged(False, str(error))
    for number, call in enumerate(calls, start=1):
        mistake = _against_tools(call, tools)
        if mistake:
            return judged(False, f"call {number}: {mistake}")
    if wanted is None:
        return _counted(params.tool_calls, len(calls))
    if len(calls) != len(wanted):
        return judged(False, f"{len(calls)} calls ({_names(calls)}), expected {len(wanted)}")
    mistake = _unmatched(calls, wanted) if params.any_order else _first_mistake(calls, wanted)
    return judged(mistake is None, mistake or f"called {_names(calls)}")


def _against_tools(call: ToolCall, tools: Tools | None) -> str | None:
    if tools is None:
        return None
    if call.name not in tools:
        return f"the tool {call.name!r}, there are {', '.join(tools)}"
    mistake = tools[call.name](call.arguments)
    return f"{call.name}: {mistake}" if mistake else None


def _counted(target: CallTarget, count: int) -> Outcome:
    least, most = target.at_least or 1, target.at_most
    limit = f"at least {least}" + (f", at most {most}" if most is not None else "")
    return judged(count >= least and (most is None or count <= most), f"{count} calls, {limit}")


def _mistake(call: ToolCall, name: str, first_mistake: FirstMistake) -> str | None:
    if call.name != name:
        return f"{call.name!r}, expected {name!r}"
    mistake = first_mistake(call.arguments)
    return f"{call.name}: {mistake}" if mistake else None


def _first_mistake(calls: Sequence[ToolCall], wanted: Wanted) -> str | None:
    for number, (call, each) in enumerate(zip(calls, wanted, strict=True), start=1):
        mistake = _mistake(call, *each)
        if mistake:
            return f"call {number}: {mistake}"
    return None


def _unmatched(calls: Sequence[ToolCall], wanted: Wanted) -> str | None:
    """Pair calls with expected calls by augmenting paths (Kuhn), since a call may fit several."""
    fits = [[_mistake(call, *each) is None for call in calls] for each in wanted]
    taken: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column in (column for column, fit in enumerate(fits[row]) if fit and column not in tried):
            tried.add(column)
            if column not in taken or place(taken[column], tried):
                taken[column] = row
                return True
        return False

    lost = next((name for row, (name, _) in enumerate(wanted) if not place(row, set())), None)
    if lost is None:
        return None
    return _first_mistake(calls, wanted) if len(calls) == 1 else f"no call fits the expected {lost!r}"


def _names(calls: Sequence[ToolCall]) -> str:
    return ", ".join(call.name for call in calls) or "none"


def no_tool_calls(_: NoToolCalls, answer: Answer) -> Outcome:
    """Look for traces of a call."""
    trace = trace_of_calls(answer.text)
    if trace is None and not answer.text.strip():
        return judged(False, "no answer")
    return judged(trace is None, f"found {trace!r}" if trace else "no call")


_PARIS = {"name": "weather", "arguments": {"city": "Paris"}}
_TOOL = {
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

KINDS = (
    prepared(
        ToolCalls,
        prepare_calls,
        {"tool_calls": {"reference": True}, "tools": [_TOOL]},
        passing=Answer(
            '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>', reference=_PARIS
        ),
        failing=Answer('{"name": "weather", "arguments": {"town": "Paris"}}', reference=_PARIS),
    ),
    kind(
        NoToolCalls,
        no_tool_calls,
        {"no_tool_calls": True},
        passing="Six times seven is 42.",
        failing='I call {"name": "multiply", "arguments": {"a": 6, "b": 7}}.',
    ),
)
