"""Comparisons and verdicts on runs made by hand: the rules of the design, one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sfteval.compare import compare
from sfteval.gate import judge, not_judged, settled
from sfteval.records import (
    Comparison,
    Gate,
    Manifest,
    MetricInfo,
    ModelIdentity,
    Run,
    Sample,
    Status,
    VerdictKind,
    release_code,
)


def exit_code(verdicts) -> int:
    return release_code([(v.kind, v.exit_code) for v in verdicts])


def sample(number: int, score: float | None, **changes) -> Sample:
    base = Sample(
        key=f"key{number}",
        suite="s",
        task="",
        sample_id=str(number),
        repeat=0,
        cluster=str(number),
        status=Status.SCORED,
        scores={} if score is None else {"ok": score},
        evidence={},
        prompt_key=f"prompt{number}",
        prompt=f"question {number}",
        output=f"answer {score}",
    )
    return replace(base, **changes)


def run(scores, *, metric: MetricInfo | None = None, cap: float = 0.0, samples=None) -> Run:
    manifest = Manifest(
        run_id="r",
        fingerprint="f",
        model=ModelIdentity("m", "w", "", "t", "c", "n"),
        plan="p",
        suites={"s": "x"},
        metrics={"s//ok": metric or MetricInfo()},
        counts={},
        versions={},
        hardware={},
        started="",
        finished="",
        seconds=0.0,
        extra={"max_errored": {"s": cap}},
    )
    return Run(manifest, tuple(samples or [sample(i, s) for i, s in enumerate(scores)]), Path())


def gate(demand="no_regression", threshold=0.05, against="base", **changes) -> Gate:
    made = Gate("ok", "a.suite.yaml", 1, "s", "", "ok", demand, threshold, against, "none", 0.05)
    return replace(made, **changes)


def verdict(made: Gate, candidate: Run | None, reference: Run | None, gates_in_plan: int = 1):
    (one,) = judge([compare(made, candidate, reference)], gates_in_plan=gates_in_plan)
    return one


SAME = run([1.0] * 180 + [0.0] * 20)
WORSE = run([1.0] * 120 + [0.0] * 80)


def test_a_proven_drop_fails_and_names_its_size() -> None:
    got = verdict(gate(), WORSE, SAME)
    assert got.kind is VerdictKind.FAIL
    assert got.blocks
    assert got.comparison.difference == pytest.approx(-0.30)
    assert got.comparison.high < -0.05
    assert "a drop larger than 0.05 is proven" in got.reasons[0]
    assert len(got.comparison.flips) == 60
    assert exit_code([got]) == 1


def test_an_unchanged_model_passes_when_the_margin_can_be_excluded() -> None:
    got = verdict(gate(), SAME, SAME)
    assert got.kind is VerdictKind.PASS
    assert len(got.comparison.flips) == 0
    assert got.comparison.low < 0 < got.comparison.high
    assert exit_code([got]) == 0


def test_too_few_samples_are_inconclusive_and_block_only_where_proof_is_required() -> None:
    few = run([1.0] * 8 + [0.0] * 2)
    open_gate = verdict(gate(), few, few)
    assert open_gate.kind is VerdictKind.INCONCLUSIVE
    assert "could still hide" in open_gate.reasons[0]
    assert "more samples" in open_gate.reasons[0]
    assert exit_code([open_gate]) == 0
    assert exit_code([verdict(gate(proof="required"), few, few)]) == 20


def test_holm_counts_the_gates_of_the_whole_plan() -> None:
    slight = run([1.0] * 163 + [0.0] * 37)
    alone = verdict(gate(), slight, SAME)
    among_many = verdict(gate(), slight, SAME, gates_in_plan=1000)
    assert alone.kind is VerdictKind.FAIL
    assert among_many.kind is VerdictKind.INCONCLUSIVE
    assert "not after the correction" in among_many.reasons[0]


def test_what_can_be_detected_counts_prompts_and_the_size_of_changes() -> None:
    def repeated(scores):
        return run([], samples=[sample(i, s, cluster=str(i // 4)) for i, s in enumerate(scores)])

    flips = [1.0] * 20 + [0.0] * 20
    before, after = [0.0] * 20 + [1.0] * 180, [*flips, *([1.0] * 160)]
    single = compare(gate(), run(after), run(before), gates_in_plan=10)
    prompts = compare(gate(), repeated(after), repeated(before), gates_in_plan=10)
    assert single.difference == prompts.difference == 0
    assert prompts.detectable > 1.5 * single.detectable
    assert prompts.lacking > 2 * single.lacking > 0
    assert f"about {prompts.lacking} more samples" in judge([prompts], gates_in_plan=10)[0].reasons[0]
    graded = compare(gate(threshold=0.0), run([0.51, 0.49] * 100), run([0.5] * 200), gates_in_plan=10)
    assert graded.detectable < 0.05
    assert compare(gate(threshold=1.0), run(after), run(before)).detectable == float("inf")


def test_improves() -> None:
    gain = gate("improves", 0.10, proof="required")
    assert verdict(gain, SAME, WORSE).kind is VerdictKind.PASS
    assert verdict(gain, WORSE, SAME).kind is VerdictKind.FAIL
    assert exit_code([verdict(gain, SAME, run([1.0] * 160 + [0.0] * 40))]) == 20


@pytest.mark.parametrize(
    ("demand", "threshold", "kind"),
    [
        ("at_least", 0.9, VerdictKind.PASS),
        ("at_least", 0.91, VerdictKind.FAIL),
        ("at_most", 0.9, VerdictKind.PASS),
        ("at_most", 0.89, VerdictKind.FAIL),
    ],
)
def test_floors_and_ceilings_judge_the_candidate_alone(demand, threshold, kind) -> None:
    assert verdict(gate(demand, threshold, None), SAME, None).kind is kind


@pytest.mark.parametrize("demand", ["at_least", "at_most"])
def test_a_value_that_is_not_there_passes_nothing(demand) -> None:
    (got,) = judge([Comparison(gate(demand, 0.5, None))], gates_in_plan=1)
    assert got.kind is VerdictKind.FAIL


def test_a_drawn_benchmark_is_not_all_seen_before_its_last_sample() -> None:
    answered = run([1.0] * 40 + [None] * 60)
    extra = answered.manifest.extra | {"draws": {"s/": {"population": 101, "ends": [100]}}}
    drawn = replace(answered, manifest=replace(answered.manifest, extra=extra))
    got = compare(gate(), drawn, drawn)
    assert (got.n, got.population) == (40, 41)
    floor = compare(gate("at_least", 0.5, None), drawn, None)
    assert (floor.n, floor.population) == (40, 41)


@pytest.mark.parametrize(("demand", "threshold"), [("at_least", 0.9), ("at_most", 0.99)])
def test_a_floor_of_a_part_is_open_until_the_whole_suite_is_settled(demand, threshold) -> None:
    part = Comparison(gate(demand, threshold, None), 48, candidate=0.95, low=0.85, high=1.0, population=400)
    assert not settled(part, gates_in_plan=1)
    (got,) = judge([part], gates_in_plan=1)
    assert got.kind is VerdictKind.INCONCLUSIVE
    assert got.reasons[0].startswith("0.95 so far, in all 0.85 to 1: the ")
    assert exit_code([got]) == 20
    whole = replace(part, n=400, low=0.95, high=0.95)
    assert settled(whole, gates_in_plan=1)
    assert judge([whole], gates_in_plan=1)[0].kind is VerdictKind.PASS
    apart = replace(part, candidate=0.05, high=0.1, low=0.0) if demand == "at_least" else replace(part, low=0.995)
    assert judge([apart], gates_in_plan=1)[0].kind is VerdictKind.FAIL


@pytest.mark.parametrize("demand", ["no_regression", "improves"])
def test_a_comparison_without_bounds_passes_nothing(demand) -> None:
    (got,) = judge([Comparison(gate(demand))], gates_in_plan=1)
    assert got.kind is VerdictKind.NOT_COMPARABLE
    assert got.reasons == ("nothing was compared: there are no bounds of the difference",)
    assert exit_code([got]) == 21


def test_lower_is_better_turns_the_signs() -> None:
    perplexity = MetricInfo(lower=None, upper=None, higher_is_better=False)
    low = run([1.0 + 0.001 * i for i in range(60)], metric=perplexity)
    high = run([2.0 + 0.0011 * i for i in range(60)], metric=perplexity)
    got = verdict(gate(threshold=0.1), high, low)
    assert got.kind is VerdictKind.FAIL
    assert got.comparison.difference == pytest.approx(1.003, abs=0.01)
    assert got.comparison.candidate > got.comparison.reference
    assert verdict(gate(threshold=0.1), low, high).kind is VerdictKind.PASS


@pytest.mark.parametrize(
    ("candidate", "reference", "reason"),
    [
        (None, SAME, "the candidate has no run"),
        (SAME, None, "there is no run of base to compare with"),
        (run([], samples=[sample(0, 1.0, suite="t")]), SAME, "the candidate's run has no samples of s"),
        (SAME, run([], samples=[sample(0, 1.0, suite="t")]), "the run of base (r) has no samples of s"),
        (SAME, run([1.0] * 100), "100 of 200 samples of s are missing or differ (allowed: 10%)"),
        (run([float("nan")] * 200), SAME, "'0' of s scored nan on the candidate"),
        (run([None] * 200), SAME, "zero samples of s are scored on both sides"),
        (
            SAME,
            run([1.0] * 200, metric=MetricInfo(version="2")),
            "'ok' is version 1 here and version 2 in the run of base: its kind, parameters, files or members differ",
        ),
    ],
)
def test_what_cannot_be_compared_is_never_a_pass(candidate, reference, reason) -> None:
    got = verdict(gate(), candidate, reference)
    assert got.kind is VerdictKind.NOT_COMPARABLE
    assert got.reasons == (reason,)
    assert exit_code([got]) == 21


def test_errored_samples_above_the_cap() -> None:
    broken = [
        sample(i, None, status=Status.ERRORED, error="out of memory") if i < 3 else sample(i, 1.0) for i in range(20)
    ]
    ok = run([1.0] * 20)
    got = verdict(gate(), run([], samples=broken), ok)
    assert got.reasons == ("3 of 20 samples of s errored on the candidate (cap 0%); first: '0': out of memory",)
    within = verdict(gate(threshold=0.5), run([], samples=broken, cap=0.2), run([1.0] * 20, cap=0.2))
    assert within.comparison.n == 17
    assert within.kind is VerdictKind.PASS


def test_changed_messages_name_the_first_difference() -> None:
    other = run([], samples=[sample(i, 1.0, key=f"other{i}", prompt=f"question no. {i}") for i in range(200)])
    got = verdict(gate(), SAME, other)
    assert "first in '0' at character 9: 'question 0' here, 'question no. 0' there" in got.reasons[0]


def test_token_ids_must_agree_against_previous_but_not_against_base() -> None:
    retokenised = run([], samples=[sample(i, 1.0, prompt_key=f"new{i}") for i in range(200)])
    assert verdict(gate(against="base"), retokenised, SAME).kind is VerdictKind.PASS
    got = verdict(gate(against="previous"), retokenised, SAME)
    assert got.kind is VerdictKind.NOT_COMPARABLE
    assert "same text, other token ids" in got.reasons[0]


def test_prompts_that_were_cut_elsewhere_are_told() -> None:
    cut = run([], samples=[sample(i, 1.0, prompt_key=f"cut{i}", truncated=7) for i in range(200)])
    got = verdict(gate(against="previous"), cut, SAME)
    assert got.kind is VerdictKind.NOT_COMPARABLE
    assert "first in '0': 7 tokens cut from the left here, 0 there" in got.reasons[0]


def test_a_few_missing_samples_are_left_out_and_told() -> None:
    got = verdict(gate(), run([1.0] * 180 + [0.0] * 15), SAME)
    assert got.comparison.n == 195
    assert got.comparison.missing == 5
    assert got.reasons[1] == "5 samples are not on both sides and were left out"


def test_a_family_pools_its_members_with_equal_weight() -> None:
    def two(first, second):
        made = [sample(i, s, task="a") for i, s in enumerate(first)]
        made += [sample(i, s, task="b") for i, s in enumerate(second)]
        one = run([], samples=made)
        return replace(one, manifest=replace(one.manifest, metrics={"s/a/ok": MetricInfo(), "s/b/ok": MetricInfo()}))

    members = (gate(task="a"), gate(task="b"))
    family = gate(members=members, suite="", check="", proof="required")
    before = two([1.0] * 300, [1.0] * 100)
    after = two([1.0] * 300, [1.0] * 70 + [0.0] * 30)
    got = verdict(family, after, before)
    assert got.comparison.difference == pytest.approx(-0.15)
    assert got.kind is VerdictKind.FAIL
    assert verdict(family, before, before).kind is VerdictKind.PASS


def test_checks_of_the_same_answers_prove_a_family_no_more_than_one_of_them() -> None:
    def twice(scores):
        made = [sample(i, s, scores={"ok": s, "fine": s}) for i, s in enumerate(scores)]
        one = run([], samples=made)
        return replace(one, manifest=replace(one.manifest, metrics={"s//ok": MetricInfo(), "s//fine": MetricInfo()}))

    one = gate(members=(gate(),), suite="", check="", proof="required")
    both = replace(one, members=(gate(), gate(id="fine", check="fine")))
    before = twice([1.0] * 100)
    after = twice([1.0] * 95 + [0.0] * 5)
    alone, together = (verdict(family, after, before).comparison for family in (one, both))
    assert (alone.n, together.n) == (100, 200)
    figures = [(c.low, c.high, c.p_value, c.detectable) for c in (alone, together)]
    assert figures[0] == pytest.approx(figures[1], abs=1e-9)


def test_exit_code_precedence_and_nothing_judged() -> None:
    fail, broke = verdict(gate(), WORSE, SAME), verdict(gate(), None, SAME)
    absent = not_judged(gate(against="previous"), "there is no previous release (--previous none)")
    assert exit_code([fail, broke]) == 21
    assert exit_code([fail, absent]) == 1
    assert exit_code([absent, verdict(gate(), SAME, SAME)]) == 0
    assert exit_code([absent]) == 21
    assert exit_code([]) == 21
    assert absent.comparison == Comparison(absent.gate)
