"""The bound and the p-value of a test agree, whatever the shape of the test's p-value function."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfteval.stats.onesided import falling_root, tree_bound, tree_pvalue


@given(
    seed=st.integers(0, 10_000),
    alpha=st.floats(0.001, 0.5),
    null=st.floats(-1, 1),
)
def test_bound_and_pvalue_agree_even_when_the_test_is_erratic(seed: int, alpha: float, null: float) -> None:
    shifts = np.random.default_rng(seed).uniform(-0.3, 0.3, 64)

    def erratic(value: float) -> float:
        return float(np.clip(0.5 - value + shifts[int(value * 1000) % 64], 0, 1))

    assert (tree_pvalue(erratic, null) <= alpha) == (tree_bound(erratic, alpha) < null)


def test_tree_finds_the_crossing_of_a_monotone_test() -> None:
    def monotone(value: float) -> float:
        return (1 - value) / 2

    assert tree_bound(monotone, 0.05) == pytest.approx(0.9, abs=2e-7)
    assert tree_bound(monotone, 0.05) >= 0.9
    assert tree_pvalue(monotone, 0.25) == pytest.approx(0.375, abs=1e-6)


def test_tree_without_any_rejection_ends_at_one() -> None:
    assert tree_bound(lambda _: 1.0, 0.05) == 1.0
    assert tree_pvalue(lambda _: 1.0, 0.0) == 1.0


@given(root=st.floats(-0.99, 0.99), steepness=st.floats(0.01, 100))
def test_falling_root_ends_on_the_rejected_side(root: float, steepness: float) -> None:
    found = falling_root(lambda x: steepness * (root - x) ** 3, -1.0, 1.0, 1e-9)
    assert root - 1e-12 <= found <= root + 1e-6
