"""The pages of a site: what each is given, and its charts.

Comes in: a `Site`. Goes out, through the writer: HTML by jinja2 with autoescape, chart specifications as data parts.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from sfteval.report import charts
from sfteval.report.rows import points, score
from sfteval.report.site.headline import headline, short
from sfteval.report.terminal import asks, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sfteval.report.charts import Spec
    from sfteval.report.site.model import RunCard, Site
    from sfteval.report.site.writer import SiteWriter

ROLES = ("base", "previous", "candidate")
LOSS, RATE, NORM = ("loss", "loss per trained token"), ("rate", "learning rate"), ("grad_norm", "gradient norm")


def put_pages(site: Site, writer: SiteWriter) -> None:
    """Write all pages of a site."""
    judged = [card for card in site.runs if card.id in site.releases]
    trainings = {run: f"training-{n}.html" for n, made in enumerate(site.trainings) for run in made["runs"]}
    for card in judged:
        _release(site, card, writer, f"release-{card.id}", trainings)
    if judged:
        _release(site, judged[-1], writer, "index", trainings)
    else:
        _write(writer, "index.html", "runs.html", site=site)
    _forgetting(site, writer)
    for number, made in enumerate(site.trainings):
        _training(site, made, writer, f"training-{number}")
    _write(writer, "samples.html", "samples.html", site=site)
    _write(writer, "compare.html", "compare.html", site=site)
    writer.put_data("runs", [_run_data(site, card) for card in site.runs])
    writer.put_data("metrics", [list(row.values()) for row in site.means])


def _release(site: Site, card: RunCard, writer: SiteWriter, name: str, trainings: Mapping[str, str]) -> None:
    release = site.releases[card.id]
    rows, status = release["gates"], release["exit_code"]
    pictures = {"gates": charts.gates_chart(rows), "floors": charts.floors_chart(rows)}
    _put_charts(writer, name, pictures, exported=name == "index")
    if name == "index":
        writer.put_text("export/gates.json", json.dumps({"run": card.id, "exit_code": status, "gates": rows}, indent=1))
    _write(
        writer,
        f"{name}.html",
        "release.html",
        site=site,
        card=card,
        rows=rows,
        status=status,
        headline=headline(rows, status),
        metrics=_by_role(site, card, rows),
        pictures=_shown(pictures),
        page=name,
        training=trainings.get(card.id),
        others=[other for other in reversed(site.runs) if other.id in site.releases],
    )


def _forgetting(site: Site, writer: SiteWriter) -> None:
    pictures = {"plane": charts.plane_chart(site), "trend": charts.trend_chart(site)}
    _put_charts(writer, "forgetting", pictures, exported=True)
    budgets = [
        (card, row)
        for card in reversed(site.checkpoints)
        for row in site.releases.get(card.id, {}).get("gates", [])
        if row["family"] and row["difference"] is not None
    ]
    _write(writer, "forgetting.html", "forgetting.html", site=site, pictures=_shown(pictures), budgets=budgets)


def _training(site: Site, made: Mapping[str, Any], writer: SiteWriter, name: str) -> None:
    data = made["data"]
    curve = [point | {"step": point.get("step", number)} for number, point in enumerate(data.get("curve", []), start=1)]
    pictures = {field: charts.curve_chart(curve, field, title) for field, title in (LOSS, RATE, NORM)}
    pictures["suites"] = charts.suites_chart(made["looks"])
    _put_charts(writer, name, pictures)
    cards = [card for card in site.runs if card.id in made["runs"]]
    _write(
        writer, f"{name}.html", "training.html", site=site, made=made, data=data, pictures=_shown(pictures), cards=cards
    )


def _put_charts(writer: SiteWriter, page: str, pictures: Mapping[str, Spec | None], *, exported: bool = False) -> None:
    drawn = {name: spec for name, spec in pictures.items() if spec is not None}
    writer.put_data(f"charts/{page}", drawn)
    if exported:
        for name, spec in drawn.items():
            writer.put_pictures(name, spec)


def _shown(pictures: Mapping[str, Spec | None]) -> list[str]:
    return [name for name, spec in pictures.items() if spec is not None]


def _by_role(site: Site, card: RunCard, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per metric with the means of base, previous and candidate, those that were compared first."""
    runs = {role: rows[0]["runs"].get(role) for role in ROLES} | {"candidate": card.id}
    means = {(m["run"], m["suite"], m["task"], m["check"]): m["mean"] for m in site.means}
    found: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for row in rows:
        if row["family"]:
            continue
        place = (row["suite"], row["task"], row["check"], row["slice"])
        cells = found.setdefault(place, dict(zip(("suite", "task", "check", "slice"), place, strict=True)))
        for role, value in (("candidate", row["candidate"]), (row["against"], row["reference"])):
            if role in ROLES and value is not None:
                cells[role] = value
    for place, cells in found.items():
        if not place[3]:
            means_by_role = {role: means.get((str(run), *place[:3])) for role, run in runs.items()}
            cells.update({r: v for r, v in means_by_role.items() if v is not None and r not in cells})
    return list(found.values())


def _run_data(site: Site, card: RunCard) -> dict[str, Any]:
    skills = card.manifest["extra"].get("skills", {})
    release = site.releases.get(card.id)
    return {
        "id": card.id,
        "name": card.name,
        "model": card.model,
        "finished": card.manifest["finished"],
        "base": card.base,
        "previous": card.previous,
        "promoted": card.promoted is not None,
        "verdict": short(release["exit_code"]) if release else "",
        "suites": {suite: skills.get(suite, "") for suite in card.suites},
        "lower_is_better": [k for k, info in card.manifest["metrics"].items() if not info["higher_is_better"]],
    }


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sfteval.report.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(points=points, score=score, short=short)
    environment.globals.update(name_of=name_of, asks=asks, place_name=charts.place_name, headline=headline)
    return environment


def _write(writer: SiteWriter, name: str, template: str, **values: Any) -> None:
    writer.put_text(name, _environment().get_template(f"{template}.jinja").render(**values))
