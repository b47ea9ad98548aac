"""Every method, trained under TRL on a random Llama: saved, reloaded, generated, switched off, served."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from sfteval.backends import open_backend
from sfteval.backends.identity import identify
from sfteval.backends.references import resolve
from sfteval.errors import InputError, ModelError
from sfteval.pipeline.merging import merge
from sfteval.quiet import library_noise_off
from sfteval.records import Generate, Generation
from sfteval.train import ModelSource, load_config, train
from sfteval.train.method_config import METHOD_TABLE, Full, Lora, Prefix, make_method
from sfteval.train.rates import rate_warning

# PEFT says so when the pre-flight tries whether a prompt bears packing.
pytestmark = pytest.mark.filterwarnings("ignore:Position ids are not supported:UserWarning")

METHODS = {
    "lora": "{name: lora, rank: 2, rslora: true}",
    "dora": "{name: lora, rank: 2, dora: true}",
    "gaussian": "{name: lora, rank: 2, init: gaussian}",
    "orthogonal": "{name: lora, rank: 2, init: orthogonal}",
    "prefix": "{name: prefix, tokens: 3}",
    "prefix-projection": "{name: prefix, tokens: 3, projection: 8}",
    "prompt": "{name: prompt, tokens: 4, text: Answer in one word}",
    "houlsby": "{name: adapter, style: houlsby, width: 4, dropout: 0.1}",
    "pfeiffer": "{name: adapter, width: 4, activation: gelu}",
    "parallel": "{name: adapter, style: parallel, width: 4, scale: 2.0}",
    "ia3": "peft\npeft: {type: IA3, target_modules: [k_proj, down_proj], feedforward_modules: [down_proj]}",
}
PROMPT = (1, 30, 41, 52, 63)
RELOAD = """
import sys, torch
import sfteval.peft_ext
from peft import PeftModel
from transformers import AutoModelForCausalLM
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(sys.argv[1]), sys.argv[2]).eval()
out = model.generate(input_ids=torch.tensor([[1, 30, 41, 52, 63]]), max_new_tokens=6, do_sample=False)
print(out[0].tolist()[-6:] if out.shape[1] >= 6 else out[0].tolist())
"""


def trained(folder, tiny_base, method, rate="3e-2"):
    rows = [[("user", f"n{i}"), ("assistant", "ok!")] for i in range(6)]
    lines = [json.dumps({"messages": [{"role": r, "content": c} for r, c in row]}) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    (folder / "c.yaml").write_text(
        f"model: {tiny_base}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 128}}\nmethod: {method}\n"
        f"optimizer: {{batch_tokens: 200, epochs: 3, learning_rate: {rate}, schedule: constant, warmup: 0}}\n"
    )
    return train(load_config(folder / "c.yaml"), ModelSource(tiny_base, reference=str(tiny_base)))


def reloaded(tiny_base, checkpoint):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    with library_noise_off(logging):
        base = AutoModelForCausalLM.from_pretrained(tiny_base).eval()
        before = base(torch.tensor([PROMPT])).logits
        return before, PeftModel.from_pretrained(base, str(checkpoint)).eval()


# The engine says so where it must not share prefixes.
@pytest.mark.filterwarnings("ignore:.*without the prefix tree:RuntimeWarning")
@pytest.mark.parametrize("name", METHODS)
def test_trains_saves_reloads_and_switches_off(tmp_path, tiny_base, name):
    done = trained(tmp_path, tiny_base, METHODS[name])
    curve = json.loads(done.manifest.read_text())["curve"]
    assert curve[-1]["loss"] < curve[0]["loss"]
    before, model = reloaded(tiny_base, done.checkpoint)
    ids = torch.tensor([PROMPT])
    assert not torch.equal(model(ids).logits[:, -5:], before)
    with model.disable_adapter():
        assert torch.equal(model(ids).logits, before)
    # The harness answers with the method on, as PEFT does.
    served = []
    backend = open_backend(str(done.checkpoint))
    asked = Generate("k", PROMPT, Generation(max_tokens=6))
    backend.respond([asked], served.extend)
    with torch.no_grad():
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)
    expected = out[0].tolist()[len(PROMPT) :]
    ends = [place for place, token in enumerate(expected) if token in {2, 0}]
    assert served[0].text == backend.text.decode(expected[: ends[0]] if ends else expected)


def test_a_bottleneck_reloads_in_a_new_process(tmp_path, tiny_base):
    done = trained(tmp_path, tiny_base, METHODS["houlsby"])
    _, model = reloaded(tiny_base, done.checkpoint)
    out = model.generate(input_ids=torch.tensor([PROMPT]), max_new_tokens=6, do_sample=False)
    script = [sys.executable, "-W", "ignore", "-c", RELOAD, str(tiny_base), str(done.checkpoint)]
    fresh = subprocess.run(script, capture_output=True, text=True, check=True)
    assert json.loads(fresh.stdout.splitlines()[-1]) == out[0].tolist()[-6:]


def test_a_method_on_an_adapter_is_refused(tmp_path, tiny_base):
    done = trained(tmp_path, tiny_base, METHODS["pfeiffer"])
    with pytest.raises(ModelError, match="found an adapter as the parent of a new prompt adapter"):
        train(
            load_config(tmp_path / "c.yaml").model_copy(update={"method": METHOD_TABLE["prompt"]}),
            ModelSource(tiny_base, adapter=done.checkpoint),
        )


def test_full_fine_tuning_from_what_cannot_be_merged_is_refused(tmp_path, tiny_base):
    from sfteval.pipeline.training import train_from

    done = trained(tmp_path, tiny_base, METHODS["pfeiffer"])
    config = (tmp_path / "c.yaml").read_text().replace(f"model: {tiny_base}", f"model: {done.checkpoint}")
    (tmp_path / "full.yaml").write_text(config.replace(f"method: {METHODS['pfeiffer']}", "method: full"))
    with pytest.raises(ModelError, match=r"found a BOTTLENECK adapter; expected LoRA, which is a sum with the weights"):
        train_from(tmp_path / "full.yaml")


def test_qlora_says_what_it_needs(tmp_path, tiny_base):
    with pytest.raises(
        ModelError, match=r"method qlora: found a base that would have to be loaded in 4 bits, .*; expected another"
    ):
        trained(tmp_path, tiny_base, "qlora")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{type: IA4}", "peft.type: found 'IA4'; expected one of ADALORA, "),
        ("{type: IA3, target_module: [k]}", "peft.target_module: found 'target_module'; expected one of "),
        ("{type: LORA, r: 0}", "method: found a method that PEFT cannot put on this model ("),
        (
            "{type: LORA, r: 2, target_modules: [q_proj], init_lora_weights: pissa}",
            "peft: found a start that changes the base's own weights (2 tensors, first: model.layers.0.",
        ),
    ],
)
def test_peft_blocks_are_checked(tmp_path, tiny_base, block, message):
    with pytest.raises(InputError) as caught:
        trained(tmp_path, tiny_base, f"peft\npeft: {block}")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("method", "rate", "words"),
    [
        (Full(), 5e-4, "suits LoRA; full"),
        (Full(), 1e-5, ""),
        (Full(), 2e-4, "suits LoRA; full"),
        (Lora(), 1e-5, "suits full fine-tuning; LoRA"),
        (Lora(), 2e-4, ""),
        (Lora(), 0.5, "is far above what LoRA"),
        (METHOD_TABLE["prompt"], 1e-4, "suits LoRA; trained prompts"),
        (METHOD_TABLE["prefix"], 1e-2, ""),
        (METHOD_TABLE["adapter"], 1e-5, "suits full fine-tuning; bottleneck"),
        (make_method({"name": "adapter", "width": 8}), 3e-4, ""),
    ],
)
def test_rates_out_of_place_are_told(method, rate, words):
    said = rate_warning(method, rate)
    assert said.startswith(f"learning_rate {rate:g} {words}") if words else said == ""


def test_a_prefix_starts_as_the_models_own_keys_and_values(tiny_base):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    from sfteval.train.adapting import adapt
    from sfteval.train.config import TrainingConfig

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    ids = torch.tensor([tokenizer("Hello", add_special_tokens=False)["input_ids"]])
    config = TrainingConfig(
        model="m", data={"train": ({"path": "x"},)}, method=Prefix(name="prefix", tokens=ids.shape[1], text="Hello")
    )
    with library_noise_off(logging), torch.no_grad():
        base = AutoModelForCausalLM.from_pretrained(tiny_base).eval()
        whole = base(torch.cat([ids, torch.tensor([PROMPT])], dim=1)).logits[:, -5:]
        model = adapt(base, config, tokenizer).eval()
        assert torch.allclose(model(torch.tensor([PROMPT])).logits, whole, atol=1e-5)


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_a_merged_lora_computes_the_same(tmp_path, tiny_base, name):
    from transformers import AutoModelForCausalLM

    done = trained(tmp_path, tiny_base, METHODS[name])
    rows = tmp_path / "inputs.jsonl"
    rows.write_text(json.dumps({"messages": [{"role": "user", "content": "n1"}]}) + "\n" + json.dumps({"text": "ok!"}))
    found = merge(str(done.checkpoint), tmp_path / "merged", rows)
    assert (found["inputs"], found["argmax_agreement"]) == (2, 1.0)
    assert found["max_abs_logit_difference"] < 1e-4 * found["logit_spread"]
    manifest = json.loads((tmp_path / "merged" / "training.json").read_text())
    assert manifest["merged"]["difference"]["max_abs_logit_difference"] == found["max_abs_logit_difference"]
    assert manifest["merged"]["weights"] == identify(resolve(str(tmp_path / "merged"))).weights
    assert resolve(str(tmp_path / "merged")).parent == str(tiny_base)
    _, adapted = reloaded(tiny_base, done.checkpoint)
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    ids = torch.tensor([PROMPT])
    assert torch.allclose(whole(ids).logits, adapted(ids).logits, atol=1e-5)
    with pytest.raises(InputError, match="which exists already; expected a new folder"):
        merge(str(done.checkpoint), tmp_path / "merged")


@pytest.mark.parametrize("name", ["pfeiffer", "prompt"])
def test_what_is_no_sum_with_the_weights_is_not_merged(tmp_path, tiny_base, name):
    done = trained(tmp_path, tiny_base, METHODS[name])
    kind = {"pfeiffer": "BOTTLENECK", "prompt": "PROMPT_TUNING"}[name]
    with pytest.raises(ModelError, match=f"found a {kind} adapter; expected LoRA, which is a sum with the weights"):
        merge(str(done.checkpoint), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
