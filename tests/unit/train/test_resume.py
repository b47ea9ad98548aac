"""`kill -9` and run again: the same losses, weights and order, bit for bit; partial checkpoints and full disks."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from safetensors.torch import load_file

from sfteval.errors import DiskError, TrainingError
from sfteval.train import ModelSource, load_config, train

ROWS = [[("user", f"question {i}"), ("assistant", f"answer {i * 7}")] for i in range(24)]
# Dies inside the optimiser step after the given one, as hard as a process can.
KILLED = """
    import os, signal, sys
    from pathlib import Path
    from sfteval.train import ModelSource, load_config, train
    from sfteval.train import loop

    honest = loop.accumulate

    def deadly(*given):
        loss = honest(*given)
        deadly.steps += 1
        if deadly.steps == {step}:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss

    deadly.steps = 0
    loop.accumulate = deadly
    train(load_config(Path({config!r})), ModelSource(Path({base!r}), reference="tiny"))
"""


@pytest.fixture
def config(tmp_path, write_rows):
    write_rows(ROWS)

    def make(output, steps=2):
        path = tmp_path / "small.yaml"
        path.write_text(
            "model: unused\ndata: {train: [{path: rows.jsonl}], max_length: 128, holdout: 0.2}\n"
            "method: {name: lora, rank: 4, dropout: 0.3}\n"
            "optimizer: {learning_rate: 1e-2, epochs: 2, batch_tokens: 250}\n"
            f"checkpoints: {{steps: {steps}}}\noutput: {output}\nseed: 3\n"
        )
        return path

    return make


@pytest.fixture
def source(tiny_base):
    return ModelSource(tiny_base, reference="tiny")


def picture(trained):
    manifest = json.loads(trained.manifest.read_text())
    keys = ("curve", "holdout_loss", "steps", "data", "preflight", "precision")
    tensors = load_file(trained.checkpoint / "adapter_model.safetensors")
    return {key: manifest[key] for key in keys}, {name: value.tolist() for name, value in tensors.items()}


def hidden(folder):
    return [path for path in folder.iterdir() if path.name.startswith(".partial-")]


def test_a_killed_training_goes_on_bit_for_bit(config, source, tmp_path):
    whole = train(load_config(config("whole")), source)
    assert whole.steps > 6
    path = config("killed")
    script = textwrap.dedent(KILLED).format(step=6, config=str(path), base=str(source.path))
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert died.returncode == -9, died.stderr
    (left,) = hidden(tmp_path / "killed")
    assert [p.name for p in left.glob("checkpoint-*")] == ["checkpoint-4"]
    resumed = train(load_config(path), source)
    assert picture(resumed) == picture(whole)
    assert hidden(tmp_path / "killed") == []
    assert sorted(p.name for p in resumed.manifest.parent.iterdir()) == ["checkpoint", "training.json"]
    assert resumed.manifest.parent.name == left.name.removeprefix(".partial-")


@pytest.fixture
def stopping(monkeypatch):
    """Make the n-th save fail as a full disk does; returns how to set n."""
    from transformers import Trainer

    honest = Trainer._save_checkpoint
    calls = {"count": 0, "full": 0}

    def save(self, model, trial):
        calls["count"] += 1
        honest(self, model, trial)
        if calls["count"] == calls["full"]:
            path = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            (path / "optimizer.pt").write_bytes(b"half")
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Trainer, "_save_checkpoint", save)
    return lambda n: calls.update(full=calls["count"] + n)


def test_a_full_disk_leaves_the_last_whole_checkpoint(config, source, tmp_path, stopping):
    whole = train(load_config(config("whole")), source)
    stopping(2)
    path = config("full")
    with pytest.raises(
        DiskError, match=r"checkpoint-4: found .*No space left on device; expected room for a checkpoint"
    ):
        train(load_config(path), source)
    (left,) = hidden(tmp_path / "full")
    assert sorted(p.name for p in left.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    stopping(0)
    assert picture(train(load_config(path), source)) == picture(whole)


def test_a_disk_that_is_full_at_the_very_end_costs_no_training(config, source, tmp_path, monkeypatch):
    """The manifest is written last; until it is, the newest checkpoint stays."""
    from sfteval.train import run

    whole = train(load_config(config("whole")), source)
    honest = run.write_manifest

    def full(path, entries):
        raise DiskError(path, "No space left on device", "room for the training manifest")

    monkeypatch.setattr(run, "write_manifest", full)
    path = config("full")
    with pytest.raises(DiskError, match=r"training.json: found No space left on device"):
        train(load_config(path), source)
    (left,) = hidden(tmp_path / "full")
    assert len(list(left.glob("checkpoint-*"))) == 1
    monkeypatch.setattr(run, "write_manifest", honest)
    resumed = train(load_config(path), source)
    assert picture(resumed) == picture(whole)
    assert sorted(p.name for p in resumed.manifest.parent.iterdir()) == ["checkpoint", "training.json"]


def test_a_checkpoint_that_is_not_whole_is_passed_over(tmp_path):
    from sfteval.train.trained import CurvePoint
    from sfteval.train.unfinished import newest_checkpoint, seal

    point = CurvePoint(2, 1.5, 0.1, 10, 5)
    older = tmp_path / "checkpoint-2"
    older.mkdir()
    (older / "weights").write_bytes(b"1234")
    seal(older, 2, [point])
    newer = tmp_path / "checkpoint-4"
    newer.mkdir()
    (newer / "weights").write_bytes(b"1234")
    found = newest_checkpoint(tmp_path)
    assert (found.path, found.step, found.curve) == (older, 2, (point,))
    seal(newer, 4, [point, point])
    assert newest_checkpoint(tmp_path).step == 4
    assert not older.exists()
    (newer / "weights").write_bytes(b"123")
    assert newest_checkpoint(tmp_path) is None


def test_a_refused_training_leaves_nothing(config, source, tmp_path, monkeypatch):
    from sfteval.train import loop

    honest = loop.accumulate
    taken = []

    def broken(*given):
        taken.append(1)
        return honest(*given) * (float("nan") if len(taken) == 4 else 1.0)

    monkeypatch.setattr(loop, "accumulate", broken)
    with pytest.raises(TrainingError, match=r"^step 4: the loss is nan"):
        train(load_config(config("refused")), source)
    assert list((tmp_path / "refused").iterdir()) == []


def test_other_data_is_another_training(config, source, tmp_path, write_rows, monkeypatch):
    """A killed training is never gone on with from other rows, another seed or another rate."""
    from sfteval.train import run

    keys = []
    honest = run.training_folder
    monkeypatch.setattr(run, "training_folder", lambda out, name, key: keys.append(key) or honest(out, name, key))
    train(load_config(config("a")), source)
    train(load_config(config("b", steps=5)), source)
    write_rows([*ROWS, [("user", "more"), ("assistant", "more")]])
    train(load_config(config("c")), source)
    assert keys[0] == keys[1] != keys[2]
