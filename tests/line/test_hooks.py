"""`sfteval train` with a `hooks:` block: what goes too far is stopped, and what is kept is inside its budgets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sfteval.pipeline.planning import load_files
from sfteval.pipeline.release import Release
from sfteval.pipeline.settings import Settings
from sfteval.pipeline.training import train_from
from sfteval.records import VerdictKind
from sfteval.store import read_history

ROOT = Path(__file__).parents[2]
FAMILY = "families.yaml::forgetting-no_regression-against-base"


@pytest.fixture
def demo(tmp_path):
    shutil.copytree(ROOT / "fixtures/demo", tmp_path / "demo")
    config = tmp_path / "demo/overtrained.yaml"
    config.write_text(config.read_text().replace("../tiny_base", str(ROOT / "fixtures/tiny_base")))
    return config


def gate(look, name):
    return next(each for each in look["gates"] if each["gate"].endswith(name))


def test_an_overtrained_model_is_stopped_and_the_kept_checkpoint_is_inside_the_budget(demo, monkeypatch):
    monkeypatch.chdir(demo.parent)
    trained = train_from(demo, progress=False)
    events = read_history(demo.parent / "runs/trainings/overtrained.jsonl")
    begin, *looks, end = events
    assert begin["schedule"] == [*range(8, 289, 8), 289]
    assert [look["step"] for look in looks] == begin["schedule"][: len(looks)]

    # Stopped at the first look that proves it, far from the end; the drop grows with training, so it was right.
    assert [bool(broken(look)) for look in looks] == [*[False] * (len(looks) - 1), True]
    assert trained.steps == looks[-1]["step"] == end["steps"] < 100
    family = gate(looks[-1], FAMILY)
    assert (family["state"], family["threshold"]) == ("broken", 0.05)
    assert family["high"] < -0.05
    assert trained.stopped == looks[-1]["why"] == end["why"]
    assert trained.stopped.startswith(f"step {trained.steps}: suites/families.yaml::forgetting")

    # Kept: the best target among the looks inside every budget; judged on samples that chose nothing.
    inside = [look for look in looks if look["inside"]]
    assert trained.kept_step == end["kept"] == max(inside, key=lambda look: (look["target"], -look["step"]))["step"]
    assert trained.warnings[1:] == ()
    held_out = {row["gate"].rpartition("/")[2]: row["verdict"] for row in end["held_out"]}
    assert held_out[FAMILY] == "PASS"
    manifest = json.loads(trained.manifest.read_text())
    assert manifest["hooks"]["kept"] == trained.kept_step
    assert len(manifest["curve"]) == trained.steps
    assert sorted(path.name for path in trained.manifest.parent.iterdir()) == ["checkpoint", "training.json"]

    # The saved checkpoint, loaded anew by the release gate, on all samples.
    files = load_files([Path("suites")], Path.cwd())
    gates = [one for file in files for one in file.gates if one.against == "base"]
    settings = Settings(candidate=str(trained.checkpoint), runs_dir=Path("runs"), previous="none")
    verdicts = Release(files, gates, settings).verdicts()
    assert verdicts[f"suites/{FAMILY}"].kind is VerdictKind.PASS
    assert verdicts["suites/format.suite.yaml::valid_json-improves-against-base"].kind is VerdictKind.PASS


def broken(look):
    return [gate for gate in look["gates"] if gate["state"] == "broken"]
