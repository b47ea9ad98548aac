"""The entry point: which method is used, that bounds and p-values agree, and what is refused."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sfteval.stats import PairedBinaryTest, drop_pvalue, gain_pvalue, paired_difference

RNG = np.random.default_rng(11)
KINDS = {
    "binary": ({}, lambda n, rng: rng.integers(0, 2, (2, n)).astype(float)),
    "bounded": ({}, lambda n, rng: rng.beta(1, 1, (2, n))),
    "scaled": ({"lower": -3.0, "upper": 5.0}, lambda n, rng: rng.uniform(-3, 5, (2, n))),
    "clustered": ({"clusters": True}, lambda n, rng: rng.integers(0, 2, (2, n)).astype(float)),
    "unbounded": ({"lower": None, "upper": None}, lambda n, rng: rng.lognormal(0, 1, (2, n))),
}


def draw(kind: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, dict]:
    rng = np.random.default_rng(seed)
    options, scores = KINDS[kind]
    options = dict(options)
    if "clusters" in options:
        options["clusters"] = rng.integers(0, max(1, n // 2), n).tolist()
    candidate, reference = scores(n, rng)
    return candidate, reference, options


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    n=st.integers(1, 80),
    seed=st.integers(0, 10_000),
    alpha=st.floats(1e-4, 0.5),
    margin=st.sampled_from([0.0, 0.01, 0.1, 0.3]),
)
def test_pvalues_invert_the_bounds(kind: str, n: int, seed: int, alpha: float, margin: float) -> None:
    candidate, reference, options = draw(kind, n, seed)
    estimate = paired_difference(candidate, reference, alpha=alpha, **options)
    drop = drop_pvalue(candidate, reference, margin=margin, **options)
    gain = gain_pvalue(candidate, reference, by=margin, **options)
    assume(min(abs(estimate.high + margin), abs(estimate.low - margin)) > 1e-9 or kind == "binary")
    assert (drop <= alpha) == (estimate.high < -margin)
    assert (gain <= alpha) == (estimate.low > margin)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), n=st.integers(1, 60), seed=st.integers(0, 10_000))
def test_exchanging_the_models_mirrors_everything(kind: str, n: int, seed: int) -> None:
    candidate, reference, options = draw(kind, n, seed)
    forth = paired_difference(candidate, reference, **options)
    back = paired_difference(reference, candidate, **options)
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low), abs=1e-8)
    assert back.difference == pytest.approx(-forth.difference)
    assert forth.low <= forth.difference <= forth.high


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_order_of_the_samples_does_not_matter(kind: str) -> None:
    candidate, reference, options = draw(kind, 60, 5)
    order = np.random.default_rng(0).permutation(60)
    shuffled = dict(options)
    if "clusters" in options:
        shuffled["clusters"] = [options["clusters"][i] for i in order]
    first = paired_difference(candidate, reference, **options)
    second = paired_difference(candidate[order], reference[order], **shuffled)
    assert (second.low, second.high) == pytest.approx((first.low, first.high), abs=1e-8)


def test_record_holds_the_means_and_the_method() -> None:
    estimate = paired_difference([1, 0, 0, 1], [1, 1, 1, 1], alpha=0.1)
    assert (estimate.n, estimate.clusters, estimate.alpha) == (4, 4, 0.1)
    assert (estimate.candidate, estimate.reference, estimate.difference) == (0.5, 1.0, -0.5)
    assert estimate.method == "exact unconditional (Tango score order)"
    assert estimate.high == PairedBinaryTest(4, 0, 2).bound(0.1)
    assert estimate.low == -PairedBinaryTest(4, 2, 0).bound(0.1)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("bounded", "Gaffke (bounded, no normality)"),
        ("clustered", "Gaffke (bounded, no normality)"),
        ("unbounded", "skewness-adjusted t (Hall 1992), cluster-robust"),
    ],
)
def test_method_follows_from_what_is_known(kind: str, method: str) -> None:
    candidate, reference, options = draw(kind, 50, 1)
    assert paired_difference(candidate, reference, **options).method == method


def test_many_discordant_pairs_use_the_score_method() -> None:
    scores = np.arange(2000) % 2
    assert paired_difference(scores, np.zeros(2000)).method == "score (Tango) with continuity correction"


def test_identical_scores_are_no_proof_of_equality() -> None:
    scores = RNG.integers(0, 2, 200)
    estimate = paired_difference(scores, scores)
    assert estimate.difference == 0
    assert estimate.high == pytest.approx(0.0149, abs=1e-4)
    assert estimate.low == pytest.approx(-0.0149, abs=1e-4)
    assert drop_pvalue(scores, scores, margin=0.0) > 0.99
    assert drop_pvalue(scores, scores, margin=0.02) > 0.99
    continuous = RNG.random(200)
    assert paired_difference(continuous, continuous).high == pytest.approx(0.0149, abs=2e-4)


def test_one_sample_per_cluster_is_no_clustering() -> None:
    candidate, reference, _ = draw("binary", 40, 3)
    plain = paired_difference(candidate, reference)
    assert paired_difference(candidate, reference, clusters=[f"prompt {i}" for i in range(40)]) == plain


def test_repeating_every_sample_adds_no_evidence() -> None:
    candidate, reference, _ = draw("bounded", 40, 4)
    once = paired_difference(candidate, reference)
    again = paired_difference(np.tile(candidate, 3), np.tile(reference, 3), clusters=np.tile(np.arange(40), 3))
    assert (again.n, again.clusters) == (120, 40)
    assert (again.low, again.high) == pytest.approx((once.low, once.high), abs=1e-8)


def test_clusters_count_by_their_samples() -> None:
    candidate = np.array([1, 1, 1, 0.0])
    estimate = paired_difference(candidate, np.zeros(4), clusters=["a", "a", "a", "b"])
    assert estimate.difference == 0.75
    assert estimate.clusters == 2


def test_cluster_bounds_cover_when_samples_of_a_prompt_agree() -> None:
    rng, missed, rounds = np.random.default_rng(21), np.zeros(2), 300
    for _ in range(rounds):
        sizes = rng.integers(1, 5, 40)
        prompts = np.repeat(np.arange(40), sizes)
        reference = np.repeat(rng.random(40) < 0.7, sizes)
        candidate = np.repeat(rng.random(40) < 0.6, sizes)
        estimate = paired_difference(candidate, reference, clusters=prompts)
        missed += [estimate.low > -0.1, estimate.high < -0.1]
    assert (missed / rounds).max() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / rounds)


@pytest.mark.parametrize(
    ("candidate", "reference", "options", "message"),
    [
        ([], [], {}, "non-empty"),
        ([0.5, nan], [0.5, 0.5], {}, "not finite"),
        ([0.5], [inf], {"lower": None, "upper": None}, "not finite"),
        ([0.5, 1], [0.5], {}, "differ in number"),
        ([2.0], [0.5], {}, "outside"),
        ([0.5], [0.5], {"alpha": 0.0}, "alpha"),
        ([0.5], [0.5], {"alpha": 0.6}, "alpha"),
        ([0.5], [0.5], {"alpha": nan}, "alpha"),
        ([0.5], [0.5], {"lower": None}, "both bounds"),
        ([0.5], [0.5], {"lower": 1.0, "upper": 1.0}, "not below"),
        ([0.5, 1], [0.5, 1], {"clusters": ["a"]}, "cluster names"),
        ([[0.5]], [[0.5]], {}, "non-empty list"),
    ],
)
def test_bad_input_is_refused(candidate: list, reference: list, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_difference(candidate, reference, **options)
