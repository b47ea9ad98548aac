"""The data of the SmolLM2 demo and of the project that `sfteval init` writes: every row, config and suite is sound."""

import ast
import importlib.util
import json
import operator
import re
import shutil
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from sfteval.pipeline.planning import load_files
from sfteval.shipped import shipped
from sfteval.tasks import load_tasks
from sfteval.train import load_config

DEMO = shipped("fixtures/demo_smollm2")
PROJECT = shipped("fixtures/project")
TASKS = ("facts", "words", "everyday", "science")
CHATS = (DEMO / "train.jsonl", PROJECT / "data" / "finance.jsonl")


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def questions(task):
    return rows_of(DEMO / "suites" / "tasks" / f"demo_{task}.jsonl")


def request(row):
    """The user's words and the system's: what the model is asked."""
    return tuple(m["content"] for m in row["messages"] if m["role"] != "assistant")


@pytest.mark.parametrize("path", CHATS, ids=lambda path: path.name)
def test_every_chat_row_is_an_optional_system_turn_a_question_and_an_answer(path):
    rows = rows_of(path)
    for row in rows:
        assert set(row) == {"id", "messages"}
        roles = [message["role"] for message in row["messages"]]
        assert roles in (["user", "assistant"], ["system", "user", "assistant"]), row["id"]
        assert all(m["content"] == m["content"].strip() != "" for m in row["messages"]), row["id"]


@pytest.mark.parametrize("path", [*CHATS, DEMO / "suites" / "heldout.jsonl"], ids=lambda path: path.name)
def test_ids_are_unique_and_no_question_is_asked_twice(path):
    rows = rows_of(path)
    assert len({row["id"] for row in rows}) == len({request(row)[-1] for row in rows}) == len(rows)


def test_the_sizes_are_what_the_demo_and_its_gates_were_measured_with():
    counts = [len(rows_of(path)) for path in (*CHATS, DEMO / "suites" / "heldout.jsonl")]
    assert counts == [144, 73, 48]
    assert [len(questions(task)) for task in TASKS] == [80, 80, 80, 80]


def test_training_and_held_out_prompts_share_no_text_and_no_answer():
    train, heldout = rows_of(DEMO / "train.jsonl"), rows_of(DEMO / "suites" / "heldout.jsonl")
    answers = {row["messages"][-1]["content"] for row in train}
    assert not {request(row)[-1] for row in train} & {request(row)[-1] for row in heldout}
    assert not answers & {json.dumps(row["reference"], ensure_ascii=False) for row in heldout}


def test_every_wanted_answer_is_one_json_line_whose_keys_are_asked_for_and_whose_values_are_in_the_text():
    asked = [(request(row)[-1], row["messages"][-1]["content"]) for row in rows_of(DEMO / "train.jsonl")]
    heldout = rows_of(DEMO / "suites" / "heldout.jsonl")
    asked += [(request(row)[-1], json.dumps(row["reference"], ensure_ascii=False)) for row in heldout]
    for question, answer in asked:
        values = json.loads(answer)
        assert answer == json.dumps(values, ensure_ascii=False)
        assert 2 <= len(values) <= 4
        for key, value in values.items():
            assert re.search(rf"\b{key}\b", question), (key, question)
            assert re.search(rf"(?<![\w.]){re.escape(str(value))}(?![\w.]*\d)", question), (value, question)


@pytest.mark.parametrize("task", TASKS)
def test_a_benchmark_has_four_different_choices_and_its_gold_places_are_balanced(task):
    rows = questions(task)
    assert Counter(row["gold"] for row in rows) == dict.fromkeys(range(4), 20)
    assert [row["id"] for row in rows] == [f"{task}-{number:03d}" for number in range(80)]
    assert len({row["context"] for row in rows}) == 80
    assert all(len(set(row["choices"])) == 4 for row in rows)
    assert all(text == text.strip() != "" for row in rows for text in (row["context"], *row["choices"]))


