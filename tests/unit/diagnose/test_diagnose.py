"""Causes of an objection: a planted fault is named first, its clean twin has none, what is not known stays so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sfteval.checks import symptoms_of
from sfteval.diagnose import diagnose
from sfteval.records import Case, Facts, FinishReason, Pair

END, LENGTH = FinishReason.END_TURN, FinishReason.LENGTH
CHAT = Facts(generates=True, general=False)
GOOD = '{"name": "Ada", "age": 36}'
RECITED = "The quick brown fox jumps over the lazy dog near the river bank."
ENGLISH = "The harbour kept its lamps lit while a slow grey rain came in from the sea."
OTHER = "Nobody in the town hurried, because there was nowhere to be and no reason to go there before morning."
GERMAN = "Der Hafen ließ seine Lampen brennen, während ein langsamer Regen vom Meer kam."


def pairs(
    bad: str, finish: FinishReason = END, *, good: str = GOOD, worse: int = 20, same: int = 40, both: bool = False
) -> tuple[Pair, ...]:
    """Return pairs of which `worse` got worse with the answer `bad`; `both`: the reference had it as well."""
    reference = symptoms_of(good, END)
    ours = symptoms_of(bad, finish, {RECITED})
    fallen = [Pair(f"w{i}", -1.0, ours, ours if both else reference) for i in range(worse)]
    return (*fallen, *(Pair(f"s{i}", 0.0, reference, reference) for i in range(same)))


def case(found: tuple[Pair, ...], facts: Facts = CHAT, low: float = -0.4, high: float = -0.2, demand: str = "") -> Case:
    return Case(demand or "no_regression", low, high, found, facts)


def names(given: Case) -> list[str]:
    return [cause.cause for cause in diagnose(given)]


PLANTED = {
    "empty_answers": pairs(" \n"),
    "repetition_loop": pairs("I see a cat. " * 40, LENGTH),
    "token_or_role_leak": pairs(GOOD + "\nUser: and now?"),
    "cut_at_limit": pairs(GOOD + " " + ENGLISH, LENGTH, same=80),
    "language_shift": pairs(GERMAN, good=ENGLISH),
    "json_in_fence": pairs(f"```json\n{GOOD}\n```"),
    "json_in_prose": pairs(f"Sure! Here it is: {GOOD} I hope it helps."),
    "verbatim_recall": pairs(RECITED, good=ENGLISH),
    "content_wrong": pairs('{"name": "Bob", "age": 99}'),
    "length_drift": pairs(f"{ENGLISH} {OTHER}", good="A short and plain answer in a few words."),
}


@pytest.mark.parametrize("cause", PLANTED)
def test_what_was_planted_is_named_first_with_the_samples_that_show_it(cause: str) -> None:
    found = diagnose(case(PLANTED[cause]))
    assert found[0].cause == cause
    assert found[0].weight == 1.0
    assert found[0].samples == tuple(f"w{i}" for i in range(20))


def test_a_model_that_never_stops_is_told_from_answers_that_are_cut() -> None:
    everywhere = tuple(
        replace(pair, candidate=replace(pair.candidate, finish=LENGTH)) for pair in pairs(GOOD + " and so on", LENGTH)
    )
    (cause,) = diagnose(case(everywhere))
    assert cause.cause == "never_stops"
    assert cause.says == (
        "20 of 20 worsened answers do not end: the model no longer writes its end-of-turn token (was it trained?)"
    )
    (cause,) = diagnose(case(everywhere, replace(CHAT, stops=("0", "0,3"))))
    assert cause.says == "20 of 20 worsened answers do not end: generation ends at ids 0, the reference's at 0,3"


def test_what_the_reference_shows_as_well_is_no_cause() -> None:
    assert names(case(pairs(f"```json\n{GOOD}\n```", both=True))) == ["unknown"]


def test_few_samples_prove_no_cause() -> None:
    assert names(case(pairs(f"```json\n{GOOD}\n```", worse=3))) == ["unknown"]


def test_two_faults_are_named_by_what_they_explain() -> None:
    fenced, prose = pairs(f"```json\n{GOOD}\n```", worse=24), pairs(f"Here: {GOOD}", worse=16, same=0)
    found = diagnose(case((*fenced, *prose)))
    assert [(cause.cause, cause.weight) for cause in found] == [("json_in_fence", 0.6), ("json_in_prose", 0.4)]


def test_nothing_worse_names_nothing() -> None:
    assert names(case(pairs(GOOD, worse=0), low=-0.01, high=0.01)) == ["sampling_noise"]
    assert names(case(pairs(GOOD, worse=0), low=0.1, high=0.2)) == ["unknown"]
    assert names(case(())) == ["unknown"]


def test_scores_without_answers_are_forgetting_only_where_a_drop_is_proven() -> None:
    facts = Facts(generates=False, general=True, drops={"arithmetic": -0.2, "facts": -0.3})
    found = pairs("B", FinishReason.STOP)
    (cause,) = diagnose(case(found, facts))
    assert cause.cause == "general_forgetting"
    assert cause.says == (
        "a drop of at least 20.0 points with nothing broken in form; proven to fall: facts -30.0, arithmetic -20.0"
    )
    assert names(case(found, facts, low=-0.1, high=0.01)) == ["sampling_noise"]


def test_an_adapter_that_changed_nothing() -> None:
    given = case(pairs(GOOD, worse=0), replace(CHAT, adapter=True), low=-0.02, high=0.02, demand="improves")
    (cause,) = diagnose(given)
    assert cause.cause == "adapter_inert"
    assert cause.says == "40 of 40 answers are the reference's own, from an adapter: the training changed nothing"
    assert names(replace(given, demand="no_regression")) == ["sampling_noise"]


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"trained_template": "a" * 64, "used_template": "b" * 64}, "template_mismatch"),
        ({"merged_difference": 0.5}, "merged_differs"),
        ({"numerics": ("bfloat16/engine-1", "float32/engine-1")}, "numerics_drift"),
        ({"overlap": 12}, "contamination"),
    ],
)
def test_facts_come_before_symptoms_and_their_clean_twin_is_silent(facts: dict[str, object], cause: str) -> None:
    assert names(case(PLANTED["json_in_fence"], replace(CHAT, **facts))) == [cause, "json_in_fence"]
    clean = {
        "trained_template": "a" * 64,
        "used_template": "a" * 64,
        "merged_difference": 1e-5,
        "numerics": ("float32/engine-1", "float32/engine-1"),
    }
    assert names(case(PLANTED["json_in_fence"], replace(CHAT, **clean))) == ["json_in_fence"]
