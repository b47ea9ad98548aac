"""Fisher's exact test against his own tea, scipy and the tables without contrast."""

from __future__ import annotations

import pytest
from scipy.stats import fisher_exact

from sfteval import stats


def test_the_lady_tasting_tea() -> None:
    assert stats.fisher_more(3, 1, 1, 3) == 17 / 70
    assert stats.fisher_more(4, 0, 0, 4) == 1 / 70


def test_an_empty_group_says_nothing() -> None:
    assert stats.fisher_more(0, 0, 3, 4) == 1.0
    assert stats.fisher_more(3, 4, 0, 0) == 1.0
    assert stats.fisher_more(0, 0, 0, 0) == 1.0


@pytest.mark.parametrize("table", [(5, 3, 2, 9), (0, 4, 6, 1), (7, 0, 7, 7), (200, 100, 120, 180)])
def test_scipy_says_the_same(table: tuple[int, int, int, int]) -> None:
    theirs = fisher_exact([table[:2], table[2:]], alternative="greater").pvalue
    assert stats.fisher_more(*table) == pytest.approx(theirs, rel=1e-9)
