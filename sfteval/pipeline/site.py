"""The site of a run store: what the pages need, gathered from manifests, verdicts, samples and training manifests.

Comes in: the folder of the store. Goes out: a folder of static pages (`report.site`), built part by part so that memory
stays flat however many samples there are.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval import stats
from sfteval.errors import Fault, InputError, StoreError
from sfteval.report.charts import floors_chart, gates_chart, png
from sfteval.report.files import verdicts_text, write_picture, write_summary
from sfteval.report.junit import junit
from sfteval.report.markdown import summary
from sfteval.report.site import Cell, RunCard, Site, SiteWriter
from sfteval.store import RunQueries, RunStore, read_history
from sfteval.train.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sfteval.pipeline.evaluate import Watch
    from sfteval.records import Manifest

Place = tuple[str, str, str]
GENERAL = "forgetting"
PART_ROWS = 500
PART_CHARACTERS = 2_000_000
"""Limits of a data part: a page never loads more than a few megabytes at once."""
ALPHA = 0.05
PREFERRED = ("acc_norm", "acc", "exact_match", "all", "followed")


def build_site(runs_dir: Path, out: Path, watch: Watch | None = None) -> Path:
    """Build the pages of every complete run of a store; return the first page.

    Args:
        runs_dir: Folder of the run store.
        out: Folder to write to; what an earlier build left there is replaced.
        watch: Is told (label, done, total).

    Raises:
        InputError: there is no complete run.
        StoreError, DiskError: runs that cannot be read, a place that cannot be written.
    """
    store = RunStore(runs_dir)
    manifests = store.manifests()
    if not manifests:
        do = "Make one with: pytest suites/ --candidate MODEL, or sfteval eval"
        raise InputError(Fault(str(runs_dir), "no complete run", "at least one", do))
    ids = [manifest.run_id for manifest in manifests]
    releases = {run_id: found for run_id in ids if (found := _release(store, run_id)) is not None}
    with RunQueries(runs_dir, ids) as queries, SiteWriter(out) as writer:
        site = _site(store, manifests, releases, queries)
        for number, card in enumerate(site.runs):
            if watch is not None:
                watch("samples", number, len(site.runs))
            writer.put_samples(card.id, queries.samples(card.id, rows=PART_ROWS, characters=PART_CHARACTERS))
        if watch is not None:
            watch("samples", len(site.runs), len(site.runs))
        index = writer.put_pages(site)
        for form in ("csv", "parquet"):
            queries.write_metrics(writer.export(f"metrics.{form}"), form)
    return index


def release_rows(runs_dir: Path, reference: str | None) -> tuple[str, int, list[dict[str, Any]]]:
    """Return run id, exit code and rows of a judged run.

    Args:
        runs_dir: Folder of the run store.
        reference: Run id, unique prefix, `latest` or `promoted`; None: the newest run that gates have judged.

    Raises:
        StoreError, InputError: no such run, or nobody judged it.
    """
    store = RunStore(runs_dir)
    if reference is None:
        judged = [m.run_id for m in store.manifests() if _release(store, m.run_id) is not None]
        if not judged:
            do = "Judge a model with: pytest suites/ --candidate MODEL"
            raise InputError(Fault(str(runs_dir), "no run that gates have judged", "at least one", do))
        reference = judged[-1]
    run_id = store.resolve(reference)
    return run_id, *store.judgement(run_id)


def _release(store: RunStore, run_id: str) -> dict[str, Any] | None:
    with suppress(StoreError):
        exit_code, gates = store.judgement(run_id)
        return {"exit_code": exit_code, "gates": gates}
    return None


def _site(
    store: RunStore, manifests: Sequence[Manifest], releases: Mapping[str, Mapping[str, Any]], queries: RunQueries
) -> Site:
    promoted = {promotion.run_id: promotion for promotion in store.promotions()}
    bases = {m.run_id: _base_of(m, manifests, releases) for m in manifests}
    before = {m.run_id: _role(releases.get(m.run_id), "previous") for m in manifests}
    means = queries.means()
    general = {suite for m in manifests for suite, skill in m.extra.get("skills", {}).items() if skill == GENERAL}
    columns = _columns(releases, means)
    judged_as_base = set(bases.values())
    checkpoints = [m.run_id for m in manifests if m.run_id not in judged_as_base]
    steps = [(b, a) for a, b in pairwise(checkpoints)]
    against_base = [(run, base) for run, base in bases.items() if base is not None]
    return Site(
        runs=[
            RunCard(
                id=m.run_id,
                manifest=_manifest_data(m),
                base=bases[m.run_id],
                previous=before[m.run_id],
                promoted=asdict(promoted[m.run_id]) if m.run_id in promoted else None,
                checkpoint=m.run_id in checkpoints,
            )
            for m in manifests
        ],
        releases=dict(releases),
        means=means,
        columns=sorted(columns, key=lambda place: (place[0] not in general, place)),
        general=frozenset(general),
        cells=_cells(queries, against_base, columns, manifests),
        steps=_cells(queries, steps, columns, manifests, alpha=ALPHA / max(1, len(steps) * len(columns))),
        trainings=list(trainings_of(manifests, store.root)),
        problems=[str(problem) for problem in store.problems()],
    )


def _manifest_data(manifest: Manifest) -> dict[str, Any]:
    names = ("suites", "counts", "versions", "hardware", "started", "finished", "seconds", "extra")
    found = {name: getattr(manifest, name) for name in names}
    metrics = {key: asdict(info) for key, info in manifest.metrics.items()}
    return found | {"model": asdict(manifest.model), "metrics": metrics}


def _role(release: Mapping[str, Any] | None, role: str) -> str | None:
    """Return the run that stood for a role when a candidate was judged."""
    rows = release["gates"] if release else []
    return next((row["runs"][role] for row in rows if role in row["runs"]), None)


def _base_of(
    manifest: Manifest, manifests: Sequence[Manifest], releases: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """Return the base's run: that of its verdicts, or the newest of the weights that it was made from."""
    known = {m.run_id for m in manifests}
    judged = _role(releases.get(manifest.run_id), "base")
    if judged is not None:
        return judged if judged in known and judged != manifest.run_id else None
    weights = manifest.model.weights if manifest.model.adapter else _parent_weights(manifest)
    found = [m.run_id for m in manifests if m.model.weights == weights and not m.model.adapter]
    return found[-1] if weights and found and found[-1] != manifest.run_id else None


