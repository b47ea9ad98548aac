"""Charts: every specification is valid Vega-Lite, and says what the rows say."""

from __future__ import annotations

from typing import Any

import altair as alt
import pytest

from sfteval.report import charts
from sfteval.report.site import Cell, RunCard, Site


def row(**changes: Any) -> dict[str, Any]:
    basis = {"node": "s.yaml::c", "suite": "s", "task": "", "check": "c", "slice": "", "family": [], "against": "base"}
    figures = {"difference": -0.1, "low": -0.2, "high": -0.02, "margin": 0.05, "n": 40, "candidate": 0.5}
    rest = {"demand": "no_regression", "verdict": "FAIL", "higher_is_better": True}
    return basis | figures | rest | changes


def data(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return spec["datasets"]["rows"]


def valid(spec: dict[str, Any]) -> None:
    alt.Chart.from_dict(spec, validate=True)


def test_gates_are_drawn_with_better_to_the_right() -> None:
    spec = charts.gates_chart([row(), row(check="d", higher_is_better=False, difference=0.1, low=0.02, high=0.2)])
    valid(spec)
    for value in data(spec):
        assert (value["change"], value["low"], value["high"], value["demand"]) == (-10.0, -20.0, -2.0, -5.0)
    assert charts.gates_chart([row(difference=None)]) is None


def test_a_gain_that_is_asked_for_is_a_demand_to_the_right() -> None:
    assert data(charts.gates_chart([row(demand="improves", margin=0.1)]))[0]["demand"] == 10.0


def test_floors_hold_the_value_and_the_floor() -> None:
    spec = charts.floors_chart([row(demand="at_least", against=None, margin=0.9, difference=None), row()])
    valid(spec)
    assert [(v["value"], v["demand"]) for v in data(spec)] == [(0.5, 0.9)]


def test_filling_a_chart_leaves_the_next_one_alone() -> None:
    first, second = charts.gates_chart([row(n=1)]), charts.gates_chart([row(n=2)])
    assert [data(s)[0]["measured"] for s in (first, second)] == ["-10.0 points, n = 1", "-10.0 points, n = 2"]


def card(name: str, promoted: bool = False) -> RunCard:
    manifest = {"model": {"reference": name}, "suites": {}, "extra": {}}
    return RunCard(name, manifest, "base", None, {"who": "me"} if promoted else None, True)


@pytest.fixture
def site() -> Site:
    """Three checkpoints: b is beaten by a in both; c forgets and learns most."""
    general, target = ("know", "", "acc"), ("format", "", "valid")
    figures = {"a": (-0.01, 0.2), "b": (-0.02, 0.1), "c": (-0.3, 0.4)}
    cells = {}
    for name, (kept, learned) in figures.items():
        cells[name, general] = Cell(100, 0.5, 0.5 + kept, kept - 0.05, kept + 0.05)
        cells[name, target] = Cell(100, 0.5, 0.5 + learned, learned - 0.05, learned + 0.05)
    steps = {("c", general): Cell(100, 0.48, 0.2, -0.35, -0.2)}
    runs = [card("a", promoted=True), card("b"), card("c")]
    return Site(runs, {}, [], [general, target], frozenset({"know"}), cells, steps, [], [])


def test_the_plane_marks_the_front(site: Site) -> None:
    spec = charts.plane_chart(site)
    valid(spec)
    assert {v["run"]: (v["learned"], v["kept"], v["front"]) for v in data(spec)} == {
        "a": (20.0, -1.0, True),
        "b": (10.0, -2.0, False),
        "c": (40.0, -30.0, True),
    }


def test_trends_mark_change_points_and_promotions(site: Site) -> None:
    spec = charts.trend_chart(site)
    valid(spec)
    assert [(v["run"], v["changed"], v["promoted"]) for v in data(spec)] == [
        ("a", "none", True),
        ("b", "none", False),
        ("c", "worse", False),
    ]


def test_curves_and_suites_over_steps() -> None:
    spec = charts.curve_chart([{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}], "loss", "loss per token")
    valid(spec)
    assert data(spec) == [{"step": 1, "value": 2.5}]
    assert spec["encoding"]["y"]["title"] == "loss per token"
    looks = [{"step": 5, "name": "facts", "difference": -0.05, "low": -0.1, "high": 0.0, "budget": 0.02}]
    spec = charts.suites_chart(looks)
    valid(spec)
    assert data(spec) == [{"step": 5, "name": "facts", "difference": -5.0, "low": -10.0, "high": 0.0, "budget": -2.0}]


def test_pictures() -> None:
    spec = charts.gates_chart([row()])
    assert charts.svg(spec).startswith("<svg")
    assert charts.png(spec).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        (Cell(9, 0.5, 0.4, -0.2, -0.01), "worse"),
        (Cell(9, 0.5, 0.4, -0.2, 0.01), "open"),
        (Cell(9, 0.5, 0.4, -0.2, -0.01, higher=False), "better"),
        (Cell(9, 0.5, 0.6, 0.01, 0.2, higher=False), "worse"),
        (Cell(9, 0.5, 0.6, None, None), "open"),
    ],
)
def test_the_word_of_a_cell(cell: Cell, word: str) -> None:
    assert cell.word == word
