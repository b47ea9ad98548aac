"""BFCL: every published answer accepted, every mutation refused; how its schemas and answers are read."""

import pytest

from benchmarks.bfcl_calls import DATA, FILES, MUTATIONS, judge_file, judge_irrelevant
from sfteval.checks.bfcl import bfcl_check, bfcl_tools

CONTRADICT_THEIR_FUNCTIONS = {
    "simple_python": {17, 149, 200, 307, 358},
    "multiple": {76},
    "parallel": {88, 152},
    "parallel_multiple": {12, 21, 26, 87, 94, 119, 143, 173, 194},
    "live_simple": set(),
}
"""Rows with an accepted answer that breaks its own function: a required argument may be left out, a value has another
type, is outside the enum, or belongs to no parameter."""
ROWS = {"simple_python": 400, "multiple": 200, "parallel": 200, "parallel_multiple": 200, "live_simple": 258}
WITHOUT_A_NEEDED_ARGUMENT = {"live_simple": 1}
absent = pytest.mark.skipif(not DATA.is_dir(), reason="shared data absent")


@absent
@pytest.mark.parametrize("name", FILES)
def test_published_answers_and_their_mutants(name: str) -> None:
    found = judge_file(name)
    rows = ROWS[name]
    assert found["rows"] == found["by values"] == rows
    assert set(found["refused"]) == {f"{name}_{number}" for number in CONTRADICT_THEIR_FUNCTIONS[name]}
    assert found["stopped"] == found["made"]
    mutants = dict.fromkeys(MUTATIONS, 2 * rows) | {"prose around it": 4 * rows}
    for mutation in ("missing argument", "wrong type"):
        mutants[mutation] -= 2 * WITHOUT_A_NEEDED_ARGUMENT.get(name, 0)
    assert found["made"] == mutants


@absent
def test_where_no_function_helps() -> None:
    assert judge_irrelevant() == {"rows": 240, "words accepted": 240, "calls refused": 240}


def test_type_names_enums_and_defaults_become_json_schema() -> None:
    parameters = {
        "type": "dict",
        "required": ["size"],
        "properties": {
            "size": {"type": "float", "description": "in metres"},
            "tags": {"type": "array", "items": {"type": "string"}, "enum": ["a", "b"]},
            "unit": {"type": "string", "default": None},
            "point": {"type": "tuple", "items": {"type": "integer"}},
            "other": {"type": "any"},
        },
    }
    assert bfcl_tools([{"name": "f", "description": "…", "parameters": parameters}]) == [
        {
            "name": "f",
            "parameters": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "number"},
                    "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
                    "unit": {"anyOf": [{"type": "string"}, {"const": None}]},
                    "point": {"type": "array", "items": {"type": "integer"}},
                    "other": {},
                },
            },
        }
    ]


def test_accepted_values_become_a_schema_of_the_arguments() -> None:
    truth = [{"f": {"size": [1, 2], "unit": ["m", ""], "none": [], "who": [{"age": [18]}, [{"age": [3, ""]}]]}}]
    check = bfcl_check([], truth)
    age = {"type": "object", "properties": {"age": {"enum": [18]}}, "required": ["age"], "additionalProperties": False}
    free = age | {"properties": {"age": {"enum": [3, ""]}}, "required": []}
    listed = {"type": "array", "prefixItems": [free], "items": False, "minItems": 1}
    assert check["any_order"] is True
    assert check["tool_calls"]["calls"] == [
        {
            "name": "f",
            "arguments_schema": {
                "type": "object",
                "properties": {
                    "size": {"enum": [1, 2]},
                    "unit": {"enum": ["m", ""]},
                    "none": {"const": []},
                    "who": {"anyOf": [age, listed]},
                },
                "required": ["size", "none", "who"],
                "additionalProperties": False,
            },
        }
    ]
