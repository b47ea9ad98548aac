"""Bounded means: closed forms, and coverage by complete enumeration over three-point distributions."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import gammaln, xlogy
from scipy.stats import binomtest

from sfteval.stats.bounded import BoundedMeanTest, exponential_sum_tail


def unit_test(values: list[float] | np.ndarray) -> BoundedMeanTest:
    array = np.asarray(values, dtype=float)
    return BoundedMeanTest.of(array, np.ones_like(array), np.ones_like(array))


@pytest.mark.parametrize(
    "terms", [[1.0, -0.4], [0.9, 0.2, -0.5, -0.7], [1.0, -0.05, -0.11, -0.17, -0.3], [0.3, 0.1, -2.0]]
)
def test_tail_of_an_exponential_sum_is_near_its_closed_form(terms: list[float]) -> None:
    exact = sum(
        np.prod([c / (c - other) for j, other in enumerate(terms) if j != i]) for i, c in enumerate(terms) if c > 0
    )
    found = exponential_sum_tail(np.array(terms), np.ones(len(terms)))
    assert found == pytest.approx(float(exact), rel=0.02)


def test_tail_of_an_exponential_sum_is_smooth_through_its_mean() -> None:
    terms = np.array([1.0, 0.5, -0.3, -0.7])
    tails = [exponential_sum_tail(terms + shift, np.ones(4)) for shift in np.linspace(-0.2, 0.0, 400)]
    steps = np.diff(tails)
    assert (steps > 0).all()
    assert steps.max() < 3 * steps.min()


def test_tail_without_a_sign_change_is_certain() -> None:
    assert exponential_sum_tail(np.array([0.0, 0.3]), np.ones(2)) == 1.0
    assert exponential_sum_tail(np.array([-0.2, -0.3]), np.ones(2)) == 0.0


@pytest.mark.parametrize(("n", "successes"), [(3, 0), (10, 0), (10, 3), (10, 9), (100, 30), (5000, 7)])
@pytest.mark.parametrize("alpha", [0.05, 0.0025])
def test_binary_data_give_the_clopper_pearson_bound(n: int, successes: int, alpha: float) -> None:
    expected = binomtest(successes, n, alternative="less").proportion_ci(1 - alpha, method="exact").high
    found = unit_test([1.0] * successes + [0.0] * (n - successes)).bound(alpha)
    assert found == pytest.approx(expected, rel=0.006)


@pytest.mark.parametrize(
    ("support", "alpha"), [((-1.0, 0.0, 1.0), 0.05), ((0.0, 0.05, 1.0), 0.0025), ((0.0, 0.9, 1.0), 0.05)]
)
def test_coverage_holds_on_three_point_distributions(support: tuple[float, float, float], alpha: float) -> None:
    n, points = 10, np.array(support)
    counts = np.array([(n - b - c, b, c) for b in range(n + 1) for c in range(n + 1 - b)])
    bounds = np.array([unit_test(np.repeat(points, row)).bound(alpha) for row in counts])
    ways = gammaln(n + 1) - gammaln(counts + 1).sum(axis=1)
    covered = []
    for first in np.linspace(0, 1, 31):
        for second in np.linspace(0, 1 - first, 31):
            law = np.array([first, second, max(0.0, 1 - first - second)])
            covered.append(np.exp(ways + xlogy(counts, law).sum(axis=1)) @ (bounds >= law @ points - 1e-9))
    assert min(covered) >= 1 - alpha - 1e-6
    assert min(covered) < 1 - alpha / 2


def test_large_samples_give_the_normal_bound() -> None:
    values = np.random.default_rng(3).beta(2, 3, 20_000)
    normal = values.mean() + 1.6449 * values.std() / np.sqrt(20_000)
    assert unit_test(values).bound(0.05) == pytest.approx(normal, abs=6e-5)


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(st.floats(-1, 1), min_size=1, max_size=30),
    alpha=st.floats(1e-4, 0.5),
    null=st.floats(-0.99, 0.99),
)
def test_pvalue_inverts_the_bound(values: list[float], alpha: float, null: float) -> None:
    test = unit_test(values)
    assume(abs(test.bound(alpha) - null) > 1e-8)
    assert (test.pvalue(null) <= alpha) == (test.bound(alpha) < null)


def test_bounds_do_not_depend_on_order_or_on_merging() -> None:
    values = np.array([0.1, 0.7, 0.1, 1.0, 0.0, 0.7])
    merged = unit_test(values).bound(0.05)
    weights = np.ones(6)
    assert unit_test(values[::-1]).bound(0.05) == merged
    assert BoundedMeanTest(values, weights, weights, weights).bound(0.05) == pytest.approx(merged, abs=1e-9)


def test_values_of_unequal_weight_are_counted_where_all_that_matters_is_equal() -> None:
    values, weights = np.array([1.0, 0.0, 1.0, 1.0, 0.0]), np.array([1.0, 2.0, 1.0, 2.0, 2.0])
    ceilings = np.array([1.0, 1.0, 1.0, 1.5, 1.0])
    merged = BoundedMeanTest.of(values, weights, ceilings)
    assert sorted(zip(merged.values, merged.weights, merged.ceilings, merged.counts, strict=True)) == [
        (0.0, 2.0, 1.0, 2.0),
        (1.0, 1.0, 1.0, 2.0),
        (1.0, 2.0, 1.5, 1.0),
    ]
    repeated = BoundedMeanTest(values, weights, np.ones(5), ceilings)
    assert merged.bound(0.05) == pytest.approx(repeated.bound(0.05), abs=1e-9)
    assert merged.pvalue(0.8) == pytest.approx(repeated.pvalue(0.8), abs=1e-12)


def test_equal_values_at_the_ceiling_are_bounded_by_it() -> None:
    assert unit_test([1.0, 1.0]).bound(0.05) == 1.0
    assert unit_test([1.0, 1.0]).pvalue(1.0) == 1.0
    assert unit_test([1.0, 0.9]).pvalue(1.0) == 0.0
