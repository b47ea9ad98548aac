"""JSON Schema without network, hang or surprise: drafts 3 to 2020-12 by `$schema`, 2020-12 by default.

Comes in: a schema. Goes out: a function from value to the first mistake. `pattern` runs with a time limit, every
keyword looks at the clock, and `$ref` reaches only what the schema itself and the published meta-schemas hold.
Known gap: `unevaluatedProperties` beside `patternProperties` matches property names by `re`, without a limit.
"""

from __future__ import annotations

import json
import time
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import regex
from jsonschema import FormatChecker, exceptions, validators
from jsonschema.validators import Draft202012Validator, validator_for
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
from referencing.exceptions import Unresolvable

from sfteval.checks.patterns import search
from sfteval.checks.schema_formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 0.6
DATA_KEYWORDS = {"const", "enum", "default", "examples"}
_deadline: ContextVar[float] = ContextVar("deadline", default=0.0)


class SchemaTimeoutError(Exception):
    """The answer took too long to be held against the schema."""


def compile_schema(schema: Any, *, formats: bool = False) -> Callable[[Any], str | None]:
    """Return the function that gives the first mistake of a value, None when it fits.

    Args:
        schema: The schema.
        formats: Assert `format` where `schema_formats` knows it; the standard takes it for a remark.

    Raises:
        ValueError: the schema is no schema, its draft is unknown, or a `$ref` would need a network.
    """
    kind = _draft(schema)
    try:
        kind.check_schema(schema, format_checker=FormatChecker(()))
    except exceptions.SchemaError as error:
        msg = f"a schema that is wrong at {error.json_path} ({error.message[:120]})"
        raise ValueError(msg) from None
    _check_patterns_and_references(schema)
    validator = _limited(kind)(schema, registry=REGISTRY, format_checker=FORMATS if formats else None)

    def first_mistake(value: Any) -> str | None:
        token = _deadline.set(time.monotonic() + SECONDS)
        try:
            error = next(iter(validator.iter_errors(value)), None)
        finally:
            _deadline.reset(token)
        return None if error is None else f"{error.json_path}: {error.message}"

    return first_mistake


def _draft(schema: Any) -> Any:
    if not isinstance(schema, dict | bool):
        msg = "a schema that is no object"
        raise ValueError(msg)
    dialect = schema.get("$schema") if isinstance(schema, dict) else None
    if dialect is None:
        return Draft202012Validator
    kind = validator_for(schema, default=None)
    if kind is None:
        msg = f"the unknown $schema {dialect!r}"
        raise ValueError(msg)
    return kind


def _check_patterns_and_references(schema: Any) -> None:
    nodes = list(_nodes(schema))
    known = {base for _, base in nodes}
    for node, base in nodes:
        for target in (node.get("$ref"), node.get("$dynamicRef")):
            elsewhere = isinstance(target, str) and not target.startswith("#")
            uri = urljoin(base, target).partition("#")[0] if elsewhere else base
            if uri not in known and uri not in REGISTRY and uri + "#" not in REGISTRY:
                msg = f"the reference {target!r} to another document"
                raise ValueError(msg)
        inner = node.get("patternProperties")
        for pattern in [node.get("pattern"), *(inner if isinstance(inner, dict) else ())]:
            _check_pattern(pattern)


def _check_pattern(pattern: Any) -> None:
    try:
        regex.compile(pattern if isinstance(pattern, str) else "")
    except regex.error as error:
        msg = f"the pattern {pattern!r} ({error.msg})"
        raise ValueError(msg) from None


def _nodes(schema: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield every object of the schema with its base address; values to compare with are not schemas."""
    waiting = [(schema, "")]
    while waiting:
        node, base = waiting.pop()
        if isinstance(node, dict):
            identifier = node.get("$id")
            base = urljoin(base, identifier).partition("#")[0] if isinstance(identifier, str) else base
            yield node, base
            waiting += [(inner, base) for key, inner in node.items() if key not in DATA_KEYWORDS]
        elif isinstance(node, list):
            waiting += [(inner, base) for inner in node]


@cache
def _limited(kind: Any) -> Any:
    """Return the draft's validator class with a clock in every keyword and limits where one keyword alone can hang."""
    own = {name: own for name, own in _OWN_KEYWORDS.items() if name in kind.VALIDATORS}
    return validators.extend(kind, {name: _timed(keyword) for name, keyword in {**kind.VALIDATORS, **own}.items()})


def _timed(keyword: Any) -> Any:
    def run(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        if time.monotonic() > _deadline.get():
            msg = f"held against the schema for more than {SECONDS} s"
            raise SchemaTimeoutError(msg)
        return keyword(validator, value, instance, schema)

    return run


def _pattern(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[Any]:
    if validator.is_type(instance, "string") and search(pattern, instance) is None:
        yield exceptions.ValidationError(f"{instance[:60]!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: dict[str, Any], instance: Any, _: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for pattern, inner in patterns.items():
            for name, value in instance.items():
                if search(pattern, name) is not None:
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    patterns = schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in schema.get("properties", {}) or any(search(pattern, name) is not None for pattern in patterns):
            continue
        if allowed is False:
            yield exceptions.ValidationError(f"unexpected property {name[:60]!r}")
        else:
            yield from validator.descend(value, allowed, path=name)


def _unique_items(validator: Any, unique: bool, instance: Any, _: Any) -> Iterator[Any]:
    if unique and validator.is_type(instance, "array"):
        seen = {json.dumps(_plain_numbers(item), sort_keys=True) for item in instance}
        if len(seen) < len(instance):
            yield exceptions.ValidationError("an item twice")


def _plain_numbers(value: Any) -> Any:
    """Return the value with 1.0 written as 1, which JSON Schema takes for equal."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain_numbers(inner) for key, inner in value.items()}
    return [_plain_numbers(inner) for inner in value] if isinstance(value, list) else value


_OWN_KEYWORDS = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}

__all__ = ["SchemaTimeoutError", "Unresolvable", "compile_schema"]
