"""`sfteval merge`, `sfteval train --sweep`, `sfteval plan`: from a config to files and exit codes, on the tiny base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import command

TINY = Path(__file__).parents[2] / "fixtures" / "tiny_base"
SUITE = """\
suite: {name}
samples:
  - {{id: a, messages: [{{role: user, content: Say ok.}}]}}
generate: {{max_tokens: 4}}
checks:
  {name}: {{{check}}}
gates:
  - {{check: {name}, at_least: 0.5}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with rows, two suites, a LoRA config and the same as a grid of two rates."""
    rows = [
        {"messages": [{"role": "user", "content": f"Say {i}."}, {"role": "assistant", "content": "ok"}]}
        for i in range(6)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, check in (("said", "contains: [ok]"), ("long", "min_words: 2")):
        (tmp_path / f"{name}.suite.yaml").write_text(SUITE.format(name=name, check=check))
    lora = (
        f"model: {TINY}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 64}}\nmethod: {{name: lora, rank: 2}}\n"
        "optimizer: {batch_tokens: 128, epochs: 1, learning_rate: 1e-3}\noutput: runs\n"
    )
    (tmp_path / "lora.yaml").write_text(lora)
    (tmp_path / "grid.yaml").write_text(
        lora + "sweep: {learning_rate: [1e-4, 1e-2], target: [said.suite.yaml], forgetting: [long.suite.yaml]}\n"
    )
    return tmp_path


def test_merge_folds_an_adapter_into_its_base_and_measures_it(project: Path) -> None:
    trained = command("train", "lora.yaml", "--json", cwd=project)
    assert trained.returncode == 0, trained.stderr
    adapter = json.loads(trained.stdout)["checkpoint"]
    done = command("merge", adapter, "--out", "merged", "--inputs", "rows.jsonl", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["checkpoint"], found["adapter"]) == ("merged", adapter)
    assert 0 <= found["max_abs_logit_difference"] < 1e-3
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {
        path.name for path in (project / "merged").iterdir()
    }
    assert not (project / "merged" / "adapter_config.json").exists()
    again = command("merge", adapter, "--out", "merged", cwd=project)
    assert again.returncode == 2
    assert "merged" in again.stderr
    whole = command("merge", str(TINY), "--out", "other", cwd=project)
    assert whole.returncode == 2
    assert "adapter" in whole.stderr
    assert not (project / "other").exists()


def test_a_sweep_trains_the_grid_draws_it_and_goes_on_where_it_was(project: Path) -> None:
    refused = command("train", "grid.yaml", cwd=project)
    assert refused.returncode == 2
    assert "found a 'sweep' that a single training would ignore; expected no sweep" in refused.stderr
    done = command("train", "grid.yaml", "--sweep", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [point["learning_rate"] for point in found["points"]] == [1e-4, 1e-2]
    assert all(Path(project, point["checkpoint"]).is_dir() for point in found["points"])
    assert {"target_gain", "forgetting", "loss", "steps"} <= set(found["points"][0])
    assert all(Path(project, chart).is_file() for chart in found["charts"])
    assert done.stderr.splitlines()[-2:] == ["1/2 learning_rate 0.0001", "2/2 learning_rate 0.01"]
    again = command("train", "grid.yaml", "--sweep", "--json", cwd=project)
    assert again.stderr.splitlines()[-2:] == [
        "1/2 learning_rate 0.0001 (finished before)",
        "2/2 learning_rate 0.01 (finished before)",
    ]
    assert json.loads(again.stdout)["points"] == found["points"]


def test_the_plan_fits_a_terminal_of_80_characters(project: Path) -> None:
    llama = {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
    }
    (project / "config.json").write_text(json.dumps(llama))
    done = command("plan", "config.json", cwd=project, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines]
    assert ["method", "trainable", "share", "weights", "grads", "optim", "activ", "total"] in rows
    assert ["full", "6,738,415,616", "100%", "27.0", "GB", "27.0", "GB", "53.9", "GB"] in [row[:9] for row in rows]
    assert ["lora", "19,988,480", "0.296%", "27.0", "GB", "80.0", "MB", "160", "MB"] in [row[:9] for row in rows]