def _parent_weights(manifest: Manifest) -> str:
    training = read_manifest(manifest.model.training)
    identity = (training or {}).get("parent", {}).get("identity") or {}
    return str(identity.get("weights", ""))


def trainings_of(manifests: Sequence[Manifest], runs_dir: Path) -> Iterator[dict[str, Any]]:
    """Yield each training that a run's model came from, once, with the runs that evaluated it."""
    runs: dict[str, list[str]] = {}
    for manifest in manifests:
        if manifest.model.training:
            runs.setdefault(manifest.model.training, []).append(manifest.run_id)
    for path, evaluated in runs.items():
        data = read_manifest(path)
        if data is not None:
            ended = data.get("hooks") or {}
            why = f"kept step {ended.get('kept')}: {ended.get('why')}" if ended else ""
            looks = list(_looks(runs_dir, Path(path), data)) if ended else []
            made = {"path": path, "name": Path(path).parent.name, "runs": evaluated, "data": data}
            yield made | {"decision": why, "looks": looks}


def _looks(runs_dir: Path, path: Path, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what suites said while a training ran: of the history whose end is the manifest's, names being reused."""
    written = (data.get("config", {}).get("hooks") or {}).get("runs_dir")
    roots = [runs_dir, path.parent.parent, *([Path(written)] if written else [])]
    files = [file for root in dict.fromkeys(roots) for file in sorted((root / "trainings").glob("*.jsonl"))]
    for file in files:
        with suppress(StoreError):
            events = read_history(file)
            if events and events[-1] == {"event": "end"} | data["hooks"]:
                yield from (row for event in events if event["event"] == "look" for row in _look_rows(event))
                return


def _look_rows(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for gate in event["gates"]:
        budget = gate["threshold"] if gate["demand"] == "no_regression" else None
        figures = {name: gate[name] for name in ("difference", "low", "high")}
        yield figures | {"step": event["step"], "name": gate["gate"].rsplit("/", 1)[-1], "budget": budget}


def _columns(releases: Mapping[str, Mapping[str, Any]], means: Sequence[Mapping[str, Any]]) -> list[Place]:
    """Return the metrics that the dashboard shows: those that gates hold against base, else one per task."""
    rows = [row for release in releases.values() for row in release["gates"]]
    gated = {
        (row["suite"], row["task"], row["check"])
        for row in rows
        if row["against"] == "base" and not row["family"] and not row["slice"]
    }
    if gated:
        return sorted(gated)
    made: dict[tuple[str, str], list[str]] = {}
    for row in means:
        checks = made.setdefault((row["suite"], row["task"]), [])
        if row["check"] not in checks:
            checks.append(row["check"])
    return sorted(
        (suite, task, next((name for name in PREFERRED if name in checks), checks[0]))
        for (suite, task), checks in made.items()
    )


def _cells(
    queries: RunQueries,
    pairs: Sequence[tuple[str, str]],
    places: Sequence[Place],
    manifests: Sequence[Manifest],
    alpha: float = ALPHA,
) -> dict[tuple[str, Place], Cell]:
    """Return the change of each run against its reference, per place, with bounds at `alpha` each."""
    metrics = {m.run_id: m.metrics for m in manifests}
    cells: dict[tuple[str, Place], Cell] = {}
    for row in queries.paired(pairs, places):
        place = (row["suite"], row["task"], row["check"])
        info = metrics[row["run"]].get("/".join(place))
        higher = info.higher_is_better if info else True
        low, high = _bounds(queries, row, place, (info.lower, info.upper) if info else (None, None), alpha)
        figures = (row["n"], row["before"], row["now"], low, high)
        cells[row["run"], place] = Cell(*figures, higher=higher, gains=row["gains"], losses=row["losses"])
    return cells


def _bounds(
    queries: RunQueries,
    row: Mapping[str, Any],
    place: Place,
    limits: tuple[float | None, float | None],
    alpha: float,
) -> tuple[float | None, float | None]:
    if row["binary"]:
        return stats.score_bounds(row["n"], row["gains"], row["losses"], alpha)
    now, before, clusters = queries.differences(row["run"], row["reference"], place)
    estimate = stats.paired_difference(
        now, before, clusters=clusters, lower=limits[0], upper=limits[1], alpha=min(alpha, 0.5)
    )
    finite = (estimate.low > float("-inf"), estimate.high < float("inf"))
    return (estimate.low if finite[0] else None), (estimate.high if finite[1] else None)


def write_markdown(runs_dir: Path, reference: str | None, out: Path) -> Path:
    """Write a judged run as `report.md` with pictures of its gates, for a pull request; return its path."""
    _, status, rows = release_rows(runs_dir, reference)
    pictures = {"gates": gates_chart(rows), "floors": floors_chart(rows)}
    names = [write_picture(out / f"{name}.png", png(spec)).name for name, spec in pictures.items() if spec is not None]
    shown = "".join(f"![{name.removesuffix('.png')} of this release]({name})\n\n" for name in names)
    return write_summary(out / "report.md", summary(rows, status) + "\n" + shown)


def print_release(runs_dir: Path, reference: str | None, form: str) -> str:
    """Return a judged run as text of `form`, "json" or "junit"."""
    run_id, status, rows = release_rows(runs_dir, reference)
    return verdicts_text(rows, status) if form == "json" else junit(rows, run_id)
