"""Cases made from runs: when training manifests are read, and what is said of releases that cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sfteval.pipeline.diagnosing import with_causes
from sfteval.records import FinishReason, Run, VerdictKind
from tests.unit.test_compare_and_gate import SAME, WORSE, gate, run, sample, verdict


def spoken(scores: list[float], **changes: str) -> Run:
    """Return a run of answers that ended; `changes` are the model's, `prompt` renders it otherwise."""
    prompt = changes.pop("prompt", "prompt")
    samples = [
        sample(i, score, finish_reason=FinishReason.END_TURN, prompt_key=f"{prompt}{i}")
        for i, score in enumerate(scores)
    ]
    made = run([], samples=samples)
    return replace(made, manifest=replace(made.manifest, model=replace(made.manifest.model, **changes)))


def test_no_manifest_is_read_before_a_gate_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr("sfteval.pipeline.origins.read_manifest", lambda path: read.append(path))
    passes = verdict(gate(), SAME, SAME)
    assert with_causes([passes], {"candidate": SAME, "base": SAME}) == (passes,)
    lets_through = verdict(gate(proof="none"), run([1.0] * 8 + [0.0] * 2), run([1.0] * 8 + [0.0] * 2))
    assert with_causes([lets_through], {"candidate": SAME, "base": SAME}) == (lets_through,)
    assert read == []
    (fails,) = with_causes([verdict(gate(), WORSE, SAME)], {"candidate": WORSE, "base": SAME})
    assert fails.kind is VerdictKind.FAIL
    assert read == ["", ""]


def trained_with(folder: Path, template: str) -> str:
    path = folder / f"{template}.json"
    path.write_text(json.dumps({"data": {"template_sha256": template}}))
    return str(path)


def test_another_template_is_why_a_release_cannot_be_compared(tmp_path: Path) -> None:
    before = spoken([1.0] * 40, template="old")
    strict = gate(against="previous")

    def causes(**changes: str) -> list[str]:
        now = spoken([1.0] * 40, **({"prompt": "other", "template": "new"} | changes))
        refused = verdict(strict, now, before)
        assert refused.kind is VerdictKind.NOT_COMPARABLE
        (found,) = with_causes([refused], {"candidate": now, "previous": before})
        return [cause.says for cause in found.diagnosis]

    assert causes(training=trained_with(tmp_path, "old")) == ["trained with chat template old, evaluated with new"]
    assert causes(training=trained_with(tmp_path, "new")) == []
    assert causes() == []
    assert causes(training=trained_with(tmp_path, "old"), template="old") == []


def test_a_template_that_did_not_fit_before_either_explains_nothing(tmp_path: Path) -> None:
    misfit = {"template": "new", "training": trained_with(tmp_path, "old")}
    now, before = spoken([0.0] * 40 + [1.0] * 40, **misfit), spoken([1.0] * 80, **misfit)
    (found,) = with_causes([verdict(gate(), now, before)], {"candidate": now, "base": before})
    assert [cause.cause for cause in found.diagnosis] == ["content_wrong"]
    fitting = spoken([1.0] * 80, template="new")
    (found,) = with_causes([verdict(gate(), now, fitting)], {"candidate": now, "base": fitting})
    assert [cause.cause for cause in found.diagnosis] == ["template_mismatch"]


def test_a_model_that_is_its_own_base_is_inert_also_against_the_last_release() -> None:
    base, before = spoken([0.0] * 60 + [1.0] * 20), spoken([1.0] * 80)
    (found,) = with_causes(
        [verdict(gate(against="previous"), base, before)], {"candidate": base, "base": base, "previous": before}
    )
    assert [cause.says for cause in found.diagnosis] == [
        "80 of 80 answers are base's own, from the same weights: the training changed nothing"
    ]
