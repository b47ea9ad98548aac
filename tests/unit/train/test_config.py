"""The training config: every fault at once, each with its place."""

from __future__ import annotations

import pytest

from sfteval.errors import InputError
from sfteval.keys import file_key
from sfteval.train import load_config
from sfteval.train.data_config import Budget
from sfteval.train.method_config import Full, Lora, Peft, Prefix

GOOD = """\
model: org/model
data:
  train: [{path: rows.jsonl, format: messages, weight: 1.0}]
  holdout: 0.1
  max_length: 512
  loss_on: assistant            # a comment
method: {name: lora, rank: 4, alpha: 8, dropout: 0.05, targets: [q_proj, v_proj]}
optimizer: {learning_rate: 2e-4, epochs: 2, batch_tokens: 4096, schedule: cosine, warmup: 0.03}
output: runs/
seed: 7
"""
NAMES = "'lora', 'full', 'qlora', 'prefix', 'prompt', 'adapter' or 'peft'"
METHOD = "{name: lora, rank: 4, alpha: 8, dropout: 0.05, targets: [q_proj, v_proj]}"


@pytest.fixture
def config(tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}\n")

    def write(text, name="finance.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def faults_of(path):
    with pytest.raises(InputError) as caught:
        load_config(path)
    return [str(fault).removeprefix(f"{path}") for fault in caught.value.faults]


def test_a_whole_config(config, tmp_path):
    path = config(GOOD)
    loaded = load_config(path)
    assert loaded.model == "org/model"
    assert loaded.data.train[0].path == str(tmp_path / "rows.jsonl")
    assert loaded.output == str(tmp_path / "runs")
    assert loaded.method == Lora(rank=4, alpha=8.0, dropout=0.05, targets=("q_proj", "v_proj"))
    assert loaded.optimizer.learning_rate == 0.0002
    assert (loaded.name, loaded.file, loaded.fingerprint) == ("finance", path, file_key(path))


def test_full_and_defaults(config):
    loaded = load_config(config("model: m\ndata: {train: [{path: rows.jsonl}]}\nmethod: {name: full}\n"))
    assert loaded.method == Full()
    assert loaded.data.model_dump(exclude={"train"}) == {
        "holdout": 0.0,
        "max_length": 1024,
        "loss_on": "assistant",
        "prompt_weight": 0.0,
        "streaming": False,
        "against": None,
        "budget": Budget().model_dump(),
    }
    assert loaded.optimizer.model_dump() == {
        "learning_rate": 2e-4,
        "epochs": 1.0,
        "batch_tokens": 4096,
        "schedule": "cosine",
        "warmup": 0.03,
        "packing": None,
        "precision": "auto",
    }


def test_a_bare_name_means_the_methods_defaults(config):
    assert load_config(config(GOOD.replace(METHOD, "lora"))).method == Lora()
    assert load_config(config(GOOD.replace(METHOD, "prefix"))).method == Prefix(name="prefix")


def test_any_peft_method_keeps_its_fields(config):
    loaded = load_config(
        config(GOOD.replace(METHOD, "peft").replace("seed: 7", "peft: {type: IA3, target_modules: [q]}"))
    )
    assert loaded.method == Peft(name="peft")
    assert (loaded.peft.type, loaded.peft.model_extra) == ("IA3", {"target_modules": ["q"]})


def test_a_model_beside_the_config_is_found(config, tmp_path):
    (tmp_path / "base").mkdir()
    loaded = load_config(config(GOOD.replace("org/model", "base")))
    assert loaded.model == str(tmp_path / "base")


def test_all_faults_at_once_with_their_places(config):
    text = (
        GOOD.replace("holdout: 0.1", "hold_out: 0.1")
        .replace("loss_on: assistant ", "loss_on: asistant ")
        .replace("rank: 4", "rank: four")
        .replace("schedule: cosine", "schedule: cosin")
        .replace("seed: 7", "seed: -1")
    )
    assert faults_of(config(text)) == [
        ":4:3: found unknown key 'hold_out' in data; expected one of against, budget, holdout, loss_on, max_length, "
        "prompt_weight, streaming, train. "
        "Did you mean 'holdout'?",
        ":6:12: found 'asistant' in data.loss_on; expected 'assistant', 'last_assistant' or 'all'. "
        "Did you mean 'assistant'?",
        ":7:28: found 'four' in method.rank; expected a whole number",
        ":8:75: found 'cosin' in optimizer.schedule; expected 'cosine', 'linear' or 'constant'. Did you mean 'cosine'?",
        ":10:7: found -1 in seed; expected a number of at least 0",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            METHOD,
            "{name: lorra}",
            f":7:16: found 'lorra' in method.name; expected {NAMES}. Did you mean 'lora'?",
        ),
        (METHOD, "{name: 3}", f":7:16: found 3 in method.name; expected {NAMES}"),
        (METHOD, "lorra", f":7:9: found 'lorra' in method.name; expected {NAMES}. Did you mean 'lora'?"),
        (METHOD, "[lora]", ":7:9: found a list in method; expected a mapping"),
        (METHOD, "peft", ":7:9: found method peft without 'peft'; expected peft: {type: IA3, …}"),
        ("seed: 7", "peft: {type: IA3}", ":10:1: found 'peft' beside method lora; expected method: peft"),
        (
            METHOD,
            "{name: prefix, text: Hello, projection: 8}",
            ":7:9: found a combination that does not fit in method; "
            "expected either 'text' or 'projection': a projection starts at zero",
        ),
        (METHOD, "{name: full, rank: 3}", ":7:22: found unknown key 'rank' in method; expected one of name"),
        (
            "rank: 4",
            "rnk: 4",
            ":7:22: found unknown key 'rnk' in method; expected one of alpha, dora, dropout, init, name, rank, "
            "rslora, targets. "
            "Did you mean 'rank'?",
        ),
        ("name: lora", "nam: lora", ":7:9: found no 'name' in method; expected the field 'name'"),
        ("model: org/model\n", "", ":1:1: found no 'model'; expected the field 'model'"),
        ("[q_proj, v_proj]", "3", ":7:65: found 3 in method.targets; expected 'all-linear' or a list"),
        ("v_proj]", "'']", ":7:74: found '' in method.targets[1]; expected a text that is not empty"),
        (
            "rows.jsonl",
            "no.jsonl",
            ":3:18: found no file 'no.jsonl' in data.train[0].path; "
            "expected a data file (paths resolve from the config's folder)",
        ),
        (
            "[{path: rows.jsonl, format: messages, weight: 1.0}]",
            "[]",
            ":3:10: found an empty list in data.train; expected at least 1 item",
        ),
        ("weight: 1.0", "weight: 0", ":3:56: found 0 in data.train[0].weight; expected a number above 0"),
        (
            "weight: 1.0",
            "weight: .inf",
            ":3:56: found .inf, which is no finite number; expected a finite number. Or put it in quotes.",
        ),
        ("epochs: 2", "epochs: true", ":8:42: found true in optimizer.epochs; expected a number"),
        (
            "seed: 7\n",
            "seed: 7\nseed: 8\n",
            ":11:1: found the key 'seed' twice (first in line 10); expected each key once",
        ),
        (
            "seed: 7",
            "seed: [7",
            ":11:1: found malformed YAML (expected ',' or ']', but got stream end, while parsing a flow sequence); "
            "expected YAML 1.2",
        ),
        (
            "seed: 7",
            "hooks: {suites: suites/}",
            ":10:17: found 'suites/' in hooks.suites; expected a list",
        ),
        (
            "seed: 7",
            "hooks: {suites: [suites/]}",
            ":10:18: found nothing at 'suites/' in hooks.suites[0]; expected a suite file or folder (paths resolve "
            "from the config's folder)",
        ),
    ],
)
def test_each_fault_has_its_message(config, old, new, message):
    assert old in GOOD
    assert faults_of(config(GOOD.replace(old, new))) == [message]


def test_paths_of_hooks_are_absolute(config, tmp_path):
    (tmp_path / "suites").mkdir()
    hooks = load_config(config(GOOD + "hooks: {suites: [suites], runs_dir: there}\n")).hooks
    assert (hooks.suites, hooks.runs_dir) == ((str(tmp_path / "suites"),), str(tmp_path / "there"))


def test_not_a_mapping(config):
    assert faults_of(config("- a\n")) == [":1:1: found a list; expected a mapping of training fields"]


def test_a_missing_file(tmp_path):
    assert faults_of(tmp_path / "no.yaml") == [": found no such file; expected a YAML file"]


def test_a_file_that_is_too_large_is_not_told_of_samples(config):
    assert faults_of(config("#" * (512 * 1024 + 1))) == [
        ": found more than 524288 bytes; expected at most 524288 bytes"
    ]
