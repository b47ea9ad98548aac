"""Structured answers: JSON that parses, fits a schema, holds the right values.

Comes in: an answer. Goes out: 1 or 0 with the first mistake. Every kind takes `allow_fence` (one code fence around the
whole answer) and `first_object` (prose around it).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from sfteval.checks.answer import Answer, Outcome, judged, unjudged
from sfteval.checks.dates import DateRange
from sfteval.checks.json_paths import JsonPath, MissingError, value_at
from sfteval.checks.json_text import NotJsonError, read_json, same_json
from sfteval.checks.kinds import Context, Flag, Judge, Params, author_fault, kind, prepared
from sfteval.checks.reference import Target, to_number
from sfteval.checks.schema_validator import SchemaTimeoutError, Unresolvable, compile_schema
from sfteval.records import Strict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class JsonParams(Params):
    """Where in the answer the JSON stands."""

    allow_fence: bool = False
    first_object: bool = False

    def read(self, answer: Answer) -> Any:
        """Return the JSON value. Raises NotJsonError."""
        return read_json(answer.text, allow_fence=self.allow_fence, first_object=self.first_object)


class Json(JsonParams):
    """The answer is JSON and nothing else."""

    json_: Annotated[Flag, Field(alias="json")]


class JsonSchema(JsonParams):
    """The answer is JSON that fits a schema: a file beside the suite, or the schema itself.

    Drafts 3 to 2020-12 by `$schema`, 2020-12 without. `format` is a remark, unless `formats` asserts it: date,
    date-time, email, ipv4, ipv6, regex, uri, uri-reference and uuid.
    """

    json_schema: str | dict[str, Any]
    formats: bool = False

    def files(self) -> Mapping[str, str]:
        """Return the schema's file, if it is one."""
        return {"json_schema": self.json_schema} if isinstance(self.json_schema, str) else {}


class JsonPathCheck(JsonParams):
    """The value at a path exists, and is equal to, near to, or one of what is asked, or a date in a range.

    A reference that is an object is read at the same path.
    """

    json_path: JsonPath
    equals: Any = None
    equals_reference: Flag | None = None
    number: Target | None = None
    one_of: tuple[Any, ...] | None = None
    date: DateRange | None = None

    @model_validator(mode="after")
    def _one_comparison(self) -> JsonPathCheck:
        given = sorted({"equals", "equals_reference", "number", "one_of", "date"} & self.model_fields_set)
        if any(getattr(self, name) is None for name in given if name != "equals"):
            raise author_fault("an option without a value", "a value, or the option left out")
        if len(given) > 1:
            raise author_fault(" and ".join(given), "at most one of equals, equals_reference, number, one_of, date")
        return self

    def needs_reference(self) -> bool:
        """Return whether the value is compared with the reference."""
        return self.equals_reference is True or (self.number is not None and self.number.reference is True)

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference has a fitting value at the path."""
        try:
            value = reference_at(self.json_path, reference)
        except MissingError:
            return f"a value at {self.json_path}"
        if self.number is not None and to_number(value) is None:
            return f"a number at {self.json_path}"
        return None


class Whole(Strict):
    """The object to equal: the sample's reference or a value; `fields` limits the comparison to these."""

    reference: Flag | None = None
    value: Any = None
    fields: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_target(self) -> Whole:
        if (self.reference is None) == ("value" not in self.model_fields_set):
            found = "no target" if self.reference is None else "reference and value"
            raise author_fault(found, "exactly one of reference: true, value")
        return self


