"""Charts, one specification each: shown by Vega in a page, drawn as SVG and PNG by vl-convert.

Comes in: plain rows. Goes out: Vega-Lite specifications (altair), and pictures of them. Colours are from Okabe and Ito
(2008), which people with colour-blindness can tell apart; a shape or a sign says the same as each colour.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

from sfteval.report.rows import points
from sfteval.report.terminal import asks, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sfteval.report.site.model import Place, RunCard, Site

Spec = dict[str, Any]
BETTER, WORSE, OPEN, ACCENT = "#0072b2", "#d55e00", "#6b6b6b", "#117a5b"
VERDICTS = {
    "PASS": (ACCENT, "circle"),
    "FAIL": (WORSE, "cross"),
    "INCONCLUSIVE": (OPEN, "square"),
    "NOT_COMPARABLE": ("#a3427f", "diamond"),
    "NOT_JUDGED": ("#8a8a8a", "triangle-up"),
}
DATA = "rows"
POINTS = "change in points (hundredths), better is to the right"


def gates_chart(rows: Sequence[Mapping[str, Any]]) -> Spec | None:
    """Return each comparative gate's change with its interval, its margin as a tick, and zero; None without any."""
    return _filled(_gates_spec, [_gate(row) for row in rows if row["difference"] is not None])


@cache
def _gates_spec() -> Spec:
    import altair as alt

    base = _base(alt).encode(y=alt.Y("gate:N", sort=None, title=None, axis=alt.Axis(labelLimit=320)))
    colour, shape = _verdict_scales(alt)
    interval = base.mark_rule(strokeWidth=3, clip=True)
    interval = interval.encode(x=alt.X("low:Q", title=POINTS), x2="high:Q", color=colour)
    point = base.mark_point(filled=True, size=90, opacity=1).encode(
        x="change:Q", color=colour, shape=shape, tooltip=_tooltips(alt, "gate measured asks verdict", "change low high")
    )
    demand = base.mark_tick(thickness=2, size=18, color=WORSE).encode(x="demand:Q", tooltip=["asks:N"])
    return _finished(
        alt.layer(_line_at_zero(alt, "x"), interval, demand, point).properties(width=460, height=alt.Step(24))
    )


def floors_chart(rows: Sequence[Mapping[str, Any]]) -> Spec | None:
    """Return the candidate's value beside the floor or ceiling of each gate that has one; None without any."""
    values = [
        {"gate": name_of(row), "value": row["candidate"], "demand": row["margin"], "verdict": row["verdict"]}
        | {"asks": asks(row)}
        for row in rows
        if row["demand"] in ("at_least", "at_most") and row["candidate"] is not None
    ]
    return _filled(_floors_spec, values)


@cache
def _floors_spec() -> Spec:
    import altair as alt

    base = _base(alt).encode(y=alt.Y("gate:N", sort=None, title=None, axis=alt.Axis(labelLimit=320)))
    bar = base.mark_bar(height=10).encode(
        x=alt.X("value:Q", title="value of the candidate; the tick is the floor or ceiling"),
        color=_verdict_scales(alt)[0],
        tooltip=_tooltips(alt, "gate asks verdict", "value"),
    )
    tick = base.mark_tick(thickness=3, size=20, color=WORSE).encode(x="demand:Q")
    return _finished(alt.layer(bar, tick).properties(width=460, height=alt.Step(24)))


def plane_chart(site: Site) -> Spec | None:
    """Return learning against forgetting: one point per checkpoint, the Pareto front joined; None without both."""
    values: list[dict[str, Any]] = []
    for card in site.checkpoints:
        learned, kept = site.mean_change(card.id, general=False), site.mean_change(card.id, general=True)
        if learned is not None and kept is not None:
            promoted = "promoted" if card.promoted else "not promoted"
            values.append({"run": card.name, "id": card.id, "promoted": promoted} | _plane(learned, kept))
    for value in values:
        value["front"] = not any(_dominates(other, value) for other in values)
    return _filled(_plane_spec, values)


