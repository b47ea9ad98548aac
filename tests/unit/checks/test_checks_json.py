"""JSON answers: text, schema, paths, equality."""

import json
from pathlib import Path

import pytest

from sfteval.checks import Answer, Outcome, bind
from sfteval.checks.json_paths import MissingError, steps, value_at
from sfteval.checks.json_text import NotJsonError, read_json, same_json
from sfteval.checks.schema_validator import compile_schema


def judge(check: dict, text: str, reference: object = None, folder: Path = Path()) -> Outcome:
    return bind({"x": check}, folder)(Answer(text, reference=reference))["x"]


FENCED = '```json\n{"a": 1}\n```'
PROSE = 'Sure [ok?]: {"a": 1} Done.'


@pytest.mark.parametrize(
    ("text", "bare", "fence", "first"),
    [
        ('{"a": 1}', 1, 1, 1),
        (" [1, 2]\n", 1, 1, 1),
        ("3", 1, 1, 0),
        (FENCED, 0, 1, 1),
        ("```\n[1]\n```\n", 0, 1, 1),
        ("```python\n[1]\n```", 0, 0, 1),
        (f"Here:\n{FENCED}", 0, 0, 1),
        (PROSE, 0, 0, 1),
        ('{"a": 1} {"b": 2}', 0, 0, 1),
        ("{'a': 1}", 0, 0, 0),
        ('{"a": NaN}', 0, 0, 0),
        ('{"a": 1e999}', 0, 0, 0),
        ('{"a": 1,}', 0, 0, 0),
        ("```json\n{}\n```\n```json\n{}\n```", 0, 0, 1),
        ("", 0, 0, 0),
    ],
)
def test_where_the_json_stands(text: str, bare: int, fence: int, first: int) -> None:
    found = [
        judge({"json": True} | options, text).score for options in ({}, {"allow_fence": True}, {"first_object": True})
    ]
    assert found == [bare, fence, first]


def test_depth_limit_is_exact() -> None:
    assert read_json("[" * 200 + "]" * 200)
    with pytest.raises(NotJsonError, match="nested deeper than 200 levels"):
        read_json("[" * 201 + "]" * 201)
    assert len(read_json("[" + "[],[]," * 500 + "[]]")) == 1001


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, False, False),
        ("1", 1, False),
        ({"a": [1, {"b": 2.0}]}, {"a": [1.0, {"b": 2}]}, True),
        ([1, 2], [2, 1], False),
        ([True], [1], False),
        ({"a": 1}, {"a": 1, "b": None}, False),
    ],
)
def test_equality_of_json(left: object, right: object, same: bool) -> None:
    assert same_json(left, right) is same
    assert same_json(right, left) is same


def test_schema_from_a_file(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"total": {"type": "number", "minimum": 0}}, "required": ["total"]}
    (tmp_path / "s.json").write_text(json.dumps(schema))
    check = {"json_schema": "s.json", "allow_fence": True}
    assert judge(check, '```json\n{"total": 3}\n```', folder=tmp_path) == Outcome(1.0, "fits the schema")
    assert judge(check, '{"total": -1}', folder=tmp_path) == Outcome(0.0, "$.total: -1 is less than the minimum of 0")
    assert judge(check, "{}", folder=tmp_path) == Outcome(0.0, "$: 'total' is a required property")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", ["2024-02-29", 3], ["2023-02-29", "29.02.2024"]),
        (
            "date-time",
            ["2024-02-29T10:00:00Z", "2024-02-29t10:00:00.5+01:00", 3],
            ["2024-02-29", "2024-13-01T10:00:00Z"],
        ),
        (
            "uri",
            ["https://example.org/a?b#c", "mailto:a@example.org", 3],
            ["not a uri", "example.org", "", "a:" + "b" * 2000],
        ),
        ("uri-reference", ["../a#b", "https://example.org", "", 3], ["not a uri", "a\\b"]),
        ("regex", ["^a+$", 3], ["[", "a" * 2001]),
        ("email", ["a@example.org"], ["example.org"]),
        ("hostname", ["anything goes"], []),
    ],
)
def test_formats_are_asserted_only_on_demand(name: str, good: list, bad: list) -> None:
    schema = {"format": name}
    asserted = compile_schema(schema, formats=True)
    assert [asserted(value) for value in good] == [None] * len(good)
    assert None not in [asserted(value) for value in bad]
    assert [compile_schema(schema)(value) for value in bad] == [None] * len(bad)
    check = {"json_schema": schema, "formats": True}
    assert [judge(check, json.dumps(value)).score for value in bad] == [0] * len(bad)


