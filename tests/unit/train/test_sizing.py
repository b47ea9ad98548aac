"""Counts and memory of methods without weights: the published numbers, and the real step on the tiny base."""

from __future__ import annotations

import json

import pytest

from sfteval.errors import InputError, ModelError
from sfteval.pipeline.sizing import plan_sizes
from sfteval.shipped import shipped
from sfteval.train.blueprint import build, count, read_model_config
from sfteval.train.method_config import METHOD_TABLE, Full, Lora, Peft, PeftOptions
from sfteval.train.sizing import size
from sfteval.train.tracing import Shape, trace_step

LLAMA_7B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "intermediate_size": 11008,
    "num_attention_heads": 32,
    "vocab_size": 32000,
    "tie_word_embeddings": False,
}
SMOLLM2 = {
    "model_type": "llama",
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}


@pytest.fixture
def config_of(tmp_path):
    def write(fields):
        (tmp_path / "config.json").write_text(json.dumps(fields))
        return read_model_config(tmp_path / "config.json")

    return write


@pytest.mark.parametrize(
    ("model", "method", "trainable"),
    [
        (LLAMA_7B, Full(), 6_738_415_616),
        (LLAMA_7B, Lora(rank=8, targets=("q_proj", "v_proj")), 4_194_304),
        (LLAMA_7B, Lora(rank=8), 19_988_480),
        (SMOLLM2, Lora(rank=8), 2_442_240),
        (SMOLLM2, Full(), 134_515_008),
        # One magnitude for each output of each of the seven linear layers.
        (SMOLLM2, Lora(rank=8, dora=True), 2_442_240 + 30 * (2 * 576 + 2 * 192 + 2 * 1536 + 576)),
        # 20 positions of keys and values of 3 heads of 64 in 30 layers; 20 embeddings.
        (SMOLLM2, METHOD_TABLE["prefix"], 20 * 30 * 2 * 192),
        (SMOLLM2, METHOD_TABLE["prompt"], 20 * 576),
        (SMOLLM2, METHOD_TABLE["adapter"], 30 * (2 * 576 * 64 + 576 + 64)),
        (SMOLLM2, METHOD_TABLE["adapter-houlsby"], 2 * 30 * (2 * 576 * 64 + 576 + 64)),
    ],
)
def test_parameters_are_exact(config_of, model, method, trainable):
    base = 6_738_415_616 if model is LLAMA_7B else 134_515_008
    counts = count(build(config_of(model), method))
    assert counts.trainable == trainable
    assert counts.total == (base if method == Full() else base + trainable)


def test_any_peft_method_is_counted(config_of):
    method, options = Peft(name="peft"), PeftOptions(type="IA3")
    # k and v are scaled at their outputs, down_proj at its inputs.
    assert count(build(config_of(SMOLLM2), method, options)).trainable == 30 * (192 + 192 + 1536)


@pytest.mark.parametrize("method", [Full(), Lora(rank=4)], ids=["full", "lora"])
@pytest.mark.parametrize("shape", [Shape(3, 40, 60), Shape(1, 120, 60, (40, 40, 40))], ids=["padded", "packed"])
def test_deep_models_are_extrapolated_to_what_a_whole_trace_says(config_of, method, shape):
    config = config_of(SMOLLM2 | {"num_hidden_layers": 9, "vocab_size": 512})
    planned = size(config, method, shape).memory
    whole = trace_step(build(config, method), shape)
    assert planned.activations == max(0, whole.peak - planned.gradients)
    assert (planned.gradients, planned.optimiser) == (whole.gradients, 2 * whole.gradients)


def test_more_labels_cost_their_hidden_rows_and_no_logits():
    config = read_model_config(shipped("fixtures") / "tiny_base")
    few, many = (trace_step(build(config, Full()), Shape(2, 512, labels)) for labels in (600, 1000))
    # The rows that are picked and their gradient (160 wide); logits (1024 wide) exist for one chunk at a time.
    assert 400 * 4 * 160 <= many.start - few.start < 400 * 4 * 1024
    assert few.gradients == many.gradients == 4 * count(build(config, Full())).total


