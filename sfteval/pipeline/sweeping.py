"""A grid of trainings, each evaluated: learning against forgetting.

Comes in: a config with a `sweep` block. Goes out: per point the mean gain on the target suites and the mean loss on the
forgetting suites, both against the base; `sweep.json` and a chart. Every finished point is kept under the hash of all
that decides it, so that the same command again goes on where it was ended.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.backends import resolve
from sfteval.backends.cache import encodings_dir
from sfteval.errors import DiskError, Fault, InputError, reason_of
from sfteval.keys import content_key, file_key
from sfteval.pipeline.audit import protected_by
from sfteval.pipeline.commands import evaluate_model, load_given, metric_rows
from sfteval.pipeline.training import source_of
from sfteval.records import Suite
from sfteval.report.sweep_chart import draw
from sfteval.train import load_config, train
from sfteval.train.sweep_config import config_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sfteval.records import SuiteFile
    from sfteval.train import TrainingConfig
    from sfteval.train.audit import Protected

Means = dict[tuple[str, str, str], float]
"""Gated metrics by (suite, task, check), counted so that more is better."""
Signs = dict[tuple[str, str], int]


def sweep(path: Path, *, output: Path | None = None, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Train and evaluate every point of the grid that is not finished yet.

    Args:
        path: The config.
        output: Folder instead of the config's `output`.
        say: Is told of each point.

    Raises:
        InputError: No `sweep` block, or suites without gates.
        TrainingError: A training was refused.
        DiskError: A result cannot be written.
    """
    config = load_config(path)
    if config.sweep is None:
        raise InputError(Fault(str(path), "no 'sweep'", "sweep: {rank: […], target: […], forgetting: […]}"))
    home = (output or Path(config.output)) / f"{config.name}-sweep"
    sides = {side: [Path(one) for one in getattr(config.sweep, side)] for side in ("target", "forgetting")}
    files = {side: load_given(suites) for side, suites in sides.items()}
    signs = {side: _signs(found, path) for side, found in files.items()}
    suites = [*sides["target"], *sides["forgetting"]]
    protected = protected_by(config)
    fixed = [[file.fingerprint for found in files.values() for file in found], _data_keys(config)]
    base = _means(config.model, suites, signs, home)
    rows = []
    points = config.sweep.points()
    for number, point in enumerate(points, 1):
        at = config_at(config, point)
        place = home / "points" / f"{content_key(at.model_dump(mode='json', exclude={'output'}), fixed)}.json"
        say(f"{number}/{len(points)} {_named(point)}{' (finished before)' if place.is_file() else ''}")
        rows.append(_read(place) if place.is_file() else _run(at, point, suites, (protected, base, signs), home, place))
    result = {"config": str(path), "model": config.model, "points": rows}
    _write(home / "sweep.json", result)
    return result | {"folder": str(home), "charts": [str(chart) for chart in draw(rows, home)]}


def _run(
    config: TrainingConfig,
    point: Mapping[str, float],
    suites: Sequence[Path],
    judged: tuple[Protected, Means, Mapping[str, Signs]],
    home: Path,
    place: Path,
) -> dict[str, Any]:
    protected, base, signs = judged
    config = config.model_copy(update={"output": str(home / "checkpoints")})
    trained = train(config, source_of(config, resolve(config.model)), protected=protected, cache=encodings_dir())
    means = _means(str(trained.checkpoint), suites, signs, home)
    row = dict(point) | {
        "target_gain": _change(base, means, signs["target"]),
        "forgetting": -_change(base, means, signs["forgetting"]),
        "loss": trained.loss,
        "steps": trained.steps,
        "seconds": trained.seconds,
        "warnings": list(trained.warnings),
        "checkpoint": str(trained.checkpoint),
    }
    _write(place, row)
    return row


def _means(model: str, suites: Sequence[Path], signs: Mapping[str, Signs], home: Path) -> Means:
    run = evaluate_model(model, suites, home / "runs").run
    wanted = {place: sign for side in signs.values() for place, sign in side.items()}
    means = {}
    for row in metric_rows(run):
        suite, task, check = row["suite"], row["task"], row["check"]
        if row["mean"] is not None and (suite, check) in wanted:
            own = 1 if run.manifest.metrics[f"{suite}/{task}/{check}"].higher_is_better else -1
            means[suite, task, check] = row["mean"] * (wanted[suite, check] or own)
    return means


def _change(base: Means, means: Means, signs: Signs) -> float:
    """Return the mean change of one side's metrics."""
    changes = []
    for (suite, task, check), before in base.items():
        if (suite, check) in signs:
            after = means.get((suite, task, check))
            if after is None:
                raise InputError(Fault(suite, f"no score of {check} for the candidate", "scores to compare"))
            changes.append(after - before)
    if not changes:
        raise InputError(Fault("sweep", "suites without a gated metric that the base has", "at least one"))
    return math.fsum(changes) / len(changes)


def _signs(files: Sequence[SuiteFile], path: Path) -> Signs:
    """Return the gated metrics of suites: 1 where a gate wants more, -1 less, 0 what the metric itself calls better."""
    gates = [gate for file in files if isinstance(file.suite, Suite) for gate in file.gates]
    if not gates:
        raise InputError(Fault(str(path), "sweep suites without gates", "suites whose gates say what counts"))
    return {(gate.suite, gate.check): {"at_most": -1, "at_least": 1}.get(gate.demand, 0) for gate in gates}


def _data_keys(config: TrainingConfig) -> list[str]:
    return [file_key(Path(source.path)) if source.path else "" for source in config.data.train]


def _named(point: Mapping[str, float]) -> str:
    return ", ".join(f"{axis} {value:g}" for axis, value in point.items())


def _read(place: Path) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return row


def _write(place: Path, entries: Mapping[str, Any]) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_suffix(".partial")
        partial.write_text(json.dumps(entries, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(place)
    except OSError as error:
        raise DiskError(place, reason_of(error), "room for the sweep's results") from None
