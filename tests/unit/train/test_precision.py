"""The number format: measured, chosen with a margin, recorded, and kept by whoever resumes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from sfteval.train import ModelSource, load_config, train
from sfteval.train import precision as module
from sfteval.train.precision import FILE, Precision, choose, rate


@pytest.fixture
def large():
    text = SimpleNamespace(hidden_size=8, intermediate_size=16)
    config = SimpleNamespace(get_text_config=lambda: text)
    weight = torch.empty(module.SMALL, device="meta")
    return SimpleNamespace(config=config, parameters=lambda: iter([weight]))


def rates(monkeypatch, single, half):
    timed = []

    def fake(dtype, shape, device):
        timed.append((dtype, shape))
        return {torch.float32: single, torch.bfloat16: half}[dtype]

    monkeypatch.setattr(module, "rate", fake)
    return timed


@pytest.mark.parametrize(
    ("half", "name", "why"),
    [
        (14e9, "fp32", "bf16 is 1.40 times as fast as fp32 here; 1.5 are needed"),
        (15e9, "bf16", "bf16 is 1.50 times as fast as fp32 here; 1.5 are needed"),
    ],
)
def test_bf16_only_where_it_is_clearly_faster(large, tmp_path, monkeypatch, half, name, why):
    timed = rates(monkeypatch, 10e9, half)
    assert choose("auto", large, tmp_path) == Precision(name, why, 10.0, half / 1e9)
    assert timed == [(torch.float32, (8, 16)), (torch.bfloat16, (8, 16))]


def test_what_was_recorded_is_not_measured_again(large, tmp_path, monkeypatch):
    rates(monkeypatch, 10e9, 40e9)
    first = choose("auto", large, tmp_path)
    timed = rates(monkeypatch, 10e9, 1e9)
    assert choose("auto", large, tmp_path) == first
    assert (first.name, timed) == ("bf16", [])
    (tmp_path / FILE).write_text("{")
    assert choose("auto", large, tmp_path).name == "fp32"


def test_small_models_and_people_who_insist_are_not_timed(large, tmp_path, monkeypatch):
    timed = rates(monkeypatch, 1e9, 40e9)
    assert choose("fp32", large, tmp_path) == Precision("fp32", "as configured")
    (tmp_path / FILE).unlink()
    small = SimpleNamespace(parameters=lambda: iter([torch.zeros(3)]))
    assert choose("auto", small, tmp_path) == Precision("fp32", "a small model: nothing to win")
    assert timed == []


def test_a_rate_is_a_positive_number():
    assert 0 < rate(torch.bfloat16, (8, 16), torch.device("cpu")) < float("inf")


def test_a_training_in_bf16_says_so_and_stays_near_the_other(tiny_base, tmp_path, write_rows):
    write_rows([[("user", f"question {i}"), ("assistant", f"answer {i}")] for i in range(8)])
    losses = {}
    for name in ("fp32", "bf16"):
        config = tmp_path / f"{name}.yaml"
        config.write_text(
            f"model: tiny\ndata: {{train: [{{path: rows.jsonl}}], max_length: 128}}\nmethod: lora\noutput: runs\n"
            f"optimizer: {{batch_tokens: 200, learning_rate: 1e-3, precision: {name}}}\n"
        )
        made = train(load_config(config), ModelSource(tiny_base, reference="tiny"))
        manifest = json.loads(made.manifest.read_text())
        assert manifest["precision"] == {"name": name, "why": "as configured", "fp32_gflops": None, "bf16_gflops": None}
        assert sorted(path.name for path in made.manifest.parent.iterdir()) == ["checkpoint", "training.json"]
        losses[name] = [point["loss"] for point in manifest["curve"]]
    assert losses["fp32"] != losses["bf16"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], abs=0.02)
