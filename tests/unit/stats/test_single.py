"""One model's mean: exact for binary scores, valid for bounded ones."""

import numpy as np
import pytest
from scipy.stats import binomtest

from sfteval.stats import mean_bounds
from sfteval.stats.single import NegatedProportionTest, ProportionTest


@pytest.mark.parametrize(("n", "successes"), [(1, 0), (10, 0), (10, 10), (50, 37), (1000, 20)])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_binary_scores_give_clopper_pearson(n: int, successes: int, alpha: float) -> None:
    estimate = mean_bounds([1] * successes + [0] * (n - successes), alpha=alpha)
    expected = binomtest(successes, n).proportion_ci(1 - 2 * alpha, method="exact")
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert estimate.mean == successes / n
    assert estimate.method == "exact binomial (Clopper-Pearson)"


@pytest.mark.parametrize("null", [0.2, 0.5, 0.9])
def test_binomial_pvalues_invert_the_bounds(null: float) -> None:
    for alpha in (0.3, 0.05, 0.001):
        for test, value in ((ProportionTest(30, 14), null), (NegatedProportionTest(30, 14), -null)):
            assert (test.pvalue(value) <= alpha) == (test.bound(alpha) < value)


def test_bounds_scale_with_the_scores() -> None:
    scores = np.random.default_rng(1).random(40)
    unit = mean_bounds(scores)
    scaled = mean_bounds(10 * scores - 3, lower=-3, upper=7)
    assert (scaled.low, scaled.high) == pytest.approx((10 * unit.low - 3, 10 * unit.high - 3), abs=1e-8)
    assert 0 <= unit.low < unit.mean < unit.high <= 1


def test_perfect_bounded_scores_keep_a_lower_bound_below_one() -> None:
    estimate = mean_bounds([1.0, 1.0, 1.0], clusters=["a", "a", "b"])
    assert estimate.high == 1.0
    assert estimate.low < 0.5
    assert (estimate.n, estimate.clusters) == (3, 2)


def test_unbounded_scores_get_a_t_interval() -> None:
    scores = np.random.default_rng(2).normal(5, 1, 100)
    estimate = mean_bounds(scores, lower=None, upper=None)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.66 * scores.std() / 10, rel=0.1)


def test_coverage_of_continuous_scores() -> None:
    rng, rounds, missed = np.random.default_rng(3), 400, np.zeros(2)
    for _ in range(rounds):
        estimate = mean_bounds(rng.beta(0.3, 0.1, 30))
        missed += [estimate.low > 0.75, estimate.high < 0.75]
    assert (missed / rounds).max() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / rounds)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="non-empty"):
        mean_bounds([])
    with pytest.raises(ValueError, match="alpha"):
        mean_bounds([1], alpha=1.0)
