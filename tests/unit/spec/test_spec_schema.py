"""The published schema accepts what loads and refuses what does not."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sfteval.checks import CHECK_TABLE
from sfteval.spec import suite_schema
from sfteval.yamlfile import read_yaml

SUITES = Path(__file__).parents[3] / "suites"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = suite_schema(CHECK_TABLE)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", sorted(SUITES.rglob("*.suite.yaml")), ids=lambda path: path.name)
def test_shipped_suites_fit(path: Path, validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(read_yaml(path, "f").data)] == []


def test_every_kind_is_there(validator: Draft202012Validator) -> None:
    base = {"suite": "x", "samples": "a.jsonl", "gates": [{"check": "c", "at_least": 1}]}
    for name, kind in CHECK_TABLE.kinds.items():
        assert validator.is_valid(base | {"checks": {"c": dict(kind.example)}}), name
        assert not validator.is_valid(base | {"checks": {"c": dict(kind.example) | {"unknown_option": 1}}}), name


def test_a_typo_in_a_check_is_refused(validator: Draft202012Validator) -> None:
    base = {"suite": "x", "samples": "a.jsonl", "gates": [{"check": "c", "at_least": 1}]}
    assert not validator.is_valid(base | {"checks": {"c": {"max_wrods": 3}}})
    assert not validator.is_valid(base | {"checks": {"c": {}}})
