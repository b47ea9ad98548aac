"""Holm's procedure: a worked example, its definition, and the gates that were not evaluated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfteval.stats import holm


def test_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_gates_that_were_not_evaluated_keep_the_multiplier() -> None:
    assert holm([0.01, 0.04], total=10) == pytest.approx([0.1, 0.36])
    assert holm([0.2], total=10) == [1.0]
    assert holm([], total=10) == []


@given(st.lists(st.floats(0, 1), max_size=12), st.integers(0, 5), st.floats(0.001, 0.5))
def test_rejections_are_those_of_the_step_down_definition(pvalues: list[float], more: int, alpha: float) -> None:
    total, rejected = len(pvalues) + more, set()
    for rank, index in enumerate(np.argsort(pvalues, kind="stable")):
        if (total - rank) * pvalues[index] > alpha:
            break
        rejected.add(int(index))
    adjusted = holm(pvalues, total=total)
    assert {i for i, value in enumerate(adjusted) if value <= alpha} == rejected


def test_any_false_rejection_is_rare_under_dependence() -> None:
    rng, rounds, gates = np.random.default_rng(1), 2000, 8
    false = 0
    for _ in range(rounds):
        pvalues = 0.5 * (rng.random(gates) < 0.5) * rng.random() + 0.5 * rng.random(gates)
        uniform = rng.random(gates)
        uniform[: gates // 2] = uniform[0]
        false += min(holm(uniform.tolist())) <= 0.05
        assert all(a >= p for a, p in zip(holm(pvalues.tolist()), pvalues, strict=True))
    assert false / rounds <= 0.05


@pytest.mark.parametrize(("pvalues", "total"), [([float("nan")], None), ([1.2], None), ([-0.1], None), ([0.1, 0.2], 1)])
def test_bad_input_is_refused(pvalues: list[float], total: int | None) -> None:
    with pytest.raises(ValueError, match="p-value"):
        holm(pvalues, total=total)
