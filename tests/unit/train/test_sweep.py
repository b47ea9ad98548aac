"""A sweep: the grid, what each point gained and forgot, and that it goes on where it was ended."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from sfteval.errors import InputError
from sfteval.pipeline import sweeping
from sfteval.pipeline.training import train_from
from sfteval.records import MetricInfo
from sfteval.train import load_config
from sfteval.train.sweep_config import config_at

SUITE = """\
suite: {name}
samples:
  - {{id: a, messages: [{{role: user, content: n1}}]}}
  - {{id: b, messages: [{{role: user, content: n2}}]}}
generate: {{max_tokens: 8}}
checks:
  said: {{contains: ok}}
  long: {{min_words: 2}}
gates:
  - {{check: {check}, at_least: 0.5}}
"""


@pytest.fixture
def project(tmp_path, tiny_base):
    rows = [
        {"messages": [{"role": "user", "content": f"n{i}"}, {"role": "assistant", "content": "ok"}]} for i in range(8)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    for name, check in (("target", "said"), ("kept", "long")):
        (tmp_path / f"{name}.suite.yaml").write_text(SUITE.format(name=name, check=check))
    config = tmp_path / "grid.yaml"
    config.write_text(
        f"model: {tiny_base}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 64, budget: {{overlap: 1.0}}}}\n"
        "method: {name: lora, rank: 4}\noptimizer: {batch_tokens: 400, epochs: 30, learning_rate: 1e-3}\n"
        "sweep:\n  learning_rate: [1e-4, 5e-2]\n  target: [target.suite.yaml]\n  forgetting: [kept.suite.yaml]\n"
    )
    return config


def test_the_grid_and_its_configs(project):
    text = project.read_text().replace("learning_rate: [1e-4, 5e-2]", "rank: [2, 8]\n  data: [0.5, 1.0]")
    project.write_text(text)
    config = load_config(project)
    points = config.sweep.points()
    assert points == [{"rank": r, "data": d} for r in (2, 8) for d in (0.5, 1.0)]
    at = config_at(config, points[0])
    assert (at.method.rank, at.method.alpha, at.data.train[0].weight, at.sweep) == (2, 16.0, 0.5, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  learning_rate: [1e-4, 5e-2]\n",
            "",
            "found a sweep without a list of values; expected at least one of rank, ",
        ),
        ("{name: lora, rank: 4}", "full", "found rank in a sweep of method full; expected method lora or qlora"),
    ],
)
def test_blocks_that_would_do_nothing_are_refused(project, old, new, message):
    text = project.read_text().replace("learning_rate: [1e-4, 5e-2]", "learning_rate: [1e-4, 5e-2]\n  rank: [2]")
    if not new:
        text = text.replace("  rank: [2]\n", "")
    project.write_text(text.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_config(project)
    assert message in str(caught.value)


def test_suites_that_are_not_there_are_named_at_once(project):
    project.write_text(project.read_text().replace("[kept.suite.yaml]", "[kpet.suite.yaml]"))
    with pytest.raises(InputError, match=r"nothing at 'kpet.suite.yaml' in sweep.forgetting\[0\]"):
        load_config(project)


def test_hooks_that_no_point_would_run_are_refused(project):
    project.write_text(project.read_text() + "hooks: {suites: [kept.suite.yaml]}\n")
    with pytest.raises(InputError, match="found a sweep beside hooks, which no point of it would run"):
        load_config(project)


@pytest.mark.parametrize(
    ("demand", "higher", "counted"),
    [
        ("no_regression: {against: base, margin: 0.1}", True, 2.0),
        ("no_regression: {against: base, margin: 0.1}", False, -2.0),
        ("at_most: 3", True, -2.0),
        ("at_most: 3", False, -2.0),
        ("at_least: 1", True, 2.0),
    ],
)
def test_less_counts_as_more_where_less_is_better(project, monkeypatch, demand, higher, counted):
    """Bits per byte that rise are forgetting, whatever a gate of no regression calls them."""
    suite = project.parent / "kept.suite.yaml"
    suite.write_text(suite.read_text().replace("at_least: 0.5", demand))
    signs = sweeping._signs(sweeping.load_given([suite]), project)
    manifest = SimpleNamespace(metrics={"kept//long": MetricInfo(None, None, higher)})
    monkeypatch.setattr(sweeping, "evaluate_model", lambda *a: SimpleNamespace(run=SimpleNamespace(manifest=manifest)))
    rows = [{"suite": "kept", "task": "", "check": check, "mean": 2.0} for check in ("long", "said")]
    monkeypatch.setattr(sweeping, "metric_rows", lambda run: rows)
    assert sweeping._means("m", [suite], {"forgetting": signs}, project.parent) == {("kept", "", "long"): counted}


def test_a_single_training_does_not_ignore_the_block(project):
    with pytest.raises(InputError, match="a 'sweep' that a single training would ignore"):
        train_from(project)


def test_points_are_judged_and_never_trained_twice(project, monkeypatch):
    text = project.read_text().replace("{name: lora, rank: 4}", "full").replace("epochs: 30", "epochs: 120")
    project.write_text(text.replace("[1e-4, 5e-2]", "[1e-6, 5e-3]"))
    found = sweeping.sweep(project)
    slow, fast = found["points"]
    assert (slow["learning_rate"], fast["learning_rate"]) == (1e-6, 5e-3)
    assert fast["loss"] < slow["loss"]
    assert fast["target_gain"] > slow["target_gain"]
    written = json.loads((project.parent / "runs" / "grid-sweep" / "sweep.json").read_text())
    assert written["points"] == found["points"]
    # Unfinished: one point's result is lost; only that one is trained again.
    points = sorted((project.parent / "runs" / "grid-sweep" / "points").glob("*.json"))
    points[0].unlink()
    calls = []
    real = sweeping.train
    monkeypatch.setattr(sweeping, "train", lambda *a, **k: calls.append(1) or real(*a, **k))
    again = sweeping.sweep(project)
    assert len(calls) == 1
    assert [row["target_gain"] for row in again["points"]] == [slow["target_gain"], fast["target_gain"]]
