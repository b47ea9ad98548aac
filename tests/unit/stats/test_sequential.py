"""Confidence sequences: the truth is ever excluded with probability alpha at most, and looking is free."""

import numpy as np
import pytest

from sfteval.stats import DifferenceSequence

LAW = [0.1, 0.78, 0.12]


def ever_missed(population: int | None, alpha: float) -> np.ndarray:
    """Share of 500 sequences whose lower, upper bound ever excluded the truth while being watched."""
    rng, missed = np.random.default_rng(1), np.zeros(2)
    for _ in range(500):
        differences = rng.choice([-1, 0, 1], 300, p=LAW)
        truth = 0.02 if population is None else differences.mean()
        sequence = DifferenceSequence(alpha=alpha, population=population, grid=401)
        looks = [sequence.update(part) for part in np.split(differences, 10)]
        missed += [max(low for low, _ in looks) > truth + 1e-9, min(high for _, high in looks) < truth - 1e-9]
    return missed / 500


@pytest.mark.parametrize("population", [None, 300])
def test_truth_is_ever_excluded_with_probability_alpha_at_most(population: int | None) -> None:
    alpha = 0.1
    missed = ever_missed(population, alpha)
    assert missed.max() <= alpha + 2 * np.sqrt(alpha * (1 - alpha) / 500)


def test_a_true_drop_is_found_and_stays_found() -> None:
    differences = np.random.default_rng(2).choice([-1, 0, 1], 4000, p=[0.15, 0.8, 0.05])
    sequence = DifferenceSequence()
    highs = [sequence.update(part)[1] for part in np.split(differences, 40)]
    assert highs == sorted(highs, reverse=True)
    assert highs[-1] < -0.07
    assert sequence.low > -0.13


def test_size_of_the_batches_does_not_matter() -> None:
    differences = np.random.default_rng(3).uniform(-1, 1, 700)
    whole, parts = DifferenceSequence(population=1000), DifferenceSequence(population=1000)
    whole.update(differences)
    for start in range(0, 700, 7):
        parts.update(differences[start : start + 7])
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high))
    assert (parts.n, parts.mean) == (700, pytest.approx(differences.mean()))


def test_a_fully_seen_population_leaves_no_doubt() -> None:
    differences = np.random.default_rng(4).choice([-1, 0, 1], 500, p=LAW)
    sequence = DifferenceSequence(population=500)
    low, high = sequence.update(differences)
    assert low == pytest.approx(differences.mean())
    assert high == pytest.approx(differences.mean())
    with pytest.raises(ValueError, match="population"):
        sequence.update([0.0])


def test_without_replacement_is_sharper_near_the_end() -> None:
    differences = np.random.default_rng(5).choice([-1, 0, 1], 900, p=LAW)
    finite, endless = DifferenceSequence(population=1000), DifferenceSequence()
    low, high = finite.update(differences)
    assert high - low < 0.6 * np.diff(endless.update(differences))[0]


def test_bounds_are_in_the_units_of_the_scores() -> None:
    differences = np.random.default_rng(6).uniform(-1, 1, 300)
    unit, scaled = DifferenceSequence(), DifferenceSequence(lower=-10, upper=40)
    assert scaled.update(50 * differences) == pytest.approx(tuple(50 * x for x in unit.update(differences)))


def test_nothing_seen_is_nothing_known() -> None:
    sequence = DifferenceSequence()
    assert (sequence.n, sequence.low, sequence.high) == (0, -1.0, 1.0)
    assert np.isnan(sequence.mean)


@pytest.mark.parametrize("options", [{"alpha": 0}, {"lower": 1.0}, {"population": 0}, {"grid": 2}])
def test_bad_options_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=r"alpha|sequence"):
        DifferenceSequence(**options)


@pytest.mark.parametrize("batch", [[], [float("nan")], [1.5]])
def test_bad_batches_are_refused(batch: list[float]) -> None:
    with pytest.raises(ValueError, match="differences"):
        DifferenceSequence().update(batch)
