"""New tokens: tied and untied embeddings, full and LoRA, that survive save and load and are served."""

from __future__ import annotations

import json

import pytest
import torch

from sfteval.backends import open_backend
from sfteval.errors import InputError
from sfteval.quiet import library_noise_off
from sfteval.records import Generate, Generation, Score
from sfteval.train import ModelSource, load_config, train

TOKENS = ["<tool>", "<done>"]


@pytest.fixture(scope="module", params=["tied", "untied"])
def base(request, tiny_base, tmp_path_factory):
    if request.param == "tied":
        return tiny_base
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("untied")
    config = LlamaConfig.from_pretrained(tiny_base)
    config.tie_word_embeddings = False
    torch.manual_seed(1)
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
    assert AutoModelForCausalLM is not None
    return folder


def trained(folder, base, method, new_tokens, rate="2e-2"):
    rows = [
        {"messages": [{"role": "user", "content": f"n{i}"}, {"role": "assistant", "content": "<tool>ok<done>"}]}
        for i in range(6)
    ]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (folder / "c.yaml").write_text(
        f"model: {base}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 128}}\nmethod: {method}\n"
        f"new_tokens: {new_tokens}\n"
        f"optimizer: {{batch_tokens: 300, epochs: 40, learning_rate: {rate}, schedule: constant, warmup: 0}}\n"
    )
    return train(load_config(folder / "c.yaml"), ModelSource(base, reference=str(base)))


@pytest.mark.parametrize(
    ("method", "more", "rate"),
    [
        ("{name: lora, rank: 8}", "", "2e-2"),
        ("{name: lora, rank: 8}", ", train: embeddings", "2e-2"),
        ("full", "", "5e-3"),
    ],
    ids=["rows", "embeddings", "full"],
)
def test_they_are_learnt_saved_and_served(tmp_path, base, method, more, rate):
    done = trained(tmp_path, base, method, f"{{tokens: ['<tool>', '<done>']{more}}}", rate)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(done.checkpoint)
    ids = tokenizer.convert_tokens_to_ids(TOKENS)
    assert tokenizer("<tool>ok<done>", add_special_tokens=False)["input_ids"][0] == ids[0]
    assert min(ids) >= 270
    backend = open_backend(str(done.checkpoint))
    prompt = tuple(
        tokenizer.apply_chat_template(
            [{"role": "user", "content": "n1"}], add_generation_prompt=True, return_dict=True
        )["input_ids"]
    )
    served = []
    backend.respond([Generate("g", prompt, Generation(max_tokens=8)), Score("s", prompt, (ids[0],))], served.extend)
    answers = {response.key: response for response in served}
    model = reloaded(base, done.checkpoint, rows=max(ids) + 1)
    with torch.no_grad():
        given = torch.tensor([prompt])
        out = model.generate(input_ids=given, attention_mask=torch.ones_like(given), max_new_tokens=8, do_sample=False)
        chance = model(given).logits[0, -1].log_softmax(-1)[ids[0]]
    said = out[0].tolist()[len(prompt) :]
    ends = [place for place, token in enumerate(said) if token in {2, 0}]
    assert answers["g"].text == tokenizer.decode(said[: ends[0]] if ends else said)
    assert answers["s"].loglikelihood == pytest.approx(float(chance), abs=1e-3)
    curve = json.loads(done.manifest.read_text())["curve"]
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]


def reloaded(base, checkpoint, rows):
    """Read a checkpoint as a user of transformers and PEFT does; an adapter's base is made as large first."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    with library_noise_off(logging):
        if not (checkpoint / "adapter_config.json").is_file():
            return AutoModelForCausalLM.from_pretrained(checkpoint).eval()
        model = AutoModelForCausalLM.from_pretrained(base)
        model.resize_token_embeddings(rows, mean_resizing=False)
        return PeftModel.from_pretrained(model, str(checkpoint)).eval()


def test_the_audit_counts_the_tokens_that_the_training_sees(tmp_path, tiny_base):
    from sfteval.pipeline.audit import audit_data

    done = trained(tmp_path, tiny_base, "{name: lora, rank: 2}", "{tokens: ['<tool>', '<done>']}")
    audit = audit_data(tmp_path / "c.yaml", progress=False)
    assert audit["tokens"] == json.loads(done.manifest.read_text())["data"]["tokens"]


def test_full_fine_tuning_goes_on_from_an_adapter_with_new_rows(tmp_path, tiny_base):
    from sfteval.pipeline.training import train_from

    done = trained(tmp_path, tiny_base, "{name: lora, rank: 2}", "{tokens: ['<tool>', '<done>']}")
    (tmp_path / "full.yaml").write_text(
        f"model: {done.checkpoint}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 128}}\nmethod: full\n"
    )
    again = train_from(tmp_path / "full.yaml", progress=False)
    manifest = json.loads(again.manifest.read_text())
    assert manifest["data"]["tokens"] == json.loads(done.manifest.read_text())["data"]["tokens"]
    assert manifest["curve"][0]["loss"] == pytest.approx(done.loss, rel=0.2)


def test_a_token_that_is_there_is_refused(tmp_path, tiny_base):
    with pytest.raises(InputError, match=r"new_tokens.tokens: found '<\|im_end\|>', which the vocabulary has already"):
        trained(tmp_path, tiny_base, "full", "{tokens: ['<|im_end|>']}")


@pytest.mark.parametrize(
    ("method", "new_tokens", "message"),
    [
        (
            "prompt",
            "{tokens: [a]}",
            "found 'new_tokens' beside method prompt, which cannot learn them; expected method",
        ),
        ("full", "{tokens: [a], train: embeddings}", "found 'train: embeddings' beside method full"),
    ],
)
def test_where_it_would_do_nothing_it_is_refused(tmp_path, tiny_base, method, new_tokens, message):
    with pytest.raises(InputError) as caught:
        trained(tmp_path, tiny_base, method, new_tokens)
    assert message in str(caught.value)


def test_the_new_rows_start_as_the_mean(tiny_base):
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from sfteval.train.new_tokens import give_rows

    with library_noise_off(logging):
        model = AutoModelForCausalLM.from_pretrained(tiny_base)
    before = model.get_input_embeddings().weight.detach().clone()
    give_rows(model, [len(before), len(before) + 1])
    after = model.get_input_embeddings().weight
    assert torch.equal(after[: len(before)], before)
    assert torch.allclose(after[-1], before.mean(dim=0))
    assert model.get_output_embeddings().weight is after