def test_the_plan_of_a_config_alone(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SMOLLM2 | {"num_hidden_layers": 2, "vocab_size": 256}))
    data = plan_sizes(str(tmp_path), {"name": "lora", "rank": 2, "targets": ["q_proj"]}, length=32, batch_tokens=64)
    assert next(iter(data["methods"])) == "lora"
    assert set(data["methods"]) == set(METHOD_TABLE)
    assert data["batch"] == {
        "packed": {"rows": 1, "length": 64, "labels": 62, "lengths": (32, 32)},
        "padded": {"rows": 2, "length": 32, "labels": 62, "lengths": ()},
    }
    asked = data["methods"]["lora"]
    assert asked["asked"]
    assert asked["trainable_parameters"] == 2 * 2 * (576 + 576)
    memory = asked["memory_bytes"]
    assert memory["weights"] == 4 * asked["total_parameters"]
    assert memory["gradients"] == 4 * asked["trainable_parameters"]
    assert memory["optimiser"] == 8 * asked["trainable_parameters"]
    assert memory["total"] == sum(memory[part] for part in ("weights", "gradients", "optimiser", "activations"))
    assert data["methods"]["full"]["memory_bytes"]["activations"] > 0


def test_a_configs_own_data_decide_the_batch(tmp_path, write_rows, tiny_base):
    write_rows([[("user", "a"), ("assistant", "bb")], [("user", "a" * 9), ("assistant", "b")]])
    config = tmp_path / "c.yaml"
    config.write_text(f"model: {tiny_base}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 128}}\nmethod: full\n")
    data = plan_sizes(str(config))
    padded, packed = data["batch"]["padded"], data["batch"]["packed"]
    assert (padded["rows"], padded["labels"]) == (2, 2 + 1 + 2)
    assert (packed["rows"], packed["length"]) == (1, sum(packed["lengths"]))
    assert packed["lengths"] == (padded["length"], padded["length"] - 7)
    assert next(iter(data["methods"])) == "full"


def test_suites_beside_the_config_are_the_audits_business(tmp_path, write_rows, tiny_base):
    write_rows([[("user", "a"), ("assistant", "bb")]])
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "a.suite.yaml").write_text("suite: a\n")
    config = tmp_path / "c.yaml"
    config.write_text(f"model: {tiny_base}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 128}}\n")
    assert plan_sizes(str(config))["batch"]["padded"]["rows"] == 1


def test_new_tokens_are_counted(tmp_path, write_rows, tiny_base):
    write_rows([[("user", "a"), ("assistant", "<tool>b")]])
    config = tmp_path / "c.yaml"
    text = f"model: {tiny_base}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 128}}\nmethod: lora\n"
    config.write_text(text)
    before = plan_sizes(str(config))["methods"]
    config.write_text(text + "new_tokens: {tokens: [<tool>, <done>]}\n")
    data = plan_sizes(str(config))
    after = data["methods"]
    # The embedding is tied, 48 wide, and grows by two rows; a LoRA holds its own copy of them.
    assert after["full"]["trainable_parameters"] == before["full"]["trainable_parameters"] + 2 * 48
    assert after["lora"]["trainable_parameters"] == before["lora"]["trainable_parameters"] + 2 * 48
    assert after["lora"]["memory_bytes"]["activations"] > 0
    assert after["prefix"]["note"] == "cannot learn the 2 new tokens"
    assert data["batch"]["padded"]["labels"] == 3


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "full", "rank": 3}, "method.rank: found 3; expected a field of full: none"),
        ({"name": "prompt", "rank": 3}, "method.rank: found 3; expected a field of prompt: text, tokens"),
        (
            {"name": "lroa"},
            "method: found 'lroa'; expected one of adapter, full, lora, prefix, prompt, qlora. Did you mean 'lora'?",
        ),
        ({"name": "lora", "targets": ["q_porj"]}, "method.targets: found 'q_porj'; expected one of down_proj, "),
    ],
)
def test_fields_that_a_method_does_not_have_are_refused(tiny_base, asked, message):
    with pytest.raises(InputError) as caught:
        plan_sizes(str(tiny_base), asked)
    assert str(caught.value).startswith(message)


def test_a_config_that_makes_no_model(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "no-such"}')
    with pytest.raises(ModelError, match="a configuration that cannot be read"):
        plan_sizes(str(tmp_path / "config.json"))
