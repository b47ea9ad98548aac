import json
import shutil
import subprocess
import sys

import pytest
import tiny
from tiny import rewrite

from sfteval.backends import hub
from sfteval.backends.references import Kind, checkpoint_of, resolve
from sfteval.errors import ModelError


def fault(reference, **options):
    with pytest.raises(ModelError) as caught:
        resolve(reference, **options)
    (one,) = caught.value.faults
    return one


def test_full_checkpoint(home):
    found = resolve("base")
    assert (found.kind, found.path) == (Kind.FULL, home / "base")
    assert [file.name for file in found.weights] == ["model.safetensors"]
    assert (found.base, found.training, found.hub_id, found.parent) == (None, "", "", None)
    assert found.tokenizer == home / "base"


def test_relative_paths_start_where_they_are_told(home, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert resolve("base", relative_to=home).path == home / "base"


def test_adapter_finds_its_base_beside_itself_first(home, monkeypatch):
    monkeypatch.chdir("/")
    found = resolve(str(home / "lora"))
    assert found.kind is Kind.ADAPTER
    assert found.base.path.resolve() == home / "base"
    assert found.tokenizer.resolve() == home / "base"
    assert found.parent == str(home / "lora" / "../base")


def test_adapter_finds_its_base_from_the_working_directory(home):
    rewrite(home / "lora/adapter_config.json", base_model_name_or_path="base")
    assert resolve("lora").base.path == home / "base"


def test_adapter_finds_its_base_by_the_manifest(home):
    rewrite(home / "lora/adapter_config.json", base_model_name_or_path="/gone/model")
    (home / "lora/training.json").write_text(json.dumps({"parent": "../base"}))
    found = resolve("lora")
    assert found.base.path.resolve() == home / "base"
    assert found.training == str(home / "lora/training.json")


def test_adapter_with_its_own_tokenizer(home):
    tiny.tokenizer().save_pretrained(home / "lora")
    assert resolve("lora").tokenizer == home / "lora"


def test_adapter_without_base(home):
    rewrite(home / "lora/adapter_config.json", base_model_name_or_path="../bas")
    one = fault("lora")
    assert one.where == f"{home}/lora/adapter_config.json (base_model_name_or_path)"
    assert one.found.startswith("'../bas', which cannot be used: ../bas: found nothing at ")
    assert one.expected == "the model that the adapter was trained on"


def test_adapter_on_an_adapter_is_refused(home):
    shutil.copytree(home / "lora", home / "second")
    rewrite(home / "second/adapter_config.json", base_model_name_or_path="../lora")
    one = fault("second")
    assert one.found.startswith("a base that is adapter")
    assert one.do == "Merge the inner adapter into its base first."


def test_adapter_without_peft_type(home):
    rewrite(home / "lora/adapter_config.json", peft_type=None)
    assert fault("lora").found == "no peft_type"


def test_training_output(home):
    (home / "out").mkdir()
    (home / "lora").rename(home / "out/checkpoint")
    rewrite(home / "out/checkpoint/adapter_config.json", base_model_name_or_path="../../base")
    assert checkpoint_of(home / "out") == home / "out"
    (home / "out/training.json").write_text("{}")
    assert checkpoint_of(home / "out") == home / "out/checkpoint"
    found = resolve("out")
    assert (found.kind, found.path) == (Kind.ADAPTER, home / "out/checkpoint")
    assert found.training == str(home / "out/training.json") == resolve("out/checkpoint").training


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        ("../base", "{home}/out/../base"),
        ({"reference": "models/moved", "path": "{home}/base", "adapter": ""}, "{home}/base"),
        ({"reference": "lora", "path": "{home}/base", "adapter": "{home}/lora"}, "{home}/lora"),
        ({"reference": "owner/name", "path": "/gone", "adapter": ""}, "owner/name"),
        ({}, None),
        (7, None),
    ],
)
def test_full_training_output_names_its_parent(home, parent, expected):
    (home / "out").mkdir()
    shutil.copytree(home / "base", home / "out/checkpoint")
    (home / "out/training.json").write_text(json.dumps({"parent": parent}).replace("{home}", str(home)))
    assert resolve("out").parent == (expected and expected.replace("{home}", str(home)))


def test_absent_folder_suggests_a_sibling(home):
    one = fault("./bse")
    assert one.found == f"nothing at {home}/bse"
    assert one.do == "Did you mean ./base?"


def test_absent_below_an_existing_folder_is_a_path_not_a_hub_id(home):
    assert fault("lora/bass").found == f"nothing at {home}/lora/bass"


def test_folder_without_weights(home):
    (home / "base/model.safetensors").unlink()
    one = fault("base")
    assert str(one) == (
        f"{home}/base: found a folder without weights; expected model.safetensors or model.safetensors.index.json "
        "with its shards. Check the path, or save the model there."
    )


def test_pickled_weights_are_refused(home):
    (home / "base/model.safetensors").rename(home / "base/pytorch_model.bin")
    (home / "base/training_args.bin").touch()
    one = fault("base")
    assert one.found == "pytorch_model.bin"
    assert one.do.startswith("Weights are safetensors only")


