"""Every kind: its examples hold, its name is a key of its parameters, its summary says something."""

import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import sfteval.checks
from sfteval.checks import CHECK_TABLE, Answer, CheckKind, Outcome, Table, bind

JUDGES = {"graded": "judge", "compared": "judge_against_base"}
SIBLINGS = {"brief": {"max_words": 3}, "low": {"lowercase": True}}
SIBLINGS |= {name: dict(CHECK_TABLE.kinds[kind].example) for name, kind in JUDGES.items()}
KINDS = list(CHECK_TABLE.kinds.values())


def outcome(check: dict, answer: Answer) -> Outcome:
    return bind({**SIBLINGS, "check": check}, Path())(answer)["check"]


COSTS = [kind for kind in KINDS if not kind.metric.higher_is_better]
BOUNDED = [kind for kind in KINDS if kind not in COSTS]


@pytest.mark.parametrize("kind", COSTS, ids=lambda kind: kind.name)
def test_examples_of_costs(kind: CheckKind) -> None:
    passing, failing = (outcome(dict(kind.example), answer) for answer in (kind.passing, kind.failing))
    assert passing.score < failing.score
    assert (kind.metric.lower, kind.metric.upper) in {(None, None), (0.0, 1.0), (-1.0, 1.0)}
    assert kind.metric.version == "1"
    assert kind.summary.endswith("lower is better.")


@pytest.mark.parametrize("kind", BOUNDED, ids=lambda kind: kind.name)
def test_examples(kind: CheckKind) -> None:
    assert outcome(dict(kind.example), kind.passing).score == 1.0
    failing = outcome(dict(kind.example), kind.failing)
    assert failing.score == 0.0
    assert failing.evidence


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_empty_answers_do_not_pass_by_being_empty(kind: CheckKind) -> None:
    limits = {"max_words", "max_sentences", "max_chars", "not_regex", "no_special_tokens", "no_role_leakage"}
    silent = limits | {"no_repetition", "any_of", "all_of", "none_of", "per_sample", "ends_turn", "not_cut"}
    silent |= {"pass_at", "pass_all", "every_turn", "at_turn"}
    score = outcome(
        dict(kind.example), Answer("", kind.passing.finish_reason, reference="x", vars=kind.passing.vars)
    ).score
    assert (score == 1.0) == (kind.name in silent - {"all_of", "none_of", "per_sample"})


@pytest.mark.parametrize("kind", BOUNDED, ids=lambda kind: kind.name)
def test_described(kind: CheckKind) -> None:
    assert kind.name in kind.params.keys()  # noqa: SIM118 - a class method, not a mapping
    assert kind.summary.endswith((".", ";", ":", ")")) or len(kind.summary) > 20
    assert kind.metric.version == "1"
    assert (kind.metric.lower, kind.metric.upper, kind.metric.higher_is_better) == (0.0, 1.0, True)


def themes() -> list[ModuleType]:
    """Return every module of checks that has kinds: a theme left out of the catalog would be seen."""
    modules = [import_module(f"sfteval.checks.{each.name}") for each in pkgutil.iter_modules(sfteval.checks.__path__)]
    return [module for module in modules if hasattr(module, "KINDS")]


def test_the_names() -> None:
    assert {"json", "json_schema", "json_path", "json_equals", "regex", "not_regex", "ends_turn"} <= set(
        CHECK_TABLE.names()
    )
    assert list(CHECK_TABLE.names()) == sorted(CHECK_TABLE.kinds)
    assert len(CHECK_TABLE.names()) == sum(len(theme.KINDS) for theme in themes()) >= 110


def test_two_kinds_of_one_name() -> None:
    with pytest.raises(ValueError, match="two check kinds are named json"):
        Table([*KINDS, CHECK_TABLE.kinds["json"]])
