"""A good suite file becomes a suite, gates with ids and lines, and a fingerprint of its content."""

import json
from pathlib import Path

import pytest

from sfteval.checks import CHECK_TABLE
from sfteval.errors import InputError
from sfteval.records import Gate, Suite, SuiteFile
from sfteval.spec import load_suite, require_distinct

ISSUE_SUITE = """\
suite: invoice-extraction
description: Structured responses for the finance desk
skill: structured_response
samples: invoices.jsonl            # or inline list; rows: {id, messages, reference?, vars?, cluster?, tags?}
system: You extract invoices. Answer with JSON only.
generate: {max_tokens: 256, temperature: 0}
checks:
  valid: {json_schema: invoice.schema.json, allow_fence: false}
  total_right: {json_path: $.total, number: {reference: true, tolerance: 0.005}}
  brief: {max_words: 120}
  stops: {ends_turn: true}
  all: {all_of: [valid, total_right, stops]}
gates:
  - {check: valid, at_least: 0.95}
  - {check: total_right, improves: {against: base, by: 0.10}}
  - {check: all, no_regression: {against: previous, margin: 0.02}}
"""
ROW = {"id": "a", "messages": [{"role": "user", "content": "Total 3"}], "reference": {"total": 3}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "suites" / "finance"
    inner.mkdir(parents=True)
    (inner / "invoice.suite.yaml").write_text(ISSUE_SUITE)
    (inner / "invoices.jsonl").write_text(json.dumps(ROW) + "\n\n" + json.dumps(ROW | {"id": "b"}) + "\n")
    (inner / "invoice.schema.json").write_text('{"type": "object"}')
    return inner


def load(folder: Path, root: Path | None = None) -> SuiteFile:
    return load_suite(folder / "invoice.suite.yaml", root=root or folder, checks=CHECK_TABLE)


def rewrite(folder: Path, old: str, new: str) -> None:
    path = folder / "invoice.suite.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_example_of_the_issue(folder: Path, tmp_path: Path) -> None:
    loaded = load(folder, tmp_path)
    assert isinstance(loaded.suite, Suite)
    assert [row.id for row in loaded.suite.samples] == ["a", "b"]
    assert loaded.suite.samples[0].messages[0].content == "Total 3"
    assert loaded.suite.generate.max_tokens == 256
    assert loaded.suite.checks["total_right"] == {
        "json_path": "$.total",
        "number": {"reference": True, "tolerance": 0.005},
    }
    path = "suites/finance/invoice.suite.yaml"
    assert loaded.gates[2] == Gate(
        id="all-no_regression-against-previous",
        path=path,
        line=16,
        suite="invoice-extraction",
        task="",
        check="all",
        demand="no_regression",
        threshold=0.02,
        against="previous",
        proof="none",
        alpha=0.05,
    )
    assert [(gate.id, gate.threshold, gate.against, gate.line) for gate in loaded.gates[:2]] == [
        ("valid-at_least", 0.95, None, 14),
        ("total_right-improves-against-base", 0.1, "base", 15),
    ]
    assert loaded.gates[0].node == f"{path}::valid-at_least"


def test_fingerprint_follows_content_only(folder: Path, tmp_path: Path) -> None:
    before = load(folder).fingerprint
    rewrite(folder, "at_least: 0.95", "at_least: 0.5")
    rewrite(folder, "description: Structured responses", "description: Something else")
    assert load(folder).fingerprint == before
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    assert load(moved).fingerprint == before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("invoices.jsonl", json.dumps(ROW | {"reference": {"total": 4}})),
        ("invoice.schema.json", '{"type": "object", "required": ["total"]}'),
    ],
)
def test_fingerprint_changes_with_a_named_file(folder: Path, file: str, content: str) -> None:
    before = load(folder).fingerprint
    (folder / file).write_text(content)
    assert load(folder).fingerprint != before


@pytest.mark.parametrize(
    ("old", "new"),
    [("max_words: 120", "max_words: 121"), ("max_tokens: 256", "max_tokens: 255"), ("JSON only.", "JSON.")],
)
def test_fingerprint_changes_with_the_suite(folder: Path, old: str, new: str) -> None:
    before = load(folder).fingerprint
    rewrite(folder, old, new)
    assert load(folder).fingerprint != before


