"""Checks that users write."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

import sfteval
from sfteval.checks import Answer, Outcome, Table, bind
from sfteval.checks.own import check
from sfteval.errors import InputError

# mypy: ignore-errors


@pytest.fixture
def table() -> Table:
    return Table(())


def test_typed_parameters_become_fields(table: Table) -> None:
    @check("mentions", table=table)
    def mentions(answer, mentions: str, at_least: int = 1, case: Literal["any", "same"] = "same"):
        """The answer names the company."""
        text = answer.text.lower() if case == "any" else answer.text
        return text.count(mentions) >= at_least, f"{text.count(mentions)} times"

    judge = bind(
        {"one": {"mentions": "Acme"}, "two": {"mentions": "acme", "at_least": 2, "case": "any"}}, Path(), table=table
    )
    assert judge(Answer("Acme and ACME")) == {"one": Outcome(1.0, "1 times"), "two": Outcome(1.0, "2 times")}
    assert judge(Answer("acme"))["one"] == Outcome(0.0, "0 times")
    kind = table.kinds["mentions"]
    assert kind.summary == "The answer names the company."
    assert kind.source.split(":")[0].endswith("test_own_checks.py")
    assert sorted(table.schemas()["mentions"]["properties"]) == ["at_least", "case", "mentions"]
    with pytest.raises(InputError, match="at_least"):
        bind({"bad": {"mentions": "x", "at_least": "2"}}, Path(), table=table)


def test_a_check_without_a_parameter_of_its_name_is_a_flag(table: Table) -> None:
    @check("shouts", table=table)
    def shouts(answer, share: float = 0.5):
        return sum(map(str.isupper, answer.text)) / len(answer.text) >= share

    assert bind({"loud": {"shouts": True, "share": 0.9}}, Path(), table=table)(Answer("ABc"))["loud"].score == 0.0
    with pytest.raises(InputError, match="shouts"):
        bind({"loud": {"shouts": False}}, Path(), table=table)


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (0.25, Outcome(0.25)),
        (None, Outcome(None, "the check returned None")),
        ((None, "no judge"), Outcome(None, "no judge")),
        (float("nan"), Outcome(None, "the check gave nan")),
        ("yes", Outcome(None, "the check broke: TypeError: it returned a str, not a bool or a number")),
    ],
)
def test_what_a_function_may_return(table: Table, result, outcome: Outcome) -> None:
    @check("own", table=table)
    def own(answer):
        return result

    assert bind({"x": {"own": True}}, Path(), table=table)(Answer("a"))["x"] == outcome


def test_a_check_that_raises_has_no_score(table: Table) -> None:
    @check("own", table=table)
    def own(answer):
        return 1 / len(answer.text)

    assert bind({"x": {"own": True}}, Path(), table=table)(Answer(""))["x"].score is None


def test_another_source_is_another_version(table: Table) -> None:
    other = Table(())

    @check("own", table=table)
    def one(answer):
        return True

    @check("own", table=other)
    def two(answer):
        return bool(answer.text)

    versions = {each.metrics({"x": {"own": True}}, Path())["x"].version for each in (table, other)}
    assert len(versions) == 2
    assert all(version.startswith("own-") for version in versions)


def test_names_that_cannot_be(table: Table) -> None:
    for name in ("Upper", "with space", "model_fields", "copy", ""):
        with pytest.raises(InputError, match="expected lower-case letters"):
            check(name, table=table)(lambda answer: True)
    check("own", table=table)(lambda answer: True)
    with pytest.raises(InputError, match="a second check 'own'; expected another name"):
        check("own", table=table)(lambda answer: False)
    with pytest.raises(
        InputError, match="a second check 'max_words'; expected another name: a check of sfteval has it"
    ):
        sfteval.check("max_words")(lambda answer: True)


def test_parameters_need_types(table: Table) -> None:
    with pytest.raises(InputError, match="the parameter 'words' without a type"):
        check("own", table=table)(lambda answer, words: True)
    with pytest.raises(InputError, match="a function without parameters"):
        check("own", table=table)(lambda: True)
