"""BFCL (Berkeley Function Calling Leaderboard, Patil et al. 2025) rows as tool-call checks.

Comes in: a row's `function` list and its `ground_truth` (ShishirPatil/gorilla @ 6ea57973). Goes out: one check of the
catalog. BFCL writes Python's type names into schemas, and answers as lists of values that are accepted; "" in such a
list says that the argument may be left out, and a list without values stands for the empty list. A parameter's default
fits it, whatever its type. Calls of one answer may come in any order. The published checker also accepts texts that
differ in case and punctuation; here they must be equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TYPES = {"dict": "object", "float": "number", "tuple": "array"}
"""BFCL's own type names; `any` stands for no type, the others are JSON Schema's."""
KEPT = ("required", "minItems", "maxItems")
LEFT_OUT = ""


def bfcl_tools(functions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the functions of a row as tools with JSON Schemas."""
    return [{"name": each["name"], "parameters": _schema(each["parameters"])} for each in functions]


def bfcl_check(functions: Sequence[Mapping[str, Any]], ground_truth: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the check that a row's answer must pass.

    Args:
        functions: The row's `function`.
        ground_truth: The answer row's `ground_truth`: `{function: {argument: [accepted value, …]}}` per call.
    """
    calls = [
        {"name": name, "arguments_schema": _accepted_object(accepted)}
        for call in ground_truth
        for name, accepted in call.items()
    ]
    return {"tool_calls": {"calls": calls}, "tools": bfcl_tools(functions), "any_order": True}


def _schema(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema as JSON Schema."""
    kind = written.get("type", "any")
    schema: dict[str, Any] = {} if kind == "any" else {"type": TYPES.get(kind, kind)}
    schema |= {name: written[name] for name in KEPT if name in written}
    if isinstance(written.get("properties"), dict):
        schema["properties"] = {name: _schema(each) for name, each in written["properties"].items()}
    items = _schema(written["items"]) if isinstance(written.get("items"), dict) else {}
    if "enum" in written:  # of a list, the values of its items
        (items if kind == "array" else schema)["enum"] = written["enum"]
    if items:
        schema["items"] = items
    default = {"const": written["default"]} if "default" in written else None
    return {"anyOf": [schema, default]} if default else schema


def _accepted_object(accepted: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _accepted(values) for name, values in accepted.items()},
        "required": [name for name, values in accepted.items() if LEFT_OUT not in values],
        "additionalProperties": False,
    }


def _accepted(values: Sequence[Any]) -> dict[str, Any]:
    if not values:
        return {"const": []}
    nested = any(isinstance(each, dict | list) for each in values)
    return {"anyOf": [_value(each) for each in values]} if nested else {"enum": list(values)}


def _value(value: Any) -> dict[str, Any]:
    """Return the schema of one accepted value; an object's values are lists of accepted values again."""
    if isinstance(value, dict):
        return _accepted_object(value)
    if isinstance(value, list) and value:
        return {
            "type": "array",
            "prefixItems": [_value(each) for each in value],
            "items": False,
            "minItems": len(value),
        }
    return {"const": value}
