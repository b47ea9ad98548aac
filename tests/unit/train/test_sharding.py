"""FSDP and DeepSpeed: what is refused, the arithmetic of a cut step on two processes, weights that come back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

from sfteval.errors import InputError, TrainingError
from sfteval.train import TrainingConfig
from sfteval.train.sharding import check_sharding, gather, sharding, shares

STEP = """
import sys, torch
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM
from sfteval.train.batches import collate, label_weight
from sfteval.train.masks import Encoded
from sfteval.train.packing import pack
from sfteval.train.sharding import accumulate_sharded, shares
from sfteval.train.trial import accumulate

torch.distributed.init_process_group("gloo")
rank, count = torch.distributed.get_rank(), torch.distributed.get_world_size()
sizes = (5, 9, 7, 6)
rows = [Encoded(tuple(range(20, 20 + n)), (-100, -100, *range(22, 20 + n)), ((2, n),), "prefixes") for n in sizes]
micros = [pack(rows[:2]), collate(rows[2:3], 0), collate(rows[3:], 0)]
weight = sum(label_weight(micro) for micro in micros)
plain, cut = (AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32) for _ in range(2))
whole = accumulate(plain, micros, weight, torch.autograd.backward)
mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (count,))
for layer in cut.model.layers:
    fully_shard(layer, mesh=mesh)
fully_shard(cut, mesh=mesh)
told = []
mine = shares(micros, rank, count)
total = accumulate_sharded(cut, mine, count / weight, torch.autograd.backward, told.append)
torch.distributed.all_reduce(total)
torch.testing.assert_close(total, whole, rtol=0, atol=1e-5)
expected = dict(plain.named_parameters())
for name, value in cut.named_parameters():
    torch.testing.assert_close(value.grad.full_tensor(), expected[name].grad, rtol=0, atol=1e-5)
assert told == [False, True], told
print(f"equal {len(expected)} {[counts for _, counts in mine]}\\n", end="")
torch.distributed.destroy_process_group()
"""
FSDP = """
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config: {fsdp_version: 2, fsdp_state_dict_type: FULL_STATE_DICT, fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP}
machine_rank: 0
num_machines: 1
num_processes: 2
mixed_precision: "no"
main_training_function: main
"""


@pytest.fixture
def configured():
    def make(**fields):
        given = {"model": "m", "data": {"train": [{"path": "/rows.jsonl"}]}, **fields}
        return TrainingConfig.model_validate_json(json.dumps(given))

    return make


@pytest.fixture
def deepspeed(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("sfteval.train.sharding.find_spec", lambda name: object())
    for name in ("ACCELERATE_DEEPSPEED_CONFIG_FILE", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def refused(config):
    with pytest.raises(InputError) as caught:
        check_sharding(config)
    return [str(fault) for fault in caught.value.faults]


def test_nothing_is_cut_unless_the_launcher_says_so(configured, monkeypatch):
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    assert sharding() == ""
    check_sharding(configured(hooks={"suites": ["a"]}))
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert sharding() == "FSDP"


def test_without_a_gpu_all_that_is_wrong_is_named(configured, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert refused(configured(hooks={"suites": ["a"]}, checkpoints={"steps": 3})) == [
        "accelerate launch: found FSDP on a machine without a GPU; expected GPUs. Accelerate cuts nothing on CPUs; "
        "launch without it: each process then holds the whole model",
        "config: hooks: found hooks under FSDP; expected no hooks: suites run on a whole model",
        "config: checkpoints: found checkpoints under FSDP; expected no checkpoints: cut models begin again when "
        "killed",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{", "an unreadable file (Expecting property name"),
        ({"zero_optimization": {"stage": 3}}, "ZeRO stage 3 without stage3_gather_16bit_weights_on_model_save"),
        ({"gradient_accumulation_steps": 4}, "found gradient_accumulation_steps: 4; expected 1, or auto"),
    ],
)
def test_a_deepspeed_file_that_could_not_work_is_refused(configured, deepspeed, tmp_path, given, message):
    path = tmp_path / "zero.json"
    path.write_text(given if isinstance(given, str) else json.dumps(given))
    deepspeed.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(path))
    (fault,) = refused(configured())
    assert fault.startswith(f"{path}: ")
    assert message in fault


def test_a_deepspeed_file_that_is_not_there_and_one_that_is_fine(configured, deepspeed, tmp_path):
    path = tmp_path / "zero.json"
    deepspeed.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(path))
    (fault,) = refused(configured())
    assert "No such file or directory" in fault
    good = {"zero_optimization": {"stage": 3, "stage3_gather_16bit_weights_on_model_save": True}}
    path.write_text(json.dumps(good | {"gradient_accumulation_steps": "auto"}))
    check_sharding(configured())


def test_accelerates_own_deepspeed_settings_are_read(configured, deepspeed):
    deepspeed.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    deepspeed.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "2")
    assert len(refused(configured())) == 2
    deepspeed.setenv("ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL", "true")
    deepspeed.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1")
    check_sharding(configured())


def test_every_process_takes_as_many_micro_batches():
    micros = ["a", "b", "c", "d"]
    found = [shares(micros, rank, 3) for rank in range(3)]
    assert found == [[("a", True), ("d", True)], [("b", True), ("a", False)], [("c", True), ("a", False)]]


def run(*arguments, cwd):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment, timeout=300)


def test_a_cut_step_has_the_loss_and_the_gradients_of_one_process(tiny_base, tmp_path):
    (tmp_path / "step.py").write_text(STEP)
    done = run(
        "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "step.py", str(tiny_base), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    parameters = len(list(AutoModelForCausalLM.from_pretrained(tiny_base).parameters()))
    assert sorted(done.stdout.split("\n")) == [
        "",
        f"equal {parameters} [True, False]",
        f"equal {parameters} [True, True]",
    ]


def test_accelerates_config_file_reaches_the_training(tiny_base, tmp_path, write_rows):
    write_rows([[("user", "a"), ("assistant", "b")]])
    (tmp_path / "fsdp.yaml").write_text(FSDP)
    (tmp_path / "train.yaml").write_text(f"model: {tiny_base}\ndata: {{train: [{{path: rows.jsonl}}]}}\n")
    launcher = ["accelerate.commands.launch", "--config_file", "fsdp.yaml", "--num_processes", "1"]
    done = run(*launcher, "-m", "sfteval", "train", "train.yaml", cwd=tmp_path)
    assert done.returncode != 0
    assert "accelerate launch: found FSDP on a machine without a GPU; expected GPUs" in done.stderr


def test_whole_weights_come_back_or_nothing_is_saved(tiny_base):
    trained, plain = (AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32) for _ in range(2))
    with torch.no_grad():
        trained.model.norm.weight.add_(1.0)
    state = {name: value for name, value in trained.state_dict().items() if name != "lm_head.weight"}
    accelerator = SimpleNamespace(get_state_dict=lambda model: state)
    trainer = SimpleNamespace(accelerator=accelerator, model_wrapped=None, gathered=None)
    gather(trainer, lambda: plain)
    torch.testing.assert_close(trainer.gathered.model.norm.weight, trained.model.norm.weight, rtol=0, atol=0)
    del state["model.norm.weight"]
    with pytest.raises(TrainingError) as caught:
        gather(trainer, lambda: plain)
    assert str(caught.value) == ("the gathered weights are not the model's: 1 missing, 0 unknown (model.norm.weight)")