def test_pickled_adapter_is_refused(home):
    (home / "lora/adapter_model.safetensors").rename(home / "lora/adapter_model.bin")
    one = fault("lora")
    assert (one.found, one.expected) == ("adapter_model.bin", "adapter_model.safetensors")


def test_folder_of_checkpoints_names_the_last(home):
    for step in (500, 1000):
        (home / f"run/checkpoint-{step}").mkdir(parents=True)
    one = fault("run")
    assert one.found == "no weights, but checkpoint-500, checkpoint-1000"
    assert one.do == f"Name one of them, such as {home}/run/checkpoint-1000."


@pytest.mark.parametrize(("cut", "state"), [(-7, "cut off"), (3, "too long")])
def test_damaged_safetensors(home, cut, state):
    file = home / "base/model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:cut] if cut < 0 else data + b"\0" * cut)
    one = fault("base")
    assert one.where == str(file)
    assert one.found == f"{len(data) + cut} bytes ({state})"
    assert one.expected == f"{len(data)} bytes, as its header says"


@pytest.mark.parametrize(
    "data", [b"", b"\x01\x02", b"\xff" * 8 + b"{}", b"\x02" + b"\0" * 7 + b"[]", b"\x04" + b"\0" * 7 + b"abcd"]
)
def test_safetensors_with_a_broken_header(home, data):
    (home / "base/model.safetensors").write_bytes(data)
    assert fault("base").where == str(home / "base/model.safetensors")


def test_missing_shard(home):
    tiny.llama(home / "sharded", shard="20KB")
    shards = [file.name for file in resolve("sharded").weights]
    assert len(shards) >= 2
    (home / "sharded" / shards[0]).unlink()
    one = fault("sharded")
    assert one.found == f"{len(shards) - 1} of {len(shards)} shards; missing: {shards[0]}"


def test_missing_config(home):
    (home / "base/config.json").unlink()
    assert fault("base").found == "weights without config.json"


def test_broken_config(home):
    (home / "base/config.json").write_text('{"a": 1,\n  "b"\n}')
    one = fault("base")
    assert (one.where, one.line, one.column) == (str(home / "base/config.json"), 3, 1)
    assert one.found.startswith("broken JSON")


def test_missing_tokenizer(home):
    (home / "base/tokenizer.json").unlink()
    one = fault("base")
    assert one.found == "a model without a tokenizer"
    assert one.expected == "tokenizer.json or tokenizer.model or vocab.json"


def test_weight_file_instead_of_its_folder(home):
    assert fault("base/model.safetensors").do == "Name its folder, " + f"{home}/base."


def test_served_models_have_no_files(home):
    found = resolve("openai:gpt@http://localhost:8000/v1")
    assert (found.kind, found.weights, found.parent) == (Kind.SERVED, (), None)
    assert fault("openai:gpt").found == "no model at a server"


def test_empty_reference():
    assert fault(" ").found == "an empty text"


def test_short_name_that_was_not_pulled(home, own_cache):
    one = fault("smollm2")
    assert one.found == f"no pulled copy in {own_cache}/models/smollm2"
    assert one.do == "Run: sfteval pull smollm2"


def test_unknown_id_without_hub(home):
    one = fault("somebody/something")
    assert one.found.startswith("no such folder here, and no hub answers (")
    assert one.where == "somebody/something"
    assert fault("smolm2").do == "Did you mean smollm2?"


def test_hub_id_without_hub_falls_back_to_the_pulled_copy(home, own_cache, caplog):
    hub_id = "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert fault(hub_id).do == "Run: sfteval pull smollm2"
    copy = own_cache / "models/smollm2"
    shutil.copytree(home / "base", copy)
    (copy / "pulled.json").write_text("{}")
    hub.say_once.cache_clear()
    assert resolve(hub_id).path == resolve(hub_id).path == copy == resolve("smollm2").path
    said = [record.message for record in caplog.records]
    assert said == [f"no hub answers for {hub_id}; using the pulled copy in {copy}"]


def test_hub_id_from_the_hub(home, monkeypatch):
    monkeypatch.setattr(hub, "fetch", lambda model_id: home / "base")
    found = resolve("owner/name")
    assert (found.path, found.hub_id, found.reference) == (home / "base", "owner/name", "owner/name")


def test_hub_that_refuses(home, monkeypatch):
    def refuse(model_id):
        raise hub.UnknownError("404")

    monkeypatch.setattr(hub, "fetch", refuse)
    assert fault("owner/name").found == "no such model on the hub (404)"


def test_scripted(home):
    (home / "fake.yaml").write_text("name: fake\n")
    assert resolve("scripted:fake.yaml").path == home / "fake.yaml"
    assert fault("scripted:fak.yaml").do == "Did you mean scripted:fake.yaml?"


def test_importing_and_resolving_needs_neither_torch_nor_transformers(home):
    code = (
        "import sys; import sfteval.backends as b; r = b.resolve('lora'); b.identify(r); b.WeightsPool(); b.pull; "
        "print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
