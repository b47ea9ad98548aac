"""The sentence that a release manager reads first."""

from __future__ import annotations

from typing import Any

from sfteval.report.site.headline import headline


def row(check: str, difference: float | None, low: float, high: float, **changes: Any) -> dict[str, Any]:
    place = {"node": f"s.yaml::{check}", "suite": "s", "task": "", "check": check, "slice": "", "family": []}
    figures = {"difference": difference, "low": low, "high": high, "higher_is_better": True, "against": "base"}
    return place | figures | {"blocks": False, "exit_code": 0, "reasons": ["the run is not there"]} | changes


def test_the_objection_with_its_interval_then_what_was_gained() -> None:
    rows = [
        row("facts", -0.061, -0.089, -0.034, blocks=True, exit_code=1),
        row("json", 0.31, 0.2, 0.4),
        row("tone", 0.02, -0.01, 0.05),
    ]
    expected = "Do not ship: s facts -6.1 points [-8.9, -3.4] against base; s json improved +31.0."
    assert headline(rows, 1) == expected


def test_what_broke_comes_first_with_its_reason() -> None:
    rows = [
        row("facts", -0.5, -0.6, -0.4, blocks=True, exit_code=1),
        row("gone", None, 0, 0, blocks=True, exit_code=21),
    ]
    assert headline(rows, 21) == (
        "Broke: s gone: the run is not there; s facts -50.0 points [-60.0, -40.0] against base."
    )


def test_nothing_objects() -> None:
    assert headline([row("tone", 0.0, -0.01, 0.05)], 0) == "Ship: no gate objects."


def test_lower_is_better_is_read_the_other_way_round() -> None:
    found = headline([row("bits", -0.2, -0.3, -0.1, higher_is_better=False)], 0)
    assert found == "Ship: no gate objects; s bits improved +20.0."


def test_a_metric_that_objects_twice_is_told_once() -> None:
    rows = [
        row("facts", -0.061, -0.089, -0.034, blocks=True, exit_code=1),
        row("facts", -0.05, -0.08, -0.02, blocks=True, exit_code=1, against="previous"),
    ]
    assert headline(rows, 1) == "Do not ship: s facts -6.1 points [-8.9, -3.4] against base."
