"""Unbounded scores: Student's t where it is right, a correction where it is not, silence where nothing is."""

from math import inf

import numpy as np
import pytest
from scipy.stats import ttest_rel

from sfteval.stats import drop_pvalue, paired_difference

UNBOUNDED = {"lower": None, "upper": None}


def test_symmetric_differences_give_students_t() -> None:
    half = np.random.default_rng(1).normal(1, 2, 40)
    differences = np.concatenate([half, -half]) + 0.3
    estimate = paired_difference(differences, np.zeros(80), **UNBOUNDED)
    expected = ttest_rel(differences, np.zeros(80)).confidence_interval(0.9)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    expected_pvalue = ttest_rel(differences, np.full(80, -0.5), alternative="less").pvalue
    assert drop_pvalue(differences, np.zeros(80), margin=0.5, **UNBOUNDED) == pytest.approx(expected_pvalue)


def test_clusters_give_the_robust_variance() -> None:
    rng = np.random.default_rng(2)
    means = np.concatenate([(x := rng.normal(size=30)), -x])
    differences = np.repeat(means, 2) + np.tile([0.1, -0.1], 60)
    estimate = paired_difference(differences, np.zeros(120), clusters=np.repeat(np.arange(60), 2), **UNBOUNDED)
    expected = ttest_rel(means, np.zeros(60)).confidence_interval(0.9)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_skewness_moves_the_bound_of_the_long_tail_outwards() -> None:
    differences = np.random.default_rng(3).lognormal(size=50)
    estimate = paired_difference(differences, np.zeros(50), **UNBOUNDED)
    plain = ttest_rel(differences, np.zeros(50)).confidence_interval(0.9)
    assert estimate.high > plain.high + 0.02
    assert estimate.low == pytest.approx(plain.low)


@pytest.mark.parametrize(
    "differences",
    [
        np.arange(19.0),  # fewer than 20 samples
        np.zeros(500),  # nothing varies
        np.concatenate([np.zeros(500), [3.0] * 9]),  # fewer than 10 samples vary
    ],
)
def test_too_little_to_judge_gives_infinite_bounds(differences: np.ndarray) -> None:
    zeros = np.zeros(len(differences))
    estimate = paired_difference(differences, zeros, **UNBOUNDED)
    assert (estimate.low, estimate.high) == (-inf, inf)
    assert estimate.method.startswith("none")
    assert drop_pvalue(differences, zeros, margin=0.0, **UNBOUNDED) == 1.0


def test_few_clusters_of_many_samples_are_few() -> None:
    scores = np.random.default_rng(4).normal(size=1900)
    estimate = paired_difference(scores, np.zeros(1900), clusters=np.arange(1900) % 19, **UNBOUNDED)
    assert estimate.high == inf


@pytest.mark.parametrize(("law", "slack"), [("normal", 0.0), ("standard_t", 0.0), ("exponential", 0.01)])
def test_coverage_is_near_nominal(law: str, slack: float) -> None:
    rng, rounds, missed = np.random.default_rng(5), 1000, np.zeros(2)
    mean = 1.0 if law == "exponential" else 0.0
    for _ in range(rounds):
        scores = rng.standard_t(3, 60) if law == "standard_t" else getattr(rng, law)(size=60)
        estimate = paired_difference(scores, np.zeros(60), **UNBOUNDED)
        missed += [estimate.low > mean, estimate.high < mean]
    assert (missed / rounds).max() <= 0.05 + slack + 2 * np.sqrt(0.05 * 0.95 / rounds)
