"""Evidence about a finite benchmark: its level, what is certain, and the draw."""

import numpy as np
import pytest

from sfteval.stats import SETTLED, finite_mean, finite_pvalue, proportional_blocks
from sfteval.stats.finite import evidence_above


def population(drop: int, discordant: int, size: int = 200) -> np.ndarray:
    gains = (discordant - drop) // 2
    return np.array([1.0] * gains + [-1.0] * (discordant - gains) + [0.0] * (size - discordant))


def test_the_level_holds_on_the_least_favourable_benchmark() -> None:
    rng, alpha, wrong = np.random.default_rng(3), 0.05, 0
    scores = population(drop=10, discordant=40)
    ends = list(range(4, 201, 4))
    for _ in range(400):
        found = evidence_above(rng.permutation(scores)[:196], ends[:-1], [-0.05], population=200, lower=-1, upper=1)
        wrong += bool(found[0] >= np.log(1 / alpha))
    assert wrong / 400 <= alpha


@pytest.mark.parametrize("strata", [None, "proportional"])
def test_bounds_cover_the_whole_benchmark_also_when_drawn_by_strata(strata: str | None) -> None:
    rng, missed = np.random.default_rng(5), 0
    scores = np.concatenate([population(20, 40, 60), population(-6, 20, 140)])
    names = ["hard"] * 60 + ["easy"] * 140
    for seed in range(150):
        order = rng.permutation(200)
        blocks = proportional_blocks(order, names if strata else ["one"] * 200, blocks=50, seed=seed)
        drawn = scores[[at for block in blocks[:20] for at in block]]
        ends = np.cumsum([len(block) for block in blocks[:20]]).tolist()
        found = finite_mean(drawn, ends, population=200, lower=-1, upper=1, alpha=0.1)
        missed += not found.low <= scores.mean() <= found.high
    assert missed / 150 <= 0.2


def test_what_is_certain_needs_no_luck() -> None:
    scores = np.zeros(100)
    known = finite_mean(scores, [50, 100], population=100, lower=-1, upper=1)
    assert (known.low, known.high, known.n, known.population) == (0.0, 0.0, 100, 100)
    assert finite_pvalue(scores[:99], [50, 99], 0.02, population=100, lower=-1, upper=1) == 0.0
    assert finite_pvalue(scores[:99], [50, 99], 0.005, population=100, lower=-1, upper=1) > SETTLED


def test_a_draw_holds_every_sample_once_and_each_stratum_in_proportion() -> None:
    names = ["a"] * 30 + ["b"] * 90 + ["c"] * 7
    blocks = proportional_blocks(list(range(127)), names, blocks=10, seed=1)
    assert sorted(at for block in blocks for at in block) == list(range(127))
    assert blocks == proportional_blocks(list(range(127)), names, blocks=10, seed=1)
    counts = [[sum(names[at] == name for at in block) for name in "abc"] for block in blocks]
    assert {count[0] for count in counts} <= {2, 3, 4}
    assert all(abs(sum(count[1] for count in counts[:k]) - 9 * k) <= 2 for k in range(1, 11))


@pytest.mark.parametrize(
    ("ends", "message"),
    [([3], "end at the 4 scores"), ([2, 2, 4], "blocks must be filled"), ([], "blocks must be filled")],
)
def test_blocks_that_do_not_fit(ends: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        finite_mean([0.0, 1.0, 0.0, 1.0], ends, population=9, lower=0, upper=1)


def test_more_scores_than_the_benchmark_has() -> None:
    with pytest.raises(ValueError, match="4 scores from a population of 3"):
        finite_pvalue([0.0, 1.0, 0.0, 1.0], [4], 0.5, population=3, lower=0, upper=1)
