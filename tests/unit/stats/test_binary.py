"""Paired binary scores: published values, an independent optimiser, and coverage by complete enumeration."""

import itertools
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaln, xlogy
from scipy.stats import binom, multinomial

from sfteval.stats import PairedBinaryTest, mcnemar_midp, mcnemar_midp_drop, score_bounds, tango_score
from sfteval.stats.binary import EXACT_DISCORDANT, exact_tail


def tango_interval(n: int, gains: int, losses: int) -> tuple[float, float]:
    z, estimate = 1.959964, (gains - losses) / n
    low = brentq(lambda d: float(tango_score(n, gains, losses, d)) - z, -1 + 1e-9, estimate - 1e-9)
    return low, brentq(lambda d: float(tango_score(n, gains, losses, d)) + z, estimate + 1e-9, 1 - 1e-9)


def tables(n: int, most: int | None = None) -> list[tuple[int, int]]:
    most = n if most is None else most
    return [(gains, losses) for gains in range(most + 1) for losses in range(most + 1 - gains)]


def upper_coverage(n: int, rates: list[tuple[float, float]], alpha: float, most: int) -> np.ndarray:
    """Exact probability that the upper bound is at or above the truth, at each (gain rate, loss rate)."""
    gains, losses = np.array(tables(n, most)).T
    bounds = np.array([PairedBinaryTest(n, *table).bound(alpha) for table in tables(n, most)])
    rest = n - gains - losses
    ways = gammaln(n + 1) - gammaln(gains + 1) - gammaln(losses + 1) - gammaln(rest + 1)
    covered = []
    for gain, loss in rates:
        log_mass = ways + xlogy(gains, gain) + xlogy(losses, loss) + xlogy(rest, max(1 - gain - loss, 0.0))
        covered.append(np.exp(log_mass) @ (bounds >= gain - loss - 1e-12))
    return np.array(covered)


def all_correlations() -> list[tuple[float, float]]:
    """Gain and loss rates of every pair of marginals 0.02 to 0.98, from one extreme of dependence to the other."""
    levels, rates = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98), []
    for candidate, reference in itertools.product(levels, repeat=2):
        both = np.linspace(max(0.0, candidate + reference - 1), min(candidate, reference), 9)
        rates += [(max(candidate - x, 0.0), max(reference - x, 0.0)) for x in both]
    return rates


@pytest.mark.parametrize(
    ("n", "gains", "losses", "low", "high"),
    [
        # Airway reactivity before and after transplantation; Fagerland, Lydersen and Laake 2014.
        (21, 1, 7, -0.517, -0.026),
        # One discordant pair in 44, the contact lens crossover trial of Tango 1998.
        (44, 0, 1, -0.118, 0.059),
    ],
)
def test_score_interval_has_the_published_limits(n: int, gains: int, losses: int, low: float, high: float) -> None:
    assert tango_interval(n, gains, losses) == pytest.approx((low, high), abs=6e-4)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(5, 300), data=st.data(), null=st.floats(-0.9, 0.9))
def test_score_uses_the_constrained_likelihood_maximum(n: int, data: st.DataObject, null: float) -> None:
    gains = data.draw(st.integers(0, n))
    losses = data.draw(st.integers(0, n - gains))

    def deviance(rate: float) -> float:
        gain, loss = (rate + null) / 2, (rate - null) / 2
        return -float(xlogy(gains, gain) + xlogy(losses, loss) + xlogy(n - gains - losses, 1 - rate))

    best = minimize_scalar(deviance, bounds=(abs(null) + 1e-12, 1 - 1e-12), method="bounded", options={"xatol": 1e-10})
    expected = (gains - losses - n * null) / np.sqrt(n * (best.x - null * null))
    assert float(tango_score(n, gains, losses, null)) == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_score_at_no_difference_is_mcnemars() -> None:
    assert float(tango_score(50, 12, 5, 0.0)) == pytest.approx((12 - 5) / np.sqrt(17))
    assert float(tango_score(50, 0, 0, 0.0)) == 0.0


@pytest.mark.parametrize(
    ("gains", "losses", "null"), [(1, 4, 0.0), (0, 3, -0.1), (2, 2, 0.3), (0, 0, 0.2), (3, 1, 0.6)]
)
def test_exact_tail_is_the_maximum_over_every_rate(gains: int, losses: int, null: float) -> None:
    n = 9
    observed = float(tango_score(n, gains, losses, null))
    inside = [table for table in tables(n) if float(tango_score(n, *table, null)) <= observed + 1e-9]
    gains_in, losses_in = np.array(inside).T
    worst = 0.0
    for rate in np.linspace(abs(null), 1, 400):
        rates = [(rate + null) / 2, (rate - null) / 2, 1 - rate]
        counts = np.stack([gains_in, losses_in, n - gains_in - losses_in], axis=1)
        worst = max(worst, float(np.sum(multinomial.pmf(counts, n, np.clip(rates, 0, 1) / np.sum(rates)))))
    found = exact_tail(n, gains, losses, null)
    assert found == pytest.approx(worst, abs=2e-3) if worst < 0.5 else found >= 0.5


@pytest.mark.parametrize("alpha", [0.05, 0.0025])
def test_coverage_is_never_below_nominal_on_ten_pairs(alpha: float) -> None:
    covered = upper_coverage(10, all_correlations(), alpha, 10)
    assert covered.min() >= 1 - alpha - 1e-6
    assert covered.min() < 1 - alpha / 2  # and not by being vacuous