def test_the_draft_follows_the_schema() -> None:
    tuple_form = {"items": [{"type": "integer"}], "additionalItems": False}
    old = {"$schema": "http://json-schema.org/draft-07/schema#"} | tuple_form
    assert compile_schema(old)([1, 2]) == "$: Additional items are not allowed (2 was unexpected)"
    new = {"prefixItems": [{"type": "integer"}], "items": False}
    assert compile_schema(new)([1]) is None
    assert compile_schema(new)([1, 2]) is not None


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}], [{"a": 1, "b": 2}, {"b": 2.0, "a": 1.0}]),
        ({"pattern": "^a+$"}, "aaa", "ab"),
        ({"patternProperties": {"^x": {"type": "integer"}}}, {"x1": 1, "y": "z"}, {"x1": "1"}),
        (
            {"properties": {"a": {}}, "patternProperties": {"^x": {}}, "additionalProperties": False},
            {"a": 1, "x": 1},
            {"b": 1},
        ),
        ({"additionalProperties": {"type": "integer"}}, {"b": 1}, {"b": "1"}),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, "a", 1),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"type": "object"}, {"type": "objct"}),
    ],
)
def test_own_keywords_and_references(schema: dict, good: object, bad: object) -> None:
    first_mistake = compile_schema(schema)
    assert first_mistake(good) is None
    assert first_mistake(bad) is not None


@pytest.mark.parametrize(
    ("path", "expected"),
    [("$", ()), ("$.a.b[0]", ("a", "b", 0)), ("$['a b'][-1]", ("a b", -1)), ('$["x"].y_1', ("x", "y_1"))],
)
def test_paths(path: str, expected: tuple) -> None:
    assert steps(path) == expected


@pytest.mark.parametrize("path", ["a.b", "$..a", "$.a[*]", "$.", "$.a[", "$.a b", "$[x]"])
def test_paths_outside_the_subset(path: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        steps(path)


def test_value_at() -> None:
    value = {"a": [{"b": None}]}
    assert value_at("$.a[-1].b", value) is None
    for missing in ("$.a[1]", "$.b", "$.a.b", "$[0]"):
        with pytest.raises(MissingError):
            value_at(missing, value)


@pytest.mark.parametrize(
    ("options", "text", "reference", "score"),
    [
        ({}, '{"total": null}', None, 1.0),
        ({}, '{"sum": 1}', None, 0.0),
        ({"equals": None}, '{"total": null}', None, 1.0),
        ({"equals": 1}, '{"total": true}', None, 0.0),
        ({"one_of": ["a", 3]}, '{"total": 3.0}', None, 1.0),
        ({"one_of": ["a", 3]}, '{"total": "b"}', None, 0.0),
        ({"equals_reference": True}, '{"total": [1]}', {"total": [1]}, 1.0),
        ({"equals_reference": True}, '{"total": "x"}', "x", 1.0),
        ({"number": {"reference": True, "tolerance": 0.5}}, '{"total": 3.5}', {"total": 3}, 1.0),
        ({"number": {"reference": True, "tolerance": 0.5}}, '{"total": 3.51}', 3, 0.0),
        ({"number": {"reference": True}}, '{"total": "3"}', 3, 0.0),
        ({"number": {"value": 200, "relative": 0.01}}, '{"total": 202}', None, 1.0),
        ({"number": {"reference": True}}, '{"total": 3}', {"sum": 3}, None),
    ],
)
def test_json_path(options: dict, text: str, reference: object, score: float | None) -> None:
    assert judge({"json_path": "$.total"} | options, text, reference).score == score


def test_json_equals_in_listed_fields() -> None:
    check = {"json_equals": {"reference": True, "fields": ["a", "b"]}}
    assert judge(check, '{"a": 1, "b": 2, "c": 9}', {"a": 1, "b": 2, "c": 3}) == Outcome(1.0, "all fields equal")
    assert judge(check, '{"a": 1}', {"a": 1, "b": 2}) == Outcome(0.0, "wrong in b")
    assert judge(check, "[1]", {"a": 1, "b": 2}) == Outcome(0.0, "wrong in a, b")
    assert judge({"json_equals": {"value": None}}, "null").score == 1.0
