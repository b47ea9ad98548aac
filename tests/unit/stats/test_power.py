"""Sample sizes: consistent with each other, and with what the tests then really detect."""

from functools import cache
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfteval.stats import samples_needed, samples_to_pass, smallest_detectable_drop
from sfteval.stats.binary import exact_tail


@cache
def proven(n: int, gains: int, losses: int, alpha: float, null: float) -> bool:
    return exact_tail(n, gains, losses, null) <= alpha


def achieved(n: int, discordance: float, drop: float, alpha: float, margin: float) -> tuple[float, float]:
    """Share of simulated comparisons that prove a drop beyond the margin, and that exclude one."""
    rate = max(discordance, drop)
    law = [(rate - drop) / 2, (rate + drop) / 2, 1 - rate]
    tables = [(int(gains), int(losses)) for gains, losses, _ in np.random.default_rng(n).multinomial(n, law, 400)]
    fails = [proven(n, gains, losses, alpha, -margin) for gains, losses in tables]
    passes = [proven(n, losses, gains, alpha, margin) for gains, losses in tables]
    return float(np.mean(fails)), float(np.mean(passes))


@pytest.mark.parametrize(
    ("n", "discordance", "alpha", "margin"),
    [(50, 0.15, 0.05, 0.0), (100, 0.15, 0.05, 0.0), (300, 0.15, 0.0025, 0.0), (300, 0.1, 0.05, 0.02)],
)
def test_detectable_drop_is_detected_with_the_stated_power(
    n: int, discordance: float, alpha: float, margin: float
) -> None:
    drop = smallest_detectable_drop(n, discordance=discordance, alpha=alpha, margin=margin)
    assert achieved(n, discordance, drop, alpha, margin)[0] == pytest.approx(0.8, abs=0.06)


def test_detectable_drop_is_on_the_safe_side_when_few_pairs_are_discordant() -> None:
    drop = smallest_detectable_drop(100, discordance=0.02)
    assert achieved(100, 0.02, drop, 0.05, 0.0)[0] >= 0.8


@pytest.mark.parametrize(("margin", "discordance", "power"), [(0.05, 0.1, 0.8), (0.03, 0.05, 0.95), (0.02, 0.0, 0.9)])
def test_an_unchanged_model_passes_with_the_stated_power(margin: float, discordance: float, power: float) -> None:
    n = samples_to_pass(margin, discordance=discordance, power=power)
    passed = achieved(n, discordance, 0.0, 0.05, margin)[1]
    assert passed == pytest.approx(1.0 if discordance == 0 else power, abs=0.05)


@settings(max_examples=100)
@given(
    n=st.integers(20, 100_000),
    discordance=st.floats(0.01, 0.9),
    alpha=st.floats(1e-4, 0.2),
    margin=st.sampled_from([0.0, 0.01, 0.05]),
)
def test_samples_needed_inverts_the_detectable_drop(n: int, discordance: float, alpha: float, margin: float) -> None:
    drop = smallest_detectable_drop(n, discordance=discordance, alpha=alpha, margin=margin)
    if drop < inf:
        needed = samples_needed(drop, discordance=discordance, alpha=alpha, margin=margin)
        assert needed == pytest.approx(n, rel=1e-3, abs=1)


def test_textbook_size_of_a_mcnemar_test() -> None:
    # Miettinen's formula by hand: (1.6449 sqrt(.2) + .8416 sqrt(.2 - .01))^2 / .01 = 121.4.
    assert samples_needed(0.1, discordance=0.2) == 122


def test_more_samples_detect_less_and_stricter_levels_more() -> None:
    drops = [smallest_detectable_drop(n, discordance=0.15) for n in (50, 200, 1000, 10_000)]
    assert drops == sorted(drops, reverse=True)
    assert smallest_detectable_drop(200, discordance=0.15, alpha=0.0025) > drops[1]


def test_a_handful_of_samples_proves_nothing() -> None:
    assert smallest_detectable_drop(1, discordance=0.1, alpha=0.001) == inf
    assert smallest_detectable_drop(3, discordance=0.1, margin=0.9) == inf


@pytest.mark.parametrize(
    "call",
    [
        lambda: smallest_detectable_drop(0, discordance=0.1),
        lambda: smallest_detectable_drop(10, discordance=1.1),
        lambda: smallest_detectable_drop(10, discordance=0.1, alpha=0.0),
        lambda: samples_needed(0.01, discordance=0.1, margin=0.01),
        lambda: samples_to_pass(0.0, discordance=0.1),
        lambda: samples_to_pass(-0.1, discordance=0.1),
    ],
)
def test_bad_input_is_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"must|margin"):
        call()
