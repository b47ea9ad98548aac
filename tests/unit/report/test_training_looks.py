"""A training's page shows the looks of its own history, and of no other of the same name."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from sfteval.pipeline.site import trainings_of
from sfteval.store import TrainingHistory

GATE = {"gate": "suites/s.suite.yaml::acc-no_regression", "demand": "no_regression", "threshold": 0.05}
FIGURES = {"difference": -0.1, "low": -0.2, "high": None}
ENDED = {"steps": 20, "kept": 10, "why": "a budget is broken"}


def trained(folder: Path, hooks: dict[str, object]) -> SimpleNamespace:
    """Write a training manifest, and return what a run's manifest says of it."""
    (folder / "made").mkdir(parents=True, exist_ok=True)
    (folder / "made" / "training.json").write_text(json.dumps({"format": 1, "hooks": hooks, "config": {}}))
    return SimpleNamespace(model=SimpleNamespace(training=str(folder / "made" / "training.json")), run_id="run-1")


def history(root: Path, end: dict[str, object]) -> None:
    log = TrainingHistory(root, "name")
    log.add("begin", {"format": 1})
    log.add("look", {"step": 10, "gates": [GATE | FIGURES]})
    log.add("end", end)


def test_its_own_looks(tmp_path: Path) -> None:
    history(tmp_path / "runs", ENDED)
    (made,) = trainings_of([trained(tmp_path / "models", ENDED)], tmp_path / "runs")
    assert made["decision"] == "kept step 10: a budget is broken"
    assert made["looks"] == [FIGURES | {"step": 10, "name": "s.suite.yaml::acc-no_regression", "budget": 0.05}]


def test_not_those_of_another_training_of_that_name(tmp_path: Path) -> None:
    history(tmp_path / "runs", ENDED | {"steps": 99})
    (made,) = trainings_of([trained(tmp_path / "models", ENDED)], tmp_path / "runs")
    assert made["looks"] == []


def test_a_manifest_of_another_shape_is_no_training(tmp_path: Path) -> None:
    run = trained(tmp_path, ENDED)
    Path(run.model.training).write_text(json.dumps({"data": []}))
    assert list(trainings_of([run], tmp_path)) == []
