"""Warnings before anything is computed: clusters are counted, and what was measured is taken at its size."""

from __future__ import annotations

import pytest

from sfteval.plan import power_warnings
from sfteval.records import Gate, Item, MetricInfo

GATE = Gate("ok", "a.suite.yaml", 1, "s", "", "ok", "no_regression", 0.05, "base", "none", 0.05)
UNBOUNDED = {"s//ok": MetricInfo(lower=None, upper=None)}
STEADY = {"s//ok": {"discordance": 1.0, "mean_change": 0.02, "mean_square": 0.0005}}


def items(prompts: int, repeats: int = 1) -> list[Item]:
    return [
        Item(f"{p}-{r}", "s", "", f"q{p}", (), repeat=r, cluster=f"q{p}")
        for p in range(prompts)
        for r in range(repeats)
    ]


def said(prompts: int, repeats: int = 1, metrics=None, measured=None) -> tuple[str, ...]:
    return power_warnings([GATE], items(prompts, repeats), metrics or {}, measured or {})


def test_samples_of_one_prompt_are_one_cluster() -> None:
    assert said(300) == ()
    (warning,) = said(75, 4)
    assert warning.startswith(
        "a.suite.yaml::ok: this suite cannot do what its gate asks: with 300 samples in 75 clusters an unchanged model "
        "rarely proves that it lost less than 0.05; "
    )
    assert "clusters are needed at 10% discordant pairs (assumed)" in warning


def test_single_samples_need_what_they_needed() -> None:
    (warning,) = said(40)
    assert "with 40 samples an unchanged model" in warning
    assert "; 244 are needed at 10% discordant pairs (assumed)" in warning


def test_small_changes_that_were_measured_need_few_samples() -> None:
    assert said(100, measured=STEADY) == ()
    (warning,) = said(20, measured=STEADY)
    assert "are needed at differences of 0.022 (rms) (measured)" in warning


def test_what_an_older_measurement_says_is_an_upper_bound() -> None:
    (warning,) = said(100, measured={"s//ok": {"discordance": 1.0}})
    assert "are needed at 100% discordant pairs (measured)" in warning


@pytest.mark.parametrize("measured", [{}, {"s//ok": {"discordance": 1.0}}])
def test_of_scores_without_bounds_nobody_knows(measured) -> None:
    assert said(20, metrics=UNBOUNDED, measured=measured) == ()


def test_scores_without_bounds_that_were_measured() -> None:
    assert said(100, metrics=UNBOUNDED, measured=STEADY) == ()
    (warning,) = said(10, metrics=UNBOUNDED, measured=STEADY)
    assert "; 20 are needed at differences of 0.022 (rms) (measured)" in warning
