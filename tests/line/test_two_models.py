"""A release whose candidate is an adapter on its base: both speak in one batch, and say what each says alone."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from sfteval.engine import voices
from sfteval.pipeline.commands import evaluate_model, load_given
from sfteval.pipeline.release import Release
from sfteval.pipeline.settings import Settings

TINY = Path(__file__).parents[2] / "fixtures" / "tiny_base"
QUESTIONS = 6
SUITE = """
suite: talk
samples: q.jsonl
generate: {max_tokens: 8}
checks:
  brief: {max_words: 5}
gates:
  - {check: brief, no_regression: {against: base, margin: 0.5}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft 0.21 asks transformers 5.23 for a deprecated attribute
        config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False)
        peft.get_peft_model(AutoModelForCausalLM.from_pretrained(TINY), config).save_pretrained(tmp_path / "lora")
    path = tmp_path / "lora" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(TINY)}))
    (tmp_path / "suites").mkdir()
    rows = [{"id": f"q{i}", "messages": [{"role": "user", "content": f"Say {i}."}]} for i in range(QUESTIONS)]
    (tmp_path / "suites" / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "suites" / "talk.suite.yaml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_candidate_and_base_speak_together(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    true = voices.Voices._named

    def named(self, layer, args, given):  # type: ignore[no-untyped-def]
        steps.append(len(set(self.names)))
        return true(self, layer, args, given)

    monkeypatch.setattr(voices.Voices, "_named", named)
    files = load_given([project / "suites"])
    gates = [gate for file in files for gate in file.gates]
    release = Release(files, gates, Settings(candidate="lora", runs_dir=Path("runs"), previous="none"))
    verdicts = release.verdicts()
    assert len(verdicts) == 1
    assert 2 in steps
    models = {"candidate": "lora", "base": str(TINY)}
    for role, model in models.items():
        alone = evaluate_model(model, [project / "suites"], project / f"alone-{role}")
        assert release.runs[role].samples == alone.run.samples  # type: ignore[index]
        done = release.evaluated[role]  # type: ignore[index]
        assert (done.computed, done.reused) == (QUESTIONS, 0)
    assert {s.output for s in release.runs["base"].samples} != {s.output for s in release.runs["candidate"].samples}

    # Base is stored now: the next release asks it nothing, and shares no batch.
    steps.clear()
    again = Release(files, gates, Settings(candidate="lora", runs_dir=Path("runs"), previous="none"))
    assert {node: one.kind for node, one in again.verdicts().items()} == {n: v.kind for n, v in verdicts.items()}
    assert steps == []
    assert [(one.computed, one.reused) for one in again.evaluated.values()] == [(0, QUESTIONS)] * 2
