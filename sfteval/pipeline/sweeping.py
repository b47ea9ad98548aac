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
from sfteval.errors import DiskError, Fault, InputError
from sfteval.keys import content_key, file_key
from sfteval.pipeline.audit import encodings_folder, protected_by
from sfteval.pipeline.commands import evaluate_model, load_given, metric_rows
from sfteval.pipeline.training import _source
from sfteval.records import Suite
from sfteval.report.sweep_chart import draw
from sfteval.train import load_config, train
from sfteval.train.sweep_config import config_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sfteval.records import SuiteFile
    from sfteval.train import TrainingConfig

Means = dict[tuple[str, str, str], float]


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
    sides = {side: [path.parent / one for one in getattr(config.sweep, side)] for side in ("target", "forgetting")}
    files = {side: load_given(suites) for side, suites in sides.items()}
    signs = {side: _signs(found, path) for side, found in files.items()}
    suites = [*sides["target"], *sides["forgetting"]]
    fixed = [[file.fingerprint for found in files.values() for file in found], _data_keys(config)]
    base = _means(config.model, suites, home)
    rows = []
    points = config.sweep.points()
    for number, point in enumerate(points, 1):
        at = config_at(config, point)
        place = home / "points" / f"{content_key(at.model_dump(mode='json', exclude={'output'}), fixed)}.json"
        say(f"{number}/{len(points)} {_named(point)}{' (finished before)' if place.is_file() else ''}")
        rows.append(_read(place) if place.is_file() else _run(at, point, suites, (base, signs), home, place))
    result = {"config": str(path), "model": config.model, "points": rows}
    _write(home / "sweep.json", result)
    return result | {"folder": str(home), "charts": [str(chart) for chart in draw(rows, home)]}


def _run(
    config: TrainingConfig,
    point: Mapping[str, float],
    suites: Sequence[Path],
    judged: tuple[Means, Mapping[str, Mapping[tuple[str, str], int]]],
    home: Path,
    place: Path,
) -> dict[str, Any]:
    reference = resolve(config.model)
    source, protected = _source(config.model, reference), protected_by(config)
    trained = train(config, source, output=home / "checkpoints", protected=protected, cache=encodings_folder())
    base, signs = judged
    means = _means(str(trained.checkpoint), suites, home)
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


def _means(model: str, suites: Sequence[Path], home: Path) -> Means:
    run = evaluate_model(model, suites, home / "runs").run
    rows = metric_rows(run)
    return {(r["suite"], r["task"], r["check"]): r["mean"] for r in rows if r["mean"] is not None}


def _change(base: Means, means: Means, signs: Mapping[tuple[str, str], int]) -> float:
    """Return the mean change of the gated metrics, counted so that more is better."""
    changes = []
    for (suite, task, check), before in base.items():
        if (suite, check) in signs:
            after = means.get((suite, task, check))
            if after is None:
                raise InputError(Fault(suite, f"no score of {check} for the candidate", "scores to compare"))
            changes.append(signs[suite, check] * (after - before))
    if not changes:
        raise InputError(Fault("sweep", "suites without a gated metric that the base has", "at least one"))
    return math.fsum(changes) / len(changes)


def _signs(files: Sequence[SuiteFile], path: Path) -> dict[tuple[str, str], int]:
    """Return the gated metrics of suites: 1 where more is better, -1 where a ceiling says that less is."""
    gates = [gate for file in files if isinstance(file.suite, Suite) for gate in file.gates]
    if not gates:
        raise InputError(Fault(str(path), "sweep suites without gates", "suites whose gates say what counts"))
    return {(gate.suite, gate.check): -1 if gate.demand == "at_most" else 1 for gate in gates}


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
        raise DiskError(place, error.strerror or str(error), "room for the sweep's results") from None