class JsonEquals(JsonParams):
    """The answer is JSON equal to the reference (or a value), in all fields or in those listed."""

    json_equals: Whole

    def needs_reference(self) -> bool:
        """Return whether the reference is compared with."""
        return self.json_equals.reference is True

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference has the listed fields."""
        fields = self.json_equals.fields or ()
        there = isinstance(reference, dict) and all(name in reference for name in fields)
        return None if there or not fields else f"an object with {', '.join(fields)}"


def is_json(params: Json, answer: Answer) -> Outcome:
    """Parse the answer."""
    try:
        params.read(answer)
    except NotJsonError as error:
        return judged(False, f"not JSON: {error}")
    return judged(True, "JSON")


def prepare_schema(params: JsonSchema, context: Context) -> Judge:
    """Read and compile the schema. Raises ValueError with the reason when it cannot be used."""
    schema = params.json_schema
    if isinstance(schema, str):
        try:
            schema = json.loads((context.folder / schema).read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            msg = f"{schema!r} (not UTF-8)"
            raise ValueError(msg) from None
        except (ValueError, RecursionError) as error:
            msg = f"{schema!r} (no JSON: {error})"
            raise ValueError(msg) from None
    first_mistake = compile_schema(schema, formats=params.formats)
    return lambda answer, _: _fits(params, answer, first_mistake)


def _fits(params: JsonSchema, answer: Answer, first_mistake: Callable[[Any], str | None]) -> Outcome:
    try:
        mistake = first_mistake(params.read(answer))
    except NotJsonError as error:
        return judged(False, f"not JSON: {error}")
    except (SchemaTimeoutError, Unresolvable, RecursionError) as error:
        return unjudged(f"{type(error).__name__}: {error}")
    return judged(mistake is None, mistake or "fits the schema")


def at_path(params: JsonPathCheck, answer: Answer) -> Outcome:
    """Look the value up and compare it."""
    try:
        value = value_at(params.json_path, params.read(answer))
    except NotJsonError as error:
        return judged(False, f"not JSON: {error}")
    except MissingError:
        return judged(False, f"nothing at {params.json_path}")
    if params.date is not None:
        return judged(*params.date.judge(value))
    if params.number is not None:
        return params.number.hit(value, _reference_or_none(params.json_path, answer.reference))
    wanted = _accepted(params, answer)
    if wanted is None:
        return judged(True, f"{_brief(value)} at {params.json_path}")
    same = any(same_json(value, each) for each in wanted)
    return judged(same, f"{_brief(value)} at {params.json_path}, expected {' or '.join(map(_brief, wanted))}")


def _accepted(params: JsonPathCheck, answer: Answer) -> tuple[Any, ...] | None:
    if params.one_of is not None:
        return params.one_of
    if params.equals_reference:
        return (_reference_or_none(params.json_path, answer.reference),)
    return (params.equals,) if "equals" in params.model_fields_set else None


def reference_at(path: str, reference: Any) -> Any:
    """Return what a reference holds at a path; a plain value stands for itself. Raises MissingError."""
    return value_at(path, reference) if isinstance(reference, dict | list) else reference


def _reference_or_none(path: str, reference: Any) -> Any:
    try:
        return reference_at(path, reference)
    except MissingError:
        return None


def equals(params: JsonEquals, answer: Answer) -> Outcome:
    """Compare whole objects or the listed fields."""
    target = params.json_equals
    wanted = answer.reference if target.reference else target.value
    try:
        value = params.read(answer)
    except NotJsonError as error:
        return judged(False, f"not JSON: {error}")
    if target.fields is None:
        return judged(same_json(value, wanted), f"{_brief(value)}, expected {_brief(wanted)}")
    if not isinstance(wanted, dict):
        return unjudged("the reference is no object")
    given = value if isinstance(value, dict) else {}
    wrong = [name for name in target.fields if name not in given or not same_json(given[name], wanted.get(name))]
    return judged(not wrong, f"wrong in {', '.join(wrong)}" if wrong else "all fields equal")


def _brief(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:100]


_SCHEMA = {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}

KINDS = (
    kind(Json, is_json, {"json": True}, passing='{"a": [1, 2]}', failing='Here it is: {"a": 1}'),
    prepared(JsonSchema, prepare_schema, {"json_schema": _SCHEMA}, passing='{"total": 3}', failing='{"total": "3"}'),
    kind(
        JsonPathCheck,
        at_path,
        {"json_path": "$.lines[0].sku", "equals": "A1"},
        passing='{"lines": [{"sku": "A1"}]}',
        failing='{"lines": []}',
    ),
    kind(
        JsonEquals,
        equals,
        {"json_equals": {"reference": True}},
        passing=Answer('{"a": 1.0}', reference={"a": 1}),
        failing=Answer('{"a": true}', reference={"a": 1}),
    ),
)