def test_symlink_out_of_the_root(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    (folder / "invoices.jsonl").rename(secret)
    (folder / "invoices.jsonl").symlink_to(secret)
    with pytest.raises(InputError) as caught:
        load(folder)
    assert str(caught.value) == (
        "invoice.suite.yaml:4:10: found 'invoices.jsonl' in samples, which leads out of the suites; expected a path "
        "inside the collected root. Move the file there, or collect from a folder that holds both."
    )
    assert len(load(folder, tmp_path).suite.samples) == 2


def test_parent_folder_inside_the_root(folder: Path, tmp_path: Path) -> None:
    (folder / "invoices.jsonl").rename(tmp_path / "invoices.jsonl")
    rewrite(folder, "samples: invoices.jsonl", "samples: ../../invoices.jsonl")
    assert len(load(folder, tmp_path).suite.samples) == 2


def test_schema_file_out_of_the_root(folder: Path, tmp_path: Path) -> None:
    (folder / "invoice.schema.json").rename(tmp_path / "invoice.schema.json")
    rewrite(folder, "json_schema: invoice.schema.json", "json_schema: ../../invoice.schema.json")
    with pytest.raises(InputError) as caught:
        load(folder)
    assert str(caught.value).startswith(
        "invoice.suite.yaml:8:24: found '../../invoice.schema.json' in checks.valid.json_schema, which leads out"
    )


def test_a_reference_is_missing_in_one_row(folder: Path) -> None:
    rows = [ROW, {"id": "b", "messages": ROW["messages"]}]
    (folder / "invoices.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError) as caught:
        load(folder)
    assert str(caught.value) == (
        "invoices.jsonl:2: found no 'reference' in the row; expected the field 'reference', which the check "
        "'total_right' compares with"
    )


def test_byte_order_mark_and_crlf(folder: Path) -> None:
    before = load(folder).fingerprint
    for name in ("invoice.suite.yaml", "invoices.jsonl"):
        text = (folder / name).read_bytes().replace(b"\n", b"\r\n")
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text)
    assert load(folder).fingerprint == before


def test_too_large_a_suite_file(folder: Path) -> None:
    (folder / "invoice.suite.yaml").write_text("# " + "x" * 600_000)
    with pytest.raises(InputError) as caught:
        load(folder)
    assert str(caught.value) == (
        "invoice.suite.yaml: found more than 524288 bytes; expected at most 524288 bytes. "
        "Put samples into a .jsonl file and name it under samples."
    )


@pytest.mark.parametrize(("name", "found"), [("nothing.suite.yaml", "no such file"), ("../finance", "a folder")])
def test_not_a_file(folder: Path, name: str, found: str) -> None:
    with pytest.raises(InputError, match=f"found {found}; expected a YAML file"):
        load_suite(folder / name, root=folder, checks=CHECK_TABLE)


LM_EVAL = """\
suite: general
skill: forgetting
lm_eval: {tasks: [arc_easy, "AraDiCE_x,y"], limit: 5}
gates:
  - {check: acc_norm, no_regression: {against: base, margin: 0.03}}
  - {check: acc, name: floor, at_least: 0.25}
"""


def test_lm_eval_gates_stand_once_per_task(tmp_path: Path) -> None:
    path = tmp_path / "general.suite.yaml"
    path.write_text(LM_EVAL)
    gates = load_suite(path, root=tmp_path, checks=CHECK_TABLE).gates
    assert [(gate.id, gate.task, gate.line) for gate in gates] == [
        ("arc_easy-acc_norm-no_regression-against-base", "arc_easy", 5),
        ("aradice_x-y-acc_norm-no_regression-against-base", "AraDiCE_x,y", 5),
        ("arc_easy-floor", "arc_easy", 6),
        ("aradice_x-y-floor", "AraDiCE_x,y", 6),
    ]


def test_a_named_gate_of_a_single_task_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "general.suite.yaml"
    path.write_text(LM_EVAL.replace(', "AraDiCE_x,y"', ""))
    gates = load_suite(path, root=tmp_path, checks=CHECK_TABLE).gates
    assert [gate.id for gate in gates] == ["arc_easy-acc_norm-no_regression-against-base", "floor"]


def test_include_path_counts_by_content(tmp_path: Path) -> None:
    path = tmp_path / "general.suite.yaml"
    path.write_text(LM_EVAL.replace("limit: 5", "limit: 5, include_path: tasks"))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "arc.yaml").write_text("task: arc_easy\n")
    before = load_suite(path, root=tmp_path, checks=CHECK_TABLE).fingerprint
    (tmp_path / "tasks" / "arc.yaml").write_text("task: arc_hard\n")
    assert load_suite(path, root=tmp_path, checks=CHECK_TABLE).fingerprint != before


def test_two_files_of_one_suite(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.suite.yaml"
        path.write_text(LM_EVAL)
        files.append(load_suite(path, root=tmp_path, checks=CHECK_TABLE))
    require_distinct(files[:1])
    with pytest.raises(InputError) as caught:
        require_distinct(files)
    assert str(caught.value) == (
        "two.suite.yaml: found the suite name 'general', which one.suite.yaml has too; "
        "expected each suite name once. Rename one of them."
    )