@pytest.mark.slow
@pytest.mark.parametrize(("n", "most"), [(30, 30), (100, 45)])
def test_coverage_is_within_a_tenth_of_a_point_on_more_pairs(n: int, most: int) -> None:
    # 45 of 100: with at most 20% discordance, more discordant pairs have a probability below 1e-7.
    rates = all_correlations()
    rates += [(r * s, r * (1 - s)) for r in np.geomspace(0.2 / n, 0.9, 30) for s in np.linspace(0, 1, 11)]
    covered = upper_coverage(n, [pair for pair in rates if n == most or sum(pair) <= 0.2], 0.05, most)
    assert covered.min() >= 0.95 - 0.001
    assert covered.min() < 0.955


@pytest.mark.parametrize(("n", "rate"), [(1000, 0.25), (1000, 0.6), (1000, 0.96), (3000, 0.1), (20_000, 0.013)])
def test_coverage_of_the_score_regime_is_within_half_a_point(n: int, rate: float) -> None:
    def plausible(p: float) -> np.ndarray:
        reach = 7 * np.sqrt(n * p * (1 - p)) + 15
        return np.arange(max(0, int(n * p - reach)), min(n, int(n * p + reach)) + 1)

    for balance in np.linspace(0, 1, 11):
        gain, loss = rate * balance, rate * (1 - balance)
        gains, losses = plausible(gain)[:, None], plausible(loss)[None]
        mass = binom.pmf(losses, n, loss) * binom.pmf(gains, n - losses, gain / (1 - loss))
        missed = tango_score(n, gains, losses, gain - loss, shift=0.5) <= -1.6448536
        assert 1 - float(mass[missed].sum()) >= 0.95 - 0.005


@pytest.mark.parametrize(("gains", "losses"), [(5, 45), (45, 5), (3, 8), (0, 12), (60, 100)])
def test_exact_and_score_regimes_agree_where_both_are_good(gains: int, losses: int) -> None:
    exact = PairedBinaryTest(1000, gains, losses)
    error = np.sqrt(gains + losses) / 1000
    estimate = (gains - losses) / 1000
    assert exact.bound(0.05) == pytest.approx(estimate + 1.645 * error, abs=0.4 * error)


def test_no_discordant_pair_still_leaves_the_rule_of_three() -> None:
    for n in (10, 200, 5000):
        bound = PairedBinaryTest(n, 0, 0).bound(0.05)
        assert bound == pytest.approx(1 - 0.05 ** (1 / n), rel=1e-3)
    assert PairedBinaryTest(200, 0, 0).bound(0.05) == pytest.approx(-log(0.05) / 200, rel=0.02)
    assert PairedBinaryTest(200, 0, 0).pvalue(0.0) >= 0.999


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 60), data=st.data(), alpha=st.floats(1e-4, 0.5), null=st.sampled_from([0.0, -0.01, -0.05, 0.1]))
def test_pvalue_inverts_the_bound(n: int, data: st.DataObject, alpha: float, null: float) -> None:
    gains = data.draw(st.integers(0, n))
    test = PairedBinaryTest(n, gains, data.draw(st.integers(0, n - gains)))
    assert (test.pvalue(null) <= alpha) == (test.bound(alpha) < null)


@pytest.mark.parametrize(("gains", "losses"), [(90, 110), (100, 101), (700, 820), (150, 50), (151, 50)])
def test_pvalue_inverts_the_bound_around_the_change_of_regime(gains: int, losses: int) -> None:
    test = PairedBinaryTest(5000, gains, losses)
    for alpha in (0.2, 0.05, 0.0025):
        for null in (0.0, -0.001, -0.005, 0.02, test.bound(alpha), test.bound(alpha) + 1e-9):
            assert (test.pvalue(null) <= alpha) == (test.bound(alpha) < null)


def test_a_proven_drop_stays_proven_when_losses_grow() -> None:
    pvalues = [PairedBinaryTest(80, 6, losses).pvalue(0.0) for losses in range(6, 30, 3)]
    assert pvalues == sorted(pvalues, reverse=True)


@pytest.mark.parametrize(("n", "gains", "losses"), [(0, 0, 0), (5, 3, 3), (5, -1, 2)])
def test_impossible_tables_are_refused(n: int, gains: int, losses: int) -> None:
    with pytest.raises(ValueError, match="not a paired table"):
        PairedBinaryTest(n, gains, losses)


def test_mcnemar_midp_has_the_published_value() -> None:
    # Fagerland, Lydersen and Laake 2013: 1 against 7 discordant pairs, mid-p 0.039.
    assert mcnemar_midp(1, 7) == pytest.approx(0.0391, abs=5e-5)


def test_mcnemar_midp_follows_its_definition() -> None:
    for gains, losses in [(0, 5), (3, 9), (12, 12), (40, 22)]:
        total = gains + losses
        drop = binom.cdf(gains, total, 0.5) - binom.pmf(gains, total, 0.5) / 2
        assert mcnemar_midp_drop(gains, losses) == pytest.approx(drop)
        assert mcnemar_midp_drop(gains, losses) + mcnemar_midp_drop(losses, gains) == pytest.approx(1)
    assert mcnemar_midp(0, 0) == 1.0
    with pytest.raises(ValueError, match="negative"):
        mcnemar_midp(-1, 2)


def test_score_bounds_are_those_of_the_test_where_it_is_not_exact() -> None:
    gains, losses = 130, 170
    assert gains + losses > EXACT_DISCORDANT
    low, high = score_bounds(2000, gains, losses, 0.05)
    assert high == PairedBinaryTest(2000, gains, losses).bound(0.05)
    assert low == -PairedBinaryTest(2000, losses, gains).bound(0.05)
    assert low < (gains - losses) / 2000 < high
