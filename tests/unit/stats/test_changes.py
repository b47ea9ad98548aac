"""What comparisons can show: units, not samples; sizes of changes, not their number. Held against simulation."""

from math import inf, sqrt

import numpy as np
import pytest

from sfteval.stats import (
    Changes,
    Stratum,
    drop_pvalue,
    gain_pvalue,
    paired_changes,
    samples_to_pass,
    smallest_detectable_drop,
    stratified_changes,
)

ROUNDS = 400


def graded(rng: np.random.Generator, n: int, drop: float, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Scores of which every one moves a little, evenly by up to sqrt(3) times the noise, which is the sd."""
    old = rng.uniform(0.48, 0.52, n)
    return old - drop + rng.uniform(-1, 1, n) * noise * sqrt(3), old


def repeated(rng: np.random.Generator, prompts: int, drop: float, repeats: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Binary scores of several answers to each prompt: some prompts are always right, some never, some now and then."""
    right = rng.choice([0.0, 0.5, 1.0], prompts, p=[0.2, 0.3, 0.5])[:, None]
    old, new = (rng.random((prompts, repeats)) < share * right for share in (1.0, 1.0 - drop / 0.65))
    return new.ravel().astype(float), old.ravel().astype(float)


def test_single_binary_samples_count_as_before() -> None:
    new, old = [1.0] * 150 + [0.0] * 50, [1.0] * 140 + [0.0] * 20 + [1.0] * 10 + [0.0] * 30
    changes = paired_changes(new, old)
    assert (changes.units, changes.size, changes.binary) == (200, 1.0, True)
    assert changes.share == pytest.approx(0.1, abs=1e-12)
    wanted = smallest_detectable_drop(200, discordance=0.1, alpha=0.005, power=0.9, margin=0.02)
    assert changes.detectable_drop(alpha=0.005, power=0.9, margin=0.02) == pytest.approx(wanted)
    assert changes.units_to_pass(0.03) == samples_to_pass(0.03, discordance=0.1)


def test_everything_may_change() -> None:
    changes = paired_changes(np.zeros(40), np.ones(40))
    assert (changes.share, changes.size) == (1.0, 1.0)
    assert changes.detectable_drop(alpha=0.0125, power=0.9, margin=0.2) < 1
    thirds = Changes.expected(7, 1 / 3, (1 / 3) ** 2)
    assert thirds.share == 1.0


def test_repeats_of_a_prompt_add_nothing_where_they_say_the_same() -> None:
    new, old = [1.0] * 30 + [0.0] * 10, [1.0] * 36 + [0.0] * 4
    prompts = [f"p{i}" for i in range(40)]
    many = paired_changes(new * 5, old * 5, clusters=prompts * 5)
    assert (many.units, many.share, many.size) == (pytest.approx(40), pytest.approx(0.15), pytest.approx(1.0))
    assert not many.binary
    assert many.detectable_drop(power=0.9) > smallest_detectable_drop(40, discordance=0.15, power=0.9)
    assert many.detectable_drop(power=0.9) > 2 * smallest_detectable_drop(200, discordance=0.15, power=0.9)


def test_clusters_of_unequal_size_count_as_fewer() -> None:
    sizes = [10] + [1] * 10
    clusters = np.repeat(np.arange(11), sizes)
    changes = paired_changes(np.zeros(20), np.full(20, 0.5), clusters=clusters)
    assert changes.units == pytest.approx(400 / 110)
    assert changes.heaviest == pytest.approx(10 * (400 / 110) / 20)


def test_small_changes_everywhere_are_not_flips_everywhere() -> None:
    new, old = graded(np.random.default_rng(1), 200, 0.0, noise=0.02)
    changes = paired_changes(new, old)
    assert changes.size == pytest.approx(0.02 * 2 / sqrt(3), rel=0.1)  # mean square over mean absolute of a uniform law
    assert changes.square == pytest.approx(0.02**2, rel=0.1)
    assert changes.detectable_drop(power=0.9) < 0.03
    assert smallest_detectable_drop(200, discordance=1.0, power=0.9) > 0.2


@pytest.mark.parametrize("margin", [0.0, 0.05])
@pytest.mark.parametrize(("n", "noise"), [(30, 0.1), (100, 0.1), (400, 0.2)])
def test_detectable_drop_of_graded_scores(n: int, noise: float, margin: float) -> None:
    rng = np.random.default_rng(n)
    changes = Changes.expected(n, noise * sqrt(3) / 2, noise**2)
    drop = changes.detectable_drop(alpha=0.01, power=0.9, margin=margin)
    proven = [drop_pvalue(*graded(rng, n, drop, noise), margin=margin) <= 0.01 for _ in range(ROUNDS)]
    assert np.mean(proven) >= 0.86


@pytest.mark.parametrize("prompts", [60, 200])
def test_detectable_drop_of_repeated_answers(prompts: int) -> None:
    rng = np.random.default_rng(prompts)
    clusters = np.repeat(np.arange(prompts), 4)
    drops = [
        paired_changes(*repeated(rng, prompts, 0.0), clusters=clusters).detectable_drop(alpha=0.01, power=0.9)
        for _ in range(20)
    ]
    drop = float(np.mean(drops))
    proven = [drop_pvalue(*repeated(rng, prompts, drop), margin=0.0, clusters=clusters) <= 0.01 for _ in range(ROUNDS)]
    assert np.mean(proven) == pytest.approx(0.84, abs=0.1)  # losing answers, prompts vary more than before


@pytest.mark.parametrize(("margin", "noise"), [(0.02, 0.1), (0.05, 0.02), (0.1, 0.25)])
def test_an_unchanged_model_passes_with_the_stated_power(margin: float, noise: float) -> None:
    n = Changes.expected(1000, noise * sqrt(3) / 2, noise**2).units_to_pass(margin, power=0.8)
    assert n is not None
    rng = np.random.default_rng(7)
    passed = [gain_pvalue(*graded(rng, n, 0.0, noise), by=-margin) <= 0.05 for _ in range(ROUNDS)]
    assert 0.74 <= np.mean(passed) <= 0.9


def test_scores_without_bounds_need_what_a_t_test_needs() -> None:
    # By hand, n = 100, sd 0.5: (t_99 + z) sd / sqrt(n) = (1.6604 + 1.2816) * 0.5 / 10 = 0.1471.
    steps = np.tile([0.5, -0.5], 50) * (1 + 1e-3 * np.arange(100))
    changes = paired_changes(steps / np.sqrt(np.mean(steps**2)) * 0.5, np.zeros(100), lower=None, upper=None)
    assert changes.detectable_drop(power=0.9, margin=0.1) == pytest.approx(0.2471, abs=1e-4)
    needed = changes.units_to_pass(0.1471, power=0.9)
    assert needed is not None
    assert abs(needed - 100) <= 1
    few = paired_changes(steps[:10], np.zeros(10), lower=None, upper=None)
    assert few.detectable_drop() == inf
    same = paired_changes(np.zeros(100), np.zeros(100), lower=None, upper=None)
    assert same.detectable_drop() == inf
    assert same.units_to_pass(0.1) is None


def test_a_range_is_the_unit_of_a_score() -> None:
    rng = np.random.default_rng(5)
    new, old = graded(rng, 80, 0.0)
    wide = paired_changes(10 * new - 5, 10 * old - 5, lower=-5.0, upper=5.0)
    narrow = paired_changes(new, old)
    assert wide.detectable_drop(margin=0.2) == pytest.approx(10 * narrow.detectable_drop(margin=0.02), rel=1e-6)
    assert wide.units_to_pass(0.5) == narrow.units_to_pass(0.05)


def test_families_weigh_units_by_their_benchmark() -> None:
    rng = np.random.default_rng(3)
    members = [Stratum(*graded(rng, n, 0.0)) for n in (300, 100)]
    changes = stratified_changes(members)
    assert changes.units == pytest.approx(1 / (0.25 / 300 + 0.25 / 100))
    assert changes.heaviest == pytest.approx(changes.units * 0.5 / 100)
    single = paired_changes(*graded(rng, 300, 0.0))
    assert single.detectable_drop() < changes.detectable_drop() < 1.25 * single.detectable_drop()


def test_nothing_changed_is_not_nothing_can_change() -> None:
    same = paired_changes(np.full(60, 0.5), np.full(60, 0.5))
    assert (same.share, same.size) == (1 / 60, 1.0)
    assert same.detectable_drop(alpha=0.01, power=0.9) > 0.05
    needed = same.units_to_pass(0.05)
    assert needed is not None
    assert 59 <= needed <= 120


def test_too_few_units_and_margins_beyond_the_range() -> None:
    assert Changes(2.0, 0.5, 0.5).detectable_drop(alpha=0.001) == inf
    assert Changes(100.0, 0.5, 0.5).detectable_drop(margin=1.0) == inf
    assert Changes(100.0, 0.5, 0.5).units_to_pass(1.0) == 1
