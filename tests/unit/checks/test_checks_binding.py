"""Binding: order, combinations, failures that become outcomes."""

import dataclasses
import math
from pathlib import Path

import pytest

from sfteval.checks import CHECK_TABLE, Answer, Outcome, Table, bind
from sfteval.errors import InputError


def scores(checks: dict, answer: Answer | str) -> dict[str, float | None]:
    outcomes = bind(checks, Path())(Answer(answer) if isinstance(answer, str) else answer)
    return {name: outcome.score for name, outcome in outcomes.items()}


def test_combinations_of_combinations_in_any_order() -> None:
    checks = {
        "top": {"all_of": ["either", "not_long"]},
        "either": {"any_of": ["low", "up"]},
        "not_long": {"none_of": ["long"]},
        "low": {"lowercase": True},
        "up": {"uppercase": True},
        "long": {"min_words": 4},
    }
    assert scores(checks, "ALL UP") == {"top": 1, "either": 1, "not_long": 1, "low": 0, "up": 1, "long": 0}
    assert scores(checks, "all low and long") == {"top": 0, "either": 1, "not_long": 0, "low": 1, "up": 0, "long": 1}
    assert list(scores(checks, "x")) == list(checks)


def test_a_member_without_a_score_leaves_the_whole_without() -> None:
    checks = {"stops": {"ends_turn": True}, "brief": {"max_words": 1}, "all": {"all_of": ["stops", "brief"]}}
    outcomes = bind(checks, Path())(Answer("two words"))
    assert outcomes["stops"] == Outcome(
        None, "no finish reason: nobody recorded how this answer ended", unknowable=True
    )
    assert outcomes["all"] == Outcome(None, "no score of stops", unknowable=True)


def test_per_sample_all_and_share() -> None:
    checks = {"all": {"per_sample": "all"}, "share": {"per_sample": "share"}}
    answer = Answer("one two", vars={"checks": [{"max_words": 1}, {"lowercase": True}, {"ends_with": "two"}]})
    outcomes = bind(checks, Path())(answer)
    assert outcomes["all"] == Outcome(0.0, "2 of 3 pass; max_words: 2 words, at most 1")
    assert outcomes["share"].score == pytest.approx(2 / 3)
    assert bind(checks, Path())(Answer("x"))["all"] == Outcome(None, "the row has no vars.checks")


def broken(score: float | None) -> Table:
    def prepare(params: object, context: object) -> object:
        def judge(answer: Answer, outcomes: object) -> Outcome:
            if score is None:
                msg = "boom \ud800"
                raise RuntimeError(msg)
            return Outcome(score)

        return judge

    return Table([dataclasses.replace(CHECK_TABLE.kinds["json"], prepare=prepare)])


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_no_score_is_ever_infinite_or_nan(score: float) -> None:
    outcome = bind({"x": {"json": True}}, Path(), table=broken(score))(Answer("1"))["x"]
    assert outcome == Outcome(None, f"the check gave {score}")


def test_an_unexpected_exception_is_an_outcome_that_can_be_stored() -> None:
    outcome = bind({"x": {"json": True}}, Path(), table=broken(None))(Answer("1"))["x"]
    assert outcome == Outcome(None, "the check broke: RuntimeError: boom \\ud800")


def test_evidence_is_cut() -> None:
    outcome = bind({"x": {"regex": "a+"}}, Path())(Answer("a" * 10_000))["x"]
    assert outcome.score == 1.0
    assert len(outcome.evidence) == 301


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        (
            {"a": {"max_wrods": 3}},
            "checks.a: found unknown check 'max_wrods'; did you mean 'max_words'?; expected a usable check",
        ),
        (
            {"a": {"all_of": ["b"]}},
            "checks: found a names b; expected siblings that exist and wait for nobody in return",
        ),
        (
            {"a": {"all_of": ["a"]}},
            "checks: found the circle a → a; expected siblings that exist and wait for nobody in return",
        ),
    ],
)
def test_unusable_checks(checks: dict, message: str) -> None:
    with pytest.raises(InputError) as caught:
        bind(checks, Path())
    assert str(caught.value) == message


def test_head_key_in_any_place() -> None:
    mapping = {"number": {"value": 3}, "json_path": "$.total"}
    assert CHECK_TABLE.kind_of(mapping).name == "json_path"
    assert CHECK_TABLE.kind_of({"allow_fence": True, "json": True}).name == "json"
    assert CHECK_TABLE.kind_of({"number": {"value": 3}}).name == "number"
    assert CHECK_TABLE.kind_of({}) is None


def versions(checks: dict, folder: Path = Path()) -> dict[str, str]:
    return {name: info.version for name, info in CHECK_TABLE.metrics(checks, folder).items()}


def test_versions_of_a_combination_name_its_members() -> None:
    checks = {"a": {"json": True}, "b": {"all_of": ["a", "c"]}, "c": {"any_of": ["a"]}}
    found = versions(checks)
    assert found["c"].endswith(f"(a={found['a']})")
    assert found["b"].endswith(f"(a={found['a']},c={found['c']})")
    changed = versions(checks | {"a": {"json": True, "allow_fence": True}})
    assert all(changed[name] != found[name] for name in checks)


def test_parameters_and_the_content_of_files_are_part_of_a_version(tmp_path: Path) -> None:
    limit = versions({"brief": {"max_words": 3}})
    assert limit == versions({"brief": {"max_words": 3}}) != versions({"brief": {"max_words": 4}})
    assert versions({"valid": {"json_schema": {"type": "object"}}}) == versions(
        {"valid": {"json_schema": {"type": "object"}, "allow_fence": False}}
    ), "what is as by default says nothing"
    schema = tmp_path / "a.schema.json"
    schema.write_text('{"type": "object"}')
    checks = {"valid": {"json_schema": "a.schema.json"}}
    first = versions(checks, tmp_path)
    schema.rename(tmp_path / "b.schema.json")
    assert versions({"valid": {"json_schema": "b.schema.json"}}, tmp_path) == first, "content, not names"
    schema.write_text('{"type": "array"}')
    assert versions(checks, tmp_path) != first