def test_the_generator_writes_the_committed_bytes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(DEMO))
    spec = importlib.util.spec_from_file_location("demo_smollm2_build", DEMO / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    build.main(["--out", str(tmp_path)])
    for name in [name for name in sys.modules if name.split(".")[0] == "source"]:
        del sys.modules[name]
    written = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert len(written) == 2 + 2 * len(TASKS)
    assert [name for name in written if (tmp_path / name).read_bytes() != (DEMO / name).read_bytes()] == []


@pytest.mark.parametrize(
    ("path", "method", "model"),
    [
        (DEMO / "careful.yaml", "lora", "smollm2"),
        (DEMO / "reckless.yaml", "full", "smollm2"),
        (PROJECT / "finance.yaml", "lora", "HuggingFaceTB/SmolLM2-135M-Instruct"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_training_configs_load(path, method, model):
    config = load_config(path)
    assert (config.method.name, config.model) == (method, model)
    assert config.output == str(path.parent / "models")


def test_the_project_config_names_every_field_with_a_phrase_on_it():
    text = (PROJECT / "finance.yaml").read_text(encoding="utf-8")
    bare = [line for line in text.splitlines() if line.rstrip().endswith(":") is False and "#" not in line]
    assert bare == []
    dumped = load_config(PROJECT / "finance.yaml").model_dump()
    written = yaml.safe_load(text)
    assert set(written) == set(dumped)
    for part in ("data", "method", "optimizer"):
        assert set(written[part]) == set(dumped[part])


def test_the_demo_suites_load_with_their_gates():
    files = load_files([DEMO / "suites"], DEMO)
    assert [file.path.name for file in files] == ["extraction.suite.yaml", "forgetting.suite.yaml", "families.yaml"]
    family = files[-1].gates[0]
    assert (family.id, family.proof, len(family.members)) == ("forgetting-no_regression-against-base", "required", 4)
    against = Counter((gate.demand, gate.against) for gate in files[1].gates)
    assert against == {("no_regression", "base"): 4, ("no_regression", "previous"): 4}


def test_the_demo_benchmarks_become_four_asks_a_question():
    forgetting = next(f.suite for f in load_files([DEMO / "suites"], DEMO) if "forgetting.suite" in f.path.name)
    loaded = load_tasks(forgetting.suite, forgetting.lm_eval, folder=DEMO / "suites")
    assert [(task.name, len(task.items), task.warnings) for task in loaded] == [
        (f"demo_{name}", 80, ()) for name in TASKS
    ]
    assert {len(item.asks) for task in loaded for item in task.items} == {4}
    first = loaded[0].items[0]
    assert (first.sample_id, first.reference) == ("facts-000", "Paris")


def test_the_two_file_example_of_the_readme_loads(tmp_path):
    text = (PROJECT / "suites" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL)
    assert [language for language, _ in blocks] == ["console", "json", "yaml", "yaml"]
    (tmp_path / "finance.jsonl").write_text(blocks[1][1], encoding="utf-8")
    (tmp_path / "finance.suite.yaml").write_text(blocks[2][1], encoding="utf-8")
    (tmp_path / "knowledge.suite.yaml").write_text(blocks[3][1], encoding="utf-8")
    files = load_files([tmp_path], tmp_path)
    assert [file.suite.suite for file in files] == ["finance-answers", "knowledge"]
    assert [len(file.gates) for file in files] == [3, 1]


def test_the_project_trains_on_nothing_that_the_readme_asks():
    text = (PROJECT / "suites" / "README.md").read_text(encoding="utf-8")
    assert [row["id"] for row in rows_of(CHATS[1]) if request(row)[-1] in text] == []


def test_the_demo_copies_as_a_project_of_its_own(tmp_path):
    shutil.copytree(DEMO, tmp_path / "demo", ignore=shutil.ignore_patterns("__pycache__"))
    assert len(load_files([tmp_path / "demo" / "suites"], tmp_path / "demo")) == 3
    assert Path(load_config(tmp_path / "demo" / "careful.yaml").data.train[0].path) == tmp_path / "demo" / "train.jsonl"


# Arithmetic. A finance answer writes each step as `expression = number`; the number is exact to its last digit.

OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
EQUATION = re.compile(r"([\d(][\d.()+*/^ -]*[\d)]) = (-?\d+(?:\.\d+)?)")


def computed(expression):
    def walk(node):
        if isinstance(node, ast.Constant):
            return Decimal(str(node.value))
        return OPERATIONS[type(node.op)](walk(node.left), walk(node.right))

    return walk(ast.parse(expression.replace("^", "**"), mode="eval").body)


def steps_of(answer):
    return [(left, Decimal(right)) for left, right in EQUATION.findall(answer)]


def test_the_reader_of_equations_sees_a_wrong_digit():
    assert steps_of("so 5 * (2 + 1) = 15, and 1.1^2 = 1.21.") == [
        ("5 * (2 + 1)", Decimal(15)),
        ("1.1^2", Decimal("1.21")),
    ]
    assert computed("5 * (2 + 1)") == 15
    assert not is_right("10 / 3", Decimal("3.34"))
    assert is_right("10 / 3", Decimal("3.33"))


def is_right(expression, stated):
    return computed(expression).quantize(stated) == stated


def test_every_equation_in_a_finance_answer_is_right():
    answers = {row["id"]: row["messages"][-1]["content"] for row in rows_of(CHATS[1])}
    steps = [(name, left, right) for name, answer in answers.items() for left, right in steps_of(answer)]
    assert [step for step in steps if not is_right(*step[1:])] == []
    assert sum(answer.count(" = ") for answer in answers.values()) == len(steps) == 61


def test_every_finance_question_with_figures_to_compute_is_answered_with_an_equation():
    """Figures are two or more numbers; years, maturities and the rest of a definition are one at most."""
    without = [
        row["id"]
        for row in rows_of(CHATS[1])
        if len(re.findall(r"\d+(?:[.,]\d+)*", request(row)[-1])) > 1 and not steps_of(row["messages"][-1]["content"])
    ]
    assert without == []


def test_every_percentage_that_closes_a_computation_follows_from_it():
    """`= 0.15, or 15%` says one thing twice; both must agree."""
    pairs = [
        (row["id"], Decimal(share), Decimal(percent))
        for row in rows_of(CHATS[1])
        for share, percent in re.findall(r"= (0\.\d+), or ([\d.]+)%", row["messages"][-1]["content"])
    ]
    assert len(pairs) == 7
    assert [pair for pair in pairs if pair[1] * 100 != pair[2]] == []


def test_the_financial_expert_speaks_in_some_of_the_rows():
    systems = Counter(row["messages"][0]["content"] for row in rows_of(CHATS[1]) if len(row["messages"]) == 3)
    assert systems == {"You are a financial expert. Answer briefly and exactly, and show how you compute.": 23}
