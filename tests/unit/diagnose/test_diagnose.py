"""Causes of an objection: a planted fault is named first, its clean twin has none, what is not known stays so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sfteval.checks import symptoms_of
from sfteval.diagnose import diagnose
from sfteval.records import Case, Facts, FinishReason, MergeDifference, MergeFacts, Pair

END, LENGTH = FinishReason.END_TURN, FinishReason.LENGTH
CHAT = Facts(generates=True, general=False)
GOOD = '{"name": "Ada", "age": 36}'
RECITED = "The quick brown fox jumps over the lazy dog near the river bank."
ENGLISH = "The harbour kept its lamps lit while a slow grey rain came in from the sea."
OTHER = "Nobody in the town hurried, because there was nowhere to be and no reason to go there before morning."
GERMAN = "Der Hafen ließ seine Lampen brennen, während ein langsamer Regen vom Meer kam."


def pairs(
    bad: str, finish: FinishReason = END, *, good: str = GOOD, worse: int = 20, same: int = 40
) -> tuple[Pair, ...]:
    """Return pairs of which `worse` got worse with the answer `bad`."""
    reference = symptoms_of(good, END)
    ours = symptoms_of(bad, finish, {RECITED})
    fallen = [Pair(f"w{i}", -1.0, ours, reference) for i in range(worse)]
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
    (cause,) = diagnose(case(everywhere, replace(CHAT, stops=("0", "0,3"), trained_stops=(3,))))
    assert cause.says == "20 of 20 worsened answers do not end: trained to end at ids 3, generation ends at 0"


@pytest.mark.parametrize("cause", PLANTED)
def test_what_the_reference_shows_as_well_is_no_cause(cause: str) -> None:
    twin = tuple(replace(pair, reference=pair.candidate) for pair in PLANTED[cause])
    assert names(case(twin)) == ["unknown"]


@pytest.mark.parametrize("cause", PLANTED)
def test_many_answers_to_one_prompt_are_one_piece_of_evidence(cause: str) -> None:
    once = tuple(replace(pair, cluster="prompt" if pair.change else "") for pair in PLANTED[cause])
    assert names(case(once)) == ["unknown"]
    twice = tuple(replace(p, cluster=f"prompt{i // 2}") for i, p in enumerate(PLANTED[cause]))
    assert names(case(twice))[0] == cause


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
    facts = replace(CHAT, adapter=True, like_base=(40, 40))
    failing = tuple(replace(pair, failed=True) for pair in pairs("no JSON", worse=0, good="no JSON"))
    given = case(failing, facts, low=-0.02, high=0.02, demand="improves")
    (cause,) = diagnose(given)
    assert cause.cause == "adapter_inert"
    assert cause.says == "40 of 40 answers are base's own, from an adapter: the training changed nothing"
    assert cause.samples == tuple(f"s{i}" for i in range(20))
    assert names(replace(given, facts=replace(facts, like_base=(38, 40)))) == ["unknown"]
    assert names(replace(given, facts=replace(facts, like_base=(19, 19)))) == ["unknown"]
    assert names(replace(given, facts=replace(facts, like_base=(19, 19), same_weights=True))) == ["adapter_inert"]
    fallen_back = case(PLANTED["content_wrong"], facts)
    assert names(fallen_back) == ["adapter_inert"]


MEASURED = MergeDifference(8, 200, 0.5, 30.0, 0.98)
LEAKED = frozenset(f"w{i}" for i in range(12))


@pytest.mark.parametrize(
    ("facts", "clean", "said"),
    [
        (
            {"trained_template": "a" * 64, "used_template": "b" * 64},
            {"trained_template": "a" * 64, "used_template": "a" * 64},
            ("template_mismatch", "trained with chat template aaaaaaaaaaaa, evaluated with bbbbbbbbbbbb"),
        ),
        (
            {"merged": MergeFacts(MEASURED)},
            {"merged": MergeFacts(replace(MEASURED, max_abs_logit_difference=0.03), measured=True)},
            (
                "merged_differs",
                "the merged weights' logits differ from the adapter's by up to 0.5, more than 0.001 of their spread 30",
            ),
        ),
        (
            {"merged": MergeFacts(replace(MEASURED, max_abs_logit_difference=1e-5), measured=False)},
            {"merged": MergeFacts()},
            ("merged_differs", "the weights are not those that were compared with the adapter when merging"),
        ),
        (
            {"merged": MergeFacts(of_reference=True)},
            {"merged": None},
            ("merged_differs", "the reference is the adapter itself, and answers otherwise"),
        ),
    ],
)
def test_facts_come_before_symptoms_and_their_clean_twin_is_silent(
    facts: dict[str, object], clean: dict[str, object], said: tuple[str, str]
) -> None:
    first, second = diagnose(case(PLANTED["json_in_fence"], replace(CHAT, **facts)))
    assert (first.cause, first.says, first.weight) == (*said, 1.0)
    assert second.cause == "json_in_fence"
    assert names(case(PLANTED["json_in_fence"], replace(CHAT, **clean))) == ["json_in_fence"]


def test_other_precision_stands_behind_what_the_answers_show() -> None:
    facts = replace(CHAT, numerics=("float32/engine-1/Q4_0", "float32/engine-1"))
    assert names(case(PLANTED["json_in_fence"], facts)) == ["json_in_fence", "numerics_drift"]
    (cause,) = diagnose(case(PLANTED["content_wrong"], facts))
    assert cause.says == "computed in float32 from Q4_0, the reference in float32"
    (cause,) = diagnose(case(pairs(GOOD), replace(CHAT, numerics=("bfloat16/live/x", "float32/engine-1"))))
    assert (cause.cause, cause.says) == ("numerics_drift", "computed in bfloat16, the reference in float32")
    same = replace(CHAT, numerics=("float32/engine-1/Q4_0", "float32/engine-1/Q4_0"))
    assert names(case(PLANTED["content_wrong"], same)) == ["content_wrong"]
    assert names(case(PLANTED["content_wrong"], facts, low=-0.1, high=0.1)) == ["sampling_noise"]


@pytest.mark.parametrize("theirs", ["float32/engine-1", "lm-eval-0.4.13"])
def test_another_engine_comes_last(theirs: str) -> None:
    facts = replace(CHAT, numerics=("float32/engine-2", theirs))
    found = diagnose(case(PLANTED["content_wrong"], facts))
    assert [cause.cause for cause in found] == ["content_wrong", "numerics_drift"]
    assert found[1].says == f"answered by float32/engine-2, the reference by {theirs}"


def test_a_drop_on_samples_that_only_the_reference_had_learned() -> None:
    found = PLANTED["content_wrong"]
    (cause,) = diagnose(case(found, replace(CHAT, overlap=LEAKED)))
    said = "12 of 20 worsened samples stood in the reference's training data, not in this one's"
    assert (cause.cause, cause.says, cause.weight) == ("contamination", said, 0.6)
    assert set(cause.samples) == LEAKED
    everywhere = LEAKED | {f"s{i}" for i in range(24)}
    assert names(case(found, replace(CHAT, overlap=everywhere))) == ["content_wrong"]
    assert names(case(found, replace(CHAT, overlap=frozenset({"w0"})))) == ["content_wrong"]
    all_of_it = frozenset(pair.sample_id for pair in found)
    assert names(case(found, replace(CHAT, overlap=all_of_it))) == ["contamination"]


def test_a_habit_that_does_no_harm_is_no_cause() -> None:
    """Every answer is fenced now; those that were right stay right, and the content of a third is wrong."""
    fence = "```json\n{}\n```"
    fenced, wrong = (symptoms_of(fence.format(text), END) for text in (GOOD, '{"name": "Bob", "age": 99}'))
    bare = symptoms_of(GOOD, END)
    fallen = [Pair(f"w{i}", -1.0, wrong, bare) for i in range(20)]
    found = (*fallen, *(Pair(f"s{i}", 0.0, fenced, bare) for i in range(40)))
    assert names(case(found)) == ["unknown"]


def test_a_gain_that_is_missing_is_explained_by_what_the_failing_answers_show() -> None:
    base, leak = symptoms_of("I do not know.", END), symptoms_of(GOOD + "\nUser: and now?", END)
    found = tuple(Pair(f"f{i}", 0.0, leak, base, failed=True) for i in range(30))
    (cause,) = diagnose(case(found, low=-0.1, high=0.1, demand="improves"))
    assert cause.cause == "token_or_role_leak"
    assert cause.says == "30 of 30 failing answers leak special tokens or play another role"
    as_before = tuple(Pair(f"f{i}", 0.0, base, base, failed=True) for i in range(30))
    assert names(case(as_before, low=-0.1, high=0.1, demand="improves")) == ["unknown"]


def test_overfitting_is_said_beside_wrong_content() -> None:
    (cause,) = diagnose(case(PLANTED["content_wrong"], replace(CHAT, held_out=(1.5, 2.25))))
    assert cause.says == (
        "20 of 20 worsened answers keep the reference's form; their content differs"
        "; the held-out loss rose in training, 1.5 to 2.25: overfitting"
    )
    (cause,) = diagnose(case(PLANTED["content_wrong"], replace(CHAT, held_out=(1.5, 1.25))))
    assert cause.says == "20 of 20 worsened answers keep the reference's form; their content differs"


def test_what_is_open_is_noise_and_not_its_content() -> None:
    assert names(case(PLANTED["content_wrong"], low=-0.06, high=0.02)) == ["sampling_noise"]


def test_languages_are_compared_only_where_the_reference_has_a_usual_one() -> None:
    texts = (GERMAN, ENGLISH, "Le port gardait ses lampes allumées pendant que la pluie tombait lentement sur la mer.")
    spanish = symptoms_of("El puerto mantenía sus lámparas encendidas mientras caía una lluvia lenta.", END)
    found = tuple(Pair(f"w{i}", -1.0, spanish, symptoms_of(texts[i % 3], END)) for i in range(30))
    assert "language_shift" not in names(case(found))


def test_what_is_left_is_named_only_where_the_drop_is_sure() -> None:
    """6 of 140 fell and 1 rose: the gate's own bound excludes no drop, one of ten gates does so by chance."""
    answer = symptoms_of("A", FinishReason.STOP)
    changes = [-1.0] * 6 + [1.0] + [0.0] * 133
    found = tuple(Pair(f"s{i}", change, answer, answer) for i, change in enumerate(changes))
    facts = Facts(generates=False, general=True)
    assert names(case(found, facts, low=-0.07, high=-0.003)) == ["unknown"]
    surer = tuple(Pair(f"s{i}", change, answer, answer) for i, change in enumerate([-1.0] * 10 + [0.0] * 130))
    assert names(case(surer, facts, low=-0.11, high=-0.039)) == ["general_forgetting"]