@cache
def _plane_spec() -> Spec:
    import altair as alt

    base = _base(alt).encode(
        x=alt.X("learned:Q", title="learning: mean change of target suites, points"),
        y=alt.Y("kept:Q", title="keeping: mean change of general suites, points"),
    )
    line = base.transform_filter("datum.front").mark_line(color=BETTER, strokeDash=[6, 3]).encode(order="learned:Q")
    kinds = ["promoted", "not promoted"]
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(
        shape=alt.Shape("promoted:N", scale=alt.Scale(domain=kinds, range=["diamond", "circle"]), title=None),
        color=alt.Color("promoted:N", scale=alt.Scale(domain=kinds, range=[ACCENT, BETTER]), title=None),
        tooltip=_tooltips(alt, "run id promoted", "learned kept"),
    )
    return _finished(alt.layer(_line_at_zero(alt, "y"), line, dots).properties(width=460, height=300))


def trend_chart(site: Site) -> Spec | None:
    """Return each general benchmark's change against base over checkpoints; change points are marked; None if empty."""
    shown = [place for place in site.columns if not site.general or place[0] in site.general]
    return _filled(_trend_spec, [v for n, card in enumerate(site.checkpoints, 1) for v in _trend(site, card, n, shown)])


def _trend(site: Site, card: RunCard, number: int, places: Sequence[Place]) -> Iterator[dict[str, Any]]:
    for place in places:
        cell, step = site.cells.get((card.id, place)), site.steps.get((card.id, place))
        if cell is not None:
            changed = "none" if step is None or step.word == "open" else step.word
            figures = {"number": number, "change": 100 * cell.better, "changed": changed}
            yield figures | {"run": card.name, "benchmark": place_name(place), "promoted": bool(card.promoted)}


@cache
def _trend_spec() -> Spec:
    import altair as alt

    tooltip = _tooltips(alt, "run benchmark changed", "change")
    x = alt.X("number:O", title="checkpoint, oldest first", axis=alt.Axis(labelAngle=0))
    base = _base(alt).encode(x=x, y=alt.Y("change:Q", title="change against base, points (better is up)"))
    lines = base.mark_line(point=alt.OverlayMarkDef(size=20)).encode(
        color=alt.Color("benchmark:N", scale=alt.Scale(scheme="tableau20"), title=None),
        detail="benchmark:N",
        tooltip=tooltip,
    )
    kinds = ["better", "worse"]
    colour = alt.Scale(domain=kinds, range=[BETTER, WORSE])
    marks = base.transform_filter("datum.changed != 'none'").mark_point(filled=True, size=120, opacity=1)
    marks = marks.encode(
        shape=alt.Shape(
            "changed:N", scale=alt.Scale(domain=kinds, range=["triangle-up", "triangle-down"]), legend=None
        ),
        color=alt.Color("changed:N", scale=colour, title="proven change"),
        tooltip=tooltip,
    )
    promoted = _base(alt).transform_filter("datum.promoted").mark_rule(color=ACCENT, strokeDash=[2, 2]).encode(x=x)
    chart = alt.layer(promoted, lines, marks).resolve_scale(color="independent")
    return _finished(chart.properties(width=620, height=300))


def curve_chart(points_: Sequence[Mapping[str, Any]], field: str, title: str) -> Spec | None:
    """Return one quantity over training steps; None where no step has it.

    Args:
        points_: Rows with `step` and `field`.
        field: Name of the quantity.
        title: What the axis says.
    """
    values = [{"step": p["step"], "value": p[field]} for p in points_ if p.get(field) is not None]
    spec = _filled(_curve_spec, values)
    if spec is not None:
        spec["encoding"]["y"]["title"] = title
    return spec


@cache
def _curve_spec() -> Spec:
    import altair as alt

    chart = (
        _base(alt)
        .mark_line(color=BETTER)
        .encode(
            x=alt.X("step:Q", title="step"),
            y=alt.Y("value:Q", scale=alt.Scale(zero=False)),
            tooltip=_tooltips(alt, "", "step value"),
        )
    )
    return _finished(chart.properties(width=560, height=180))


