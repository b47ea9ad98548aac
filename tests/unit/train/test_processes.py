"""Two processes, as `accelerate launch` starts them: the result of one, written once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sfteval.pipeline.training import train_from, trained_row
from sfteval.train.processes import in_the_first, world

ROWS = [[("user", f"question {i}"), ("assistant", f"answer {i * 7}")] for i in range(16)]


def launch(*arguments, cwd):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False, env=environment, timeout=300
    )


def test_two_processes_give_the_result_of_one_and_write_once(tiny_base, tmp_path, write_rows):
    write_rows(ROWS)
    text = (
        f"model: {tiny_base}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 128}}\nmethod: {{name: full}}\n"
        "optimizer: {learning_rate: 1e-3, epochs: 2, batch_tokens: 300, packing: false}\ncheckpoints: {steps: 3}\n"
    )
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(text + f"output: {name}\n")
    one = trained_row(train_from(tmp_path / "one.yaml", progress=False))
    pair = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    pair += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    two = launch(*pair, "-m", "sfteval", "train", "two.yaml", "--json", cwd=tmp_path)
    assert two.returncode == 0, two.stderr
    (second,) = [json.loads(line) for line in two.stdout.splitlines() if line.startswith("{")]
    assert [path.name for path in (tmp_path / "two").iterdir()] == [second["checkpoint"].split("/")[-2]]
    curves = [json.loads(Path(run["manifest"]).read_text())["curve"] for run in (one, second)]
    assert len(curves[0]) == len(curves[1]) == second["steps"] > 4
    for ours, theirs in zip(*curves, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
        assert (ours["labels"], ours["tokens"]) == (theirs["labels"], theirs["tokens"])
    weights = [load_file(f"{run['checkpoint']}/model.safetensors") for run in (one, second)]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=0, atol=1e-5)


def test_one_process_is_alone():
    assert world() == (0, 1)
    assert in_the_first(lambda: 7) == 7
