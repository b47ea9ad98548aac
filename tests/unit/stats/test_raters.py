"""Agreement of two raters against published figures and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from sfteval.stats.raters import agreement


def spread(table: dict[tuple[str, str], int]) -> tuple[list[str], list[str]]:
    pairs = [pair for pair, count in table.items() for _ in range(count)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_agrestis_pathologists() -> None:
    """Agresti, Categorical Data Analysis, 11.5: carcinoma slides, kappa 0.493, standard error 0.057."""
    rows = [[22, 2, 2, 0], [5, 7, 14, 0], [0, 2, 36, 0], [0, 1, 17, 10]]
    table = {(str(i), str(j)): count for i, row in enumerate(rows) for j, count in enumerate(row)}
    found = agreement(*spread(table))
    assert found.n == 118
    assert found.kappa == pytest.approx(0.493, abs=5e-4)
    assert (found.kappa_high - found.kappa_low) / (2 * 1.959964) == pytest.approx(0.057, abs=5e-4)
    assert found.accuracy == pytest.approx(75 / 118)


def test_wilsons_interval() -> None:
    found = agreement(*spread({("a", "a"): 8, ("a", "b"): 2}))
    assert (found.accuracy_low, found.accuracy_high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_no_kappa_where_chance_alone_agrees() -> None:
    found = agreement(["a"] * 5, ["a"] * 5)
    assert (found.accuracy, found.kappa, found.kappa_low) == (1.0, None, None)


def test_perfect_and_opposite() -> None:
    assert agreement(["a", "b"] * 9, ["a", "b"] * 9).kappa == 1.0
    assert agreement(["a", "b"] * 9, ["b", "a"] * 9).kappa == -1.0


def test_the_interval_covers() -> None:
    """Two raters who keep the truth 85 and 80 times in 100: kappa is known, 95 % intervals hold it 93 to 97 times."""
    random = np.random.default_rng(7)
    same = 0.85 * 0.80 + 0.15 * 0.20
    truth, held = (same - 0.5) / 0.5, 0
    for _ in range(1000):
        facts = random.random(300) < 0.5
        first, second = (np.where(random.random(300) < skill, facts, ~facts) for skill in (0.85, 0.80))
        found = agreement([str(x) for x in first], [str(x) for x in second])
        held += found.kappa_low <= truth <= found.kappa_high
    assert 930 <= held <= 970


def test_labels_of_both_are_needed() -> None:
    with pytest.raises(ValueError, match="expected as many labels of both raters, at least one; found 0 and 0"):
        agreement([], [])
    with pytest.raises(ValueError, match="found 2 and 1"):
        agreement(["a", "b"], ["a"])
