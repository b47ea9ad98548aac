"""A whole training on a random Llama: what it writes, what the checkpoint does, what is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from train_templates import CHATML, LLAMA3

from sfteval.errors import AuditError, DiskError, InputError, ModelError, TrainingError
from sfteval.keys import file_key
from sfteval.quiet import library_noise_off
from sfteval.train import ModelSource, load_config, train
from sfteval.train.surroundings import code, environment

ANSWERS = {"one": "first!", "two": "second.", "three": "ja"}
ROWS = [[("user", question), ("assistant", answer)] for question, answer in ANSWERS.items()]
# Of eight rows, the hash keeps two out at 0.3; which ones never changes.
MORE = [*ROWS, *([("user", f"n{i}"), ("assistant", "ok")] for i in range(5))]


@pytest.fixture
def configured(tmp_path, write_rows):
    def make(rows=ROWS, data="", method="{name: full}", optimizer="", more=""):
        path = write_rows(rows)
        config = tmp_path / "small.yaml"
        config.write_text(
            f"model: unused\ndata: {{train: [{{path: {path.name}}}], max_length: 128{data}}}\nmethod: {method}\n"
            f"optimizer: {{batch_tokens: 200{optimizer}}}\noutput: runs\nseed: 3\n{more}"
        )
        return load_config(config)

    return make


def leftovers(tmp_path):
    return sorted(path.name for path in (tmp_path / "runs").iterdir()) if (tmp_path / "runs").exists() else []


@pytest.fixture(scope="module")
def overfitted(tiny_base, tmp_path_factory):
    """A full fine-tuning that knows its three rows by heart."""
    folder = tmp_path_factory.mktemp("overfitted")
    lines = [json.dumps({"messages": [{"role": r, "content": c} for r, c in row]}) for row in ROWS]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    config = folder / "by-heart.yaml"
    config.write_text(
        "model: unused\ndata: {train: [{path: rows.jsonl}], max_length: 128}\nmethod: {name: full}\n"
        "optimizer: {learning_rate: 5e-3, epochs: 120, batch_tokens: 1000, warmup: 0.05}\nseed: 3\n"
    )
    source = ModelSource(tiny_base, reference="tiny")
    return train(load_config(config), source)


def answer_of(checkpoint, question):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    out = model.generate(**prompt, max_new_tokens=30, do_sample=False)
    return tokenizer.decode(out[0, prompt["input_ids"].shape[1] :])


@pytest.mark.parametrize("question", ANSWERS)
def test_the_trained_model_answers_and_stops_at_the_end_of_turn(overfitted, question):
    assert answer_of(overfitted.checkpoint, question) == f"{ANSWERS[question]}<|im_end|>"


def test_the_loss_fell(overfitted):
    curve = json.loads(overfitted.manifest.read_text())["curve"]
    assert curve[0]["loss"] > 5
    assert curve[-1]["loss"] == overfitted.loss < 0.05
    assert overfitted.steps == len(curve) == 120


def test_layout_and_manifest(overfitted, tiny_base):
    folder = overfitted.manifest.parent
    assert folder == overfitted.checkpoint.parent
    assert folder.name.startswith("by-heart-")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint", "training.json"]
    assert sorted(path.name for path in overfitted.checkpoint.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    manifest = json.loads(overfitted.manifest.read_text())
    config = folder.parents[1] / "by-heart.yaml"
    assert manifest["config_sha256"] == file_key(config)
    assert manifest["config"]["optimizer"]["learning_rate"] == 5e-3
    assert manifest["data"]["files"] == [
        {
            "path": str(folder.parents[1] / "rows.jsonl"),
            "sha256": file_key(folder.parents[1] / "rows.jsonl"),
            "weight": 1.0,
            "rows": 3,
            "trained": 3,
            "held_out": 0,
            "draws": 3,
        }
    ]
    assert manifest["data"]["labels"] == 7 + 8 + 3
    assert manifest["data"]["label_share"] == manifest["data"]["labels"] / manifest["data"]["tokens"]
    assert manifest["data"]["template_sha256"] == hashlib.sha256(CHATML.encode()).hexdigest()
    assert manifest["data"]["stop_tokens"] == ["<|im_end|>"]
    assert manifest["data"]["masks"] == {"markers": 0, "prefixes": 3}
    assert manifest["parent"] == {"reference": "tiny", "path": str(tiny_base), "adapter": "", "identity": None}
    assert manifest["parameters"]["trainable"] == manifest["parameters"]["total"] > 50_000
    assert manifest["warnings"] == [
        "learning_rate 0.005 suits LoRA; full fine-tuning usually needs ten times less (1e-5 to 5e-5)",
        "3 rows, each seen 120 times: the model will learn them by heart; add rows",
    ]
    assert (manifest["seed"], manifest["steps"], manifest["format"]) == (3, 120, 1)
    assert set(manifest["versions"]) >= {"torch", "transformers", "trl", "peft", "python", "sfteval"}
    assert set(manifest["hardware"]) == {"cpus", "threads", "memory_bytes", "device", "machine", "gpus"}
    assert set(manifest["preflight"]["losses"]) == {"head", "accumulation", "packing"}
    assert manifest["environment"] == environment()
    assert manifest["code"] == code(folder)


def test_generation_stops_at_the_trained_token_and_at_the_old_ones(overfitted):
    generation = json.loads((overfitted.checkpoint / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [2, 0]


def test_lora_saves_an_adapter_that_reloads(configured, tiny_base):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, GenerationConfig
    from transformers.utils import logging

    method = "{name: lora, rank: 4, alpha: 8, dropout: 0.1, targets: [q_proj, v_proj]}"
    done = train(configured(method=method, optimizer=", epochs: 6, learning_rate: 1e-2"), ModelSource(tiny_base))
    adapter = json.loads((done.checkpoint / "adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"], adapter["lora_dropout"]) == (4, 8, 0.1)
    assert sorted(adapter["target_modules"]) == ["q_proj", "v_proj"]
    assert adapter["base_model_name_or_path"] == str(tiny_base)
    assert GenerationConfig.from_pretrained(done.checkpoint).eos_token_id == [2, 0]
    manifest = json.loads(done.manifest.read_text())
    # 2 layers of q (48 to 48) and v (48 to 24), rank 4
    assert manifest["parameters"]["trainable"] == 2 * (4 * (48 + 48) + 4 * (48 + 24))
    with library_noise_off(logging):
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), str(done.checkpoint))
    moved = [value for name, value in model.named_parameters() if "lora_B" in name]
    assert len(moved) == 4
    assert all(bool(value.any()) for value in moved)


def test_full_from_an_adapter_merges_it(configured, tiny_base):
    first = train(configured(method="{name: lora, rank: 2}", optimizer=", epochs: 4"), ModelSource(tiny_base))
    source = ModelSource(tiny_base, adapter=first.checkpoint)
    second = train(configured(optimizer=", epochs: 3, learning_rate: 1e-4"), source)
    assert (second.checkpoint / "model.safetensors").is_file()
    curves = [json.loads(done.manifest.read_text())["curve"] for done in (first, second)]
    assert curves[1][0]["loss"] < curves[0][0]["loss"]
    with pytest.raises(ModelError, match=r"found an adapter as the parent of a new LoRA; expected a full checkpoint"):
        train(configured(method="{name: lora}"), source)


def test_held_out_rows_are_measured_and_not_trained(configured, tiny_base):
    done = train(configured(MORE, data=", holdout: 0.3", optimizer=", epochs: 4"), ModelSource(tiny_base))
    manifest = json.loads(done.manifest.read_text())
    assert manifest["data"]["rows"] + manifest["data"]["held_out"] == 8
    assert manifest["data"]["held_out"] > 0
    assert manifest["holdout_loss"] == {"before": done.holdout_before, "after": done.holdout_after}
    assert done.holdout_before > done.holdout_after > 0


def test_the_same_config_gives_the_same_weights(configured, tiny_base):
    config = configured(method="{name: lora, dropout: 0.2}", optimizer=", epochs: 3")
    first, second = (train(config, ModelSource(tiny_base)) for _ in range(2))
    assert first.checkpoint != second.checkpoint
    assert file_key(first.checkpoint / "adapter_model.safetensors") == file_key(
        second.checkpoint / "adapter_model.safetensors"
    )


@pytest.mark.parametrize(
    ("change", "labels"),
    [(", loss_on: last_assistant", 5), (", loss_on: all", 70), ("", 11)],
)
def test_loss_on_decides_the_labels(configured, tiny_base, change, labels):
    rows = [[("user", "a"), ("assistant", "first"), ("user", "b"), ("assistant", "last")]]
    done = train(configured(rows, data=change), ModelSource(tiny_base))
    assert json.loads(done.manifest.read_text())["curve"][0]["labels"] == labels


def test_long_rows_are_refused_with_the_labels_they_would_lose(configured, tiny_base, tmp_path):
    rows = [*ROWS, [("user", "q"), ("assistant", "a" * 120)]]
    with pytest.raises(AuditError) as caught:
        train(configured(rows), ModelSource(tiny_base))
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "1 rows are longer than data.max_length 128; cutting them loses 121 labels (allowed: 0). Raise max_length, "
        f"shorten them, or set data.budget.cut:\n  {tmp_path}/rows.jsonl:4: 160 tokens, 121 labels lost"
    )
    assert leftovers(tmp_path) == []


def test_rows_that_cannot_be_masked_are_named(configured, tiny_base, tmp_path):
    rows = [*ROWS, [("user", "<|im_end|>"), ("assistant", "a")]]
    with pytest.raises(InputError) as caught:
        train(configured(rows), ModelSource(tiny_base))
    assert str(caught.value) == (
        f"{tmp_path}/rows.jsonl:4: found message 0: the content holds the special token '<|im_end|>'; "
        "expected a conversation that can be masked for certain"
    )


def test_a_length_beyond_the_models_context_is_refused(configured, tiny_base, tmp_path):
    config = configured()
    config = config.model_copy(update={"data": config.data.model_copy(update={"max_length": 1000})})
    with pytest.raises(
        InputError, match=r"data.max_length: found 1000; expected at most 256. That is the model's context"
    ):
        train(config, ModelSource(tiny_base))
    assert leftovers(tmp_path) == []


def test_unknown_targets_are_refused(configured, tiny_base, tmp_path):
    with pytest.raises(InputError) as caught:
        train(configured(method="{name: lora, targets: [q_porj, lm_head]}"), ModelSource(tiny_base))
    linear = "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"
    assert str(caught.value) == (
        f"method.targets: found 'q_porj'; expected one of {linear}. Did you mean 'q_proj'?\n"
        f"method.targets: found 'lm_head'; expected one of {linear}"
    )
    assert leftovers(tmp_path) == []


def test_a_folder_without_a_model_is_refused(configured, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"^bad: found .*; expected a tokenizer that transformers can load$"):
        train(configured(), ModelSource(tmp_path / "empty", reference="bad"))


def test_an_interrupted_training_leaves_nothing(configured, tiny_base, tmp_path, monkeypatch):
    def stop(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("sfteval.train.run.save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        train(configured(), ModelSource(tiny_base))
    assert leftovers(tmp_path) == []


def test_a_saved_template_that_differs_is_caught(configured, tiny_base, tmp_path, monkeypatch):
    from sfteval.train import run

    save = run.save_checkpoint

    def spoil(model, template, source, folder):
        save(model, template, source, folder)
        (folder / "chat_template.jinja").write_text(LLAMA3)

    monkeypatch.setattr(run, "save_checkpoint", spoil)
    with pytest.raises(
        TrainingError, match=r"rows.jsonl:1: the saved chat template renders another prompt than the one"
    ):
        train(configured(), ModelSource(tiny_base))
    assert leftovers(tmp_path) == []


def test_a_saved_tokenizer_that_differs_is_caught(configured, tiny_base, tmp_path, monkeypatch):
    from sfteval.train import run

    save = run.save_checkpoint

    def spoil(model, template, source, folder):
        save(model, template, source, folder)
        path = folder / "tokenizer.json"
        raw = json.loads(path.read_text())
        raw["model"]["vocab"]["a"], raw["model"]["vocab"]["b"] = raw["model"]["vocab"]["b"], raw["model"]["vocab"]["a"]
        path.write_text(json.dumps(raw))

    monkeypatch.setattr(run, "save_checkpoint", spoil)
    with pytest.raises(TrainingError, match=r"rows.jsonl:1: the saved tokenizer gives other token ids than the one"):
        train(configured(), ModelSource(tiny_base))


def test_the_callers_loaders_are_used(configured, tiny_base, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gguf = tmp_path / "model.gguf"
    with pytest.raises(ModelError, match=r"found a .gguf file; expected a model directory, or loaders for it"):
        train(configured(), ModelSource(gguf))
    source = ModelSource(
        gguf,
        open_tokenizer=lambda: AutoTokenizer.from_pretrained(tiny_base),
        open_model=lambda: AutoModelForCausalLM.from_pretrained(tiny_base).requires_grad_(False),
    )
    done = train(configured(optimizer=", epochs: 2"), source)
    assert (done.checkpoint / "model.safetensors").is_file()


def test_nothing_is_printed(configured, tiny_base, capfd):
    train(configured(), ModelSource(tiny_base), progress=True)
    assert capfd.readouterr() == ("", "")


def test_importing_the_package_does_not_import_torch():
    code = "import sys, sfteval.train; print([m for m in ('torch', 'transformers', 'trl', 'peft') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_probably_a_mistake_is_said_before_step_1(configured, tiny_base, monkeypatch):
    def stop(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("sfteval.train.run._run", stop)
    said = []
    with pytest.raises(KeyboardInterrupt):
        train(configured(optimizer=", epochs: 6"), ModelSource(tiny_base), say=said.append)
    assert said == [
        "learning_rate 0.0002 suits LoRA; full fine-tuning usually needs ten times less (1e-5 to 5e-5)",
        "3 rows, each seen 6 times: the model will learn them by heart; add rows",
    ]


def test_a_disk_that_is_full_at_the_end_is_told_as_such(configured, tiny_base, tmp_path, monkeypatch):
    from safetensors import SafetensorError
    from transformers import LlamaForCausalLM

    def full(*arguments, **named):
        raise SafetensorError("Error while serializing: No space left on device (os error 28)")

    monkeypatch.setattr(LlamaForCausalLM, "save_pretrained", full)
    with pytest.raises(DiskError, match=r"checkpoint: found .*No space left .*; expected room for the checkpoint"):
        train(configured(), ModelSource(tiny_base))


def test_hooks_that_nobody_runs_are_refused(configured, tiny_base, tmp_path):
    (tmp_path / "suites").mkdir()
    config = configured(more="hooks: {suites: [suites]}\n")
    with pytest.raises(InputError, match=r"small.yaml: hooks: found hooks, and nobody who runs them; expected a watch"):
        train(config, ModelSource(tiny_base))
