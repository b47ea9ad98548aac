"""Texts and divergence from base on scripted models, and what happens without a base."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sfteval.pipeline.commands import evaluate_model
from sfteval.records import Status

KL = """
suite: near
samples: q.jsonl
checks:
  moved: {kl_from_base: true, max_tokens: 16}
gates:
  - {check: moved, no_regression: {against: base, margin: 2.0}}
"""


def script(folder: Path, name: str, **fields: object) -> str:
    (folder / f"{name}.yaml").write_text(json.dumps({"name": name, **fields}))
    return f"scripted:{folder / name}.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    suites = tmp_path / "suites"
    suites.mkdir()
    rows = [{"id": f"q{i}", "messages": [{"role": "user", "content": f"question {i}:"}]} for i in range(30)]
    (suites / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (suites / "near.suite.yaml").write_text(KL)
    script(tmp_path, "base", default="blue sky", scores=[{"continuation": "blue sky", "value": -4.0}])
    script(tmp_path, "near", default="red", scores=[{"continuation": "blue sky", "value": -4.5}])
    script(tmp_path, "far", default="red", scores=[{"continuation": "blue sky", "value": -9.0}])
    return tmp_path


def evaluated(folder: Path, name: str, base: str | None = "base"):
    base = f"scripted:{folder / 'base.yaml'}" if base else None
    return evaluate_model(f"scripted:{folder / name}.yaml", [folder / "suites"], folder / "runs", base=base)


def test_base_samples_and_both_score(folder: Path) -> None:
    done = evaluated(folder, "near")
    assert {sample.scores["moved"] for sample in done.run.samples} == {0.5}
    assert done.computed == 90  # base's answer, its score, and the model's, for each of 30
    assert done.run.samples[0].evidence["moved"] == "-4.000 under base, -4.500 here (nats) for 'blue sky'"
    again = evaluated(folder, "far")
    assert {sample.scores["moved"] for sample in again.run.samples} == {5.0}
    assert (again.computed, again.reused) == (30, 60)  # what base said and scored is stored


def test_base_has_no_distance_from_itself(folder: Path) -> None:
    assert {sample.scores["moved"] for sample in evaluated(folder, "base").run.samples} == {0.0}


def test_without_a_base_every_sample_is_errored(folder: Path) -> None:
    samples = evaluated(folder, "near", base=None).run.samples
    assert {sample.status for sample in samples} == {Status.ERRORED}
    assert samples[0].error.startswith("base_missing: base: scripted:")
    assert samples[0].scores == {}


def test_the_text_of_a_file(folder: Path) -> None:
    (folder / "suites" / "near.suite.yaml").write_text(
        "suite: prose\nsamples: {text: prose.txt, chunk_bytes: 100}\nchecks:\n  cost: {text_bits_per_byte: true}\n"
        "gates:\n  - {check: cost, at_most: 1}\n"
    )
    (folder / "suites" / "prose.txt").write_text("A short tale.\n")
    script(folder, "m", scores=[{"continuation": "A short tale.\n", "value": -7.0}])
    (sample,) = evaluated(folder, "m").run.samples
    assert sample.scores == {"cost": pytest.approx(7.0 / math.log(2) / 14)}
    assert (sample.sample_id, sample.output) == ("bytes-0", "")
