"""The training config: every fault at once, each with its place."""

from __future__ import annotations

import pytest

from sfteval.errors import InputError
from sfteval.keys import file_key
from sfteval.train import load_config
from sfteval.train.config import Full, Lora

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
    assert loaded.data.model_dump(exclude={"train"}) == {"holdout": 0.0, "max_length": 1024, "loss_on": "assistant"}
    assert loaded.optimizer.model_dump() == {
        "learning_rate": 2e-4,
        "epochs": 1.0,
        "batch_tokens": 4096,
        "schedule": "cosine",
        "warmup": 0.03,
    }


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
        ":4:3: found data.hold_out: an unknown field; expected one of train, holdout, max_length, loss_on. "
        "Did you mean 'holdout'?",
        ":6:3: found data.loss_on: 'asistant'; expected one of assistant, last_assistant, all. "
        "Did you mean 'assistant'?",
        ":7:22: found method.rank: 'four'; expected input should be a valid integer",
        ":8:65: found optimizer.schedule: 'cosin'; expected one of cosine, linear, constant. Did you mean 'cosine'?",
        ":10:1: found seed: -1; expected input should be greater than or equal to 0",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "name: lora, rank: 4, alpha: 8, dropout: 0.05, targets: [q_proj, v_proj]",
            "name: lorra",
            ":7:10: found method.name: 'lorra'; expected one of lora, full. Did you mean 'lora'?",
        ),
        ("name: lora", "nam: lora", ":7:1: found method.name: nothing; expected a value: the field is required"),
        ("model: org/model\n", "", ":1:1: found model: nothing; expected a value: the field is required"),
        (
            "rows.jsonl",
            "no.jsonl",
            ":3:12: found data.train.0.path: 'no.jsonl', which is not there; expected a JSONL file. "
            "Paths resolve from the config's folder",
        ),
        (
            "[{path: rows.jsonl, format: messages, weight: 1.0}]",
            "[]",
            ":3:3: found data.train: an empty list; expected at least one entry",
        ),
        ("weight: 1.0", "weight: 0", ":3:48: found data.train.0.weight: 0; expected input should be greater than 0"),
        (
            "weight: 1.0",
            "weight: .inf",
            ":3:48: found data.train.0.weight: inf; expected input should be a finite number",
        ),
        ("epochs: 2", "epochs: true", ":8:34: found optimizer.epochs: True; expected input should be a valid number"),
        ("seed: 7\n", "seed: 7\nseed: 8\n", ':11:1: found duplicate key "seed"; expected every key once'),
        ("seed: 7", "seed: [7", ":11:1: found expected ',' or ']', but got '<stream end>'; expected valid YAML"),
        (
            "seed: 7",
            "hooks: {suites: suites/}",
            ":10:1: found hooks: this field; expected no such field yet. It arrives with the training work; remove it",
        ),
    ],
)
def test_each_fault_has_its_message(config, old, new, message):
    assert old in GOOD
    assert faults_of(config(GOOD.replace(old, new))) == [message]


def test_not_a_mapping(config):
    assert faults_of(config("- a\n")) == [": found a list at the top level; expected a mapping of fields"]


def test_a_missing_file(tmp_path):
    assert faults_of(tmp_path / "no.yaml") == [": found No such file or directory; expected a readable YAML file"]