def suites_chart(looks: Sequence[Mapping[str, Any]]) -> Spec | None:
    """Return the change of each watched suite over training steps, with its interval and the budget line.

    Args:
        looks: Rows of step, name, difference, low, high and budget (a drop, or None), as fractions.
    """
    values = [
        {name: look.get(name) for name in ("step", "name")}
        | {name: _hundredfold(look.get(name)) for name in ("difference", "low", "high")}
        | {"budget": None if look.get("budget") is None else -100 * look["budget"]}
        for look in looks
        if look.get("difference") is not None
    ]
    return _filled(_suites_spec, values)


@cache
def _suites_spec() -> Spec:
    import altair as alt

    base = _base(alt).encode(x=alt.X("step:Q", title="step"), color=alt.Color("name:N", title=None))
    band = base.mark_area(opacity=0.15).encode(y="low:Q", y2="high:Q")
    line = base.mark_line(point=True).encode(
        y=alt.Y("difference:Q", title="change against base, points"),
        tooltip=_tooltips(alt, "name", "step difference low high budget"),
    )
    budget = base.mark_line(strokeDash=[6, 3]).encode(y="budget:Q")
    return _finished(alt.layer(band, line, budget).properties(width=560, height=240))


def svg(spec: Spec) -> str:
    """Return a chart as SVG."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec))


def png(spec: Spec) -> bytes:
    """Return a chart as PNG at twice the size."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(spec, scale=2))


def place_name(place: tuple[str, str, str]) -> str:
    """Return what a column measures: task (or suite) and check."""
    suite, task, check = place
    return f"{task or suite} {check}"


def _gate(row: Mapping[str, Any]) -> dict[str, Any]:
    sign = 1 if row["higher_is_better"] else -1
    low, high = (row["low"], row["high"]) if sign > 0 else (row["high"], row["low"])
    demand = row["margin"] if row["demand"] == "improves" else -row["margin"]
    return {
        "gate": f"{name_of(row)} vs {row['against']}",
        "change": 100 * sign * row["difference"],
        "low": None if low is None else 100 * sign * low,
        "high": None if high is None else 100 * sign * high,
        "demand": 100 * demand,
        "asks": f"asks: {asks(row)}",
        "verdict": row["verdict"],
        "measured": f"{points(row['difference'])} points, n = {row['n']}",
    }


def _plane(learned: float, kept: float) -> dict[str, float]:
    return {"learned": round(100 * learned, 2), "kept": round(100 * kept, 2)}


def _dominates(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    as_good = one["learned"] >= other["learned"] and one["kept"] >= other["kept"]
    return bool(as_good and (one["learned"], one["kept"]) != (other["learned"], other["kept"]))


def _base(alt: Any) -> Any:
    return alt.Chart(alt.NamedData(name=DATA))


def _filled(spec: Callable[[], Spec], values: Sequence[Mapping[str, Any]]) -> Spec | None:
    """Return a specification with its data, None without any: the specification itself is made once."""
    return deepcopy(spec()) | {"datasets": {DATA: list(values)}} if values else None


def _line_at_zero(alt: Any, axis: str) -> Any:
    zero = alt.Chart(alt.Data(values=[{"at": 0}])).mark_rule(strokeDash=[4, 4], color=OPEN)
    return zero.encode(**{axis: "at:Q"})


def _verdict_scales(alt: Any) -> tuple[Any, Any]:
    colours, shapes = zip(*VERDICTS.values(), strict=True)
    colour = alt.Color("verdict:N", scale=alt.Scale(domain=list(VERDICTS), range=list(colours)), legend=None)
    return colour, alt.Shape("verdict:N", scale=alt.Scale(domain=list(VERDICTS), range=list(shapes)), legend=None)


def _tooltips(alt: Any, words: str, numbers: str) -> list[Any]:
    return [alt.Tooltip(f"{name}:N") for name in words.split()] + [
        alt.Tooltip(f"{name}:Q", format=".3~f") for name in numbers.split()
    ]


def _hundredfold(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _finished(chart: Any) -> Spec:
    """Return the specification; marks are hidden from screen readers, which get the table beside each chart."""
    spec: Spec = chart.configure(aria=False, font="system-ui, sans-serif", padding=6).to_dict()
    return spec
