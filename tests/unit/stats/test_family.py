"""Families of suites: weights, agreement with a single suite, coverage and the size that the design asks for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sfteval.stats import Stratum, stratified_changes, stratified_difference, stratified_drop_pvalue
from sfteval.stats.means import bounded_mean_tests


def stratum(rng: np.random.Generator, n: int, discordance: float, difference: float, weight: float = 1.0) -> Stratum:
    law = [(discordance - difference) / 2, 1 - discordance, (discordance + difference) / 2]
    moves = rng.choice([-1, 0, 1], n, p=law)
    return Stratum(np.maximum(moves, 0), np.maximum(-moves, 0), weight=weight)


def test_weights_are_normalised_and_means_weighted() -> None:
    first, second = Stratum([1, 1, 0, 0], [1, 0, 0, 0], weight=6), Stratum([0, 0], [1, 0], weight=2)
    estimate = stratified_difference([first, second])
    assert estimate.difference == pytest.approx(0.75 * 0.25 + 0.25 * -0.5)
    assert estimate.candidate == pytest.approx(0.75 * 0.5)
    assert estimate.reference == pytest.approx(0.75 * 0.25 + 0.25 * 0.5)
    assert (estimate.n, estimate.clusters) == (6, 6)
    assert estimate.method == "Gaffke (bounded, no normality), 2 strata"
    doubled = stratified_difference([replace(s, weight=2 * s.weight) for s in (first, second)])
    assert doubled.high == pytest.approx(estimate.high, abs=1e-9)


def test_one_stratum_is_the_bounded_method() -> None:
    only = stratum(np.random.default_rng(1), 80, 0.2, -0.05)
    moves = np.asarray(only.candidate, dtype=float) - np.asarray(only.reference)
    ones = np.ones(80)
    estimate = stratified_difference([only])
    assert (estimate.low, estimate.high) == pytest.approx(bounded_mean_tests(moves, ones, -ones, ones).bounds(0.05))


def test_equal_shares_are_the_pooled_samples() -> None:
    rng = np.random.default_rng(2)
    parts = [stratum(rng, 50, 0.2, 0.0) for _ in range(3)]
    pooled = Stratum(*(np.concatenate([getattr(p, side) for p in parts]) for side in ("candidate", "reference")))
    apart, together = stratified_difference(parts), stratified_difference([pooled])
    assert (apart.low, apart.high) == pytest.approx((together.low, together.high), abs=1e-9)


def test_checks_of_the_same_answers_count_once() -> None:
    """Four checks that always agree say what one of them says; as strangers they would halve the interval."""
    only = stratum(np.random.default_rng(6), 100, 0.2, -0.05)
    named = replace(only, clusters=np.arange(100))
    alone = stratified_difference([named])
    together = stratified_difference([replace(named, place="answers")] * 4)
    assert (together.n, together.clusters) == (400, 100)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), abs=1e-9)
    assert stratified_drop_pvalue([replace(named, place="answers")] * 4, 0.02) == pytest.approx(
        stratified_drop_pvalue([named], 0.02)
    )
    strangers = stratified_difference([named] * 4)
    assert strangers.high - strangers.low < 0.6 * (alone.high - alone.low)
    assert stratified_changes([replace(named, place="answers")] * 4).units == pytest.approx(100)
    with pytest.raises(ValueError, match="name of each sample's cluster"):
        stratified_difference([replace(only, place="answers")] * 2)


def test_coverage_of_two_checks_that_go_together_beside_another_suite() -> None:
    rng, rounds, missed = np.random.default_rng(8), 300, np.zeros(2)
    for _ in range(rounds):
        first, other = stratum(rng, 80, 0.2, 0.0), stratum(rng, 200, 0.1, 0.0)
        flipped = rng.random(80) < 0.1  # the second check differs from the first in a tenth of the answers
        second = replace(first, candidate=np.where(flipped, first.reference, first.candidate))
        shared = [replace(one, clusters=np.arange(80), place="answers") for one in (first, second)]
        estimate = stratified_difference([*shared, other])
        missed += [estimate.low > 0, estimate.high < 0]
    assert (missed / rounds).max() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / rounds)


@pytest.mark.parametrize("discordance", [0.1, 0.2])
def test_coverage_of_four_suites_of_120_samples(discordance: float) -> None:
    rng, rounds, missed, widths = np.random.default_rng(3), 300, np.zeros(2), []
    differences = (-0.05, 0.0, 0.03, -0.02)
    for _ in range(rounds):
        estimate = stratified_difference([stratum(rng, 120, discordance, d) for d in differences])
        missed += [estimate.low > np.mean(differences), estimate.high < np.mean(differences)]
        widths.append(estimate.high - estimate.low)
    assert (missed / rounds).max() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / rounds)
    assert np.mean(widths) < 1.12 * 2 * 1.645 * np.sqrt(discordance / 480)


def test_coverage_of_unequal_suites_with_clusters() -> None:
    rng, rounds, missed = np.random.default_rng(4), 200, np.zeros(2)
    truth = 0.5 * -0.1 + 0.25 * 0.0 + 0.25 * 0.05
    for _ in range(rounds):
        strata = [stratum(rng, 60, 0.3, -0.1, 2), stratum(rng, 300, 0.1, 0.0)]
        last = stratum(rng, 80, 0.2, 0.05)
        thrice = [np.tile(np.asarray(side), 3) for side in (last.candidate, last.reference)]
        strata.append(Stratum(*thrice, clusters=np.tile(np.arange(80), 3)))
        estimate = stratified_difference(strata)
        missed += [estimate.low > truth, estimate.high < truth]
    assert (missed / rounds).max() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / rounds)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), alpha=st.floats(1e-3, 0.5), margin=st.sampled_from([0.0, 0.02, 0.1]))
def test_pvalue_inverts_the_bound(seed: int, alpha: float, margin: float) -> None:
    rng = np.random.default_rng(seed)
    strata = [stratum(rng, n, 0.3, -0.1, weight) for n, weight in ((10, 1.0), (40, 2.0))]
    high = stratified_difference(strata, alpha).high
    assume(abs(high + margin) > 1e-9)
    assert (stratified_drop_pvalue(strata, margin) <= alpha) == (high < -margin)


def test_a_stratum_without_bounds_makes_the_family_a_t_test() -> None:
    rng = np.random.default_rng(5)
    shifted = [Stratum(rng.normal(m, 1, 60), np.zeros(60), lower=None, upper=None) for m in (-5, 5)]
    estimate = stratified_difference(shifted)
    # Only the spread within strata counts: 1 / sqrt(120), not that of means ten apart.
    assert estimate.high - estimate.low == pytest.approx(2 * 1.66 / np.sqrt(120), rel=0.15)
    assert estimate.method.startswith("skewness-adjusted t")


def test_bad_families_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one stratum"):
        stratified_difference([])
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="positive weights"):
            stratified_difference([Stratum([1], [0], weight=weight)])
    with pytest.raises(ValueError, match="differ in number"):
        stratified_drop_pvalue([Stratum([1], [0, 1])], 0.0)
