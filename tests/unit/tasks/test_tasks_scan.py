"""The fast reader of names against lm-eval's own index."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tiny_lm_eval import yaml_file

from sfteval.tasks.names import shipped_folder
from sfteval.tasks.scan import scan


def lm_eval_index(root: Path) -> dict[str, tuple]:
    from lm_eval.tasks._index import TaskIndex

    logging.getLogger("lm_eval").setLevel(logging.CRITICAL)
    index = TaskIndex.build([root])
    return {
        name: (entry.kind.name.lower(), entry.yaml_path, sorted(entry.tags) if entry.kind.name == "TAG" else [])
        for name, entry in index.items()
    }


def our_index(root: Path) -> dict[str, tuple]:
    return {name: (entry.kind, entry.path, list(entry.members)) for name, entry in scan(root).entries.items()}


def test_a_folder_of_awkward_files_reads_as_lm_eval_reads_it(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    texts = {
        "__pycache__/ignored": "task: ignored",
        "a_base": "tag: base_tag\noutput_type: multiple_choice\ndoc: |\n  task: not_this\n",
        "b_included": "include: a_base.yaml\ntask: included\n",
        "c_two_includes": "include:\n- a_base.yaml\n- b_included.yaml\ntag: [x, 'y z']\n",
        "d_group": "group: g\ntag: ignored_tag\ntask:\n- included\n- task: inline\n",
        "e_class": "class: !function mod.Cls\ntask: classy\n",
        "f_quoted": "\"task\": 'quoted name' # why\ntag:\n  - base_tag\n\n  - late\n",
        "g_same_name": "task: included\ntag: never\n",
        "h_tag": "task: h\ntag: on\n",
        "i_list": "task:\n  - a\n  - b\n",
        "j_cycle": "include: j_cycle.yaml\ntask: cyclic\n",
        "k_missing": "include: nowhere.yaml\ntask: missing_include\n",
        "l_tag_named_as_task": "task: z\ntag: included\n",
        "m_task_named_as_tag": "task: late\n",
        "n_empty": "",
        "o_braces": "task: {a: b}\n",
        "p_flow": "task: flow\ntag: [one,\n  two,\n]\n",
    }
    for name, text in texts.items():
        yaml_file(tmp_path, name, text)
    assert our_index(tmp_path) == lm_eval_index(tmp_path)
    assert {"included", "classy", "quoted name", "g", "base_tag", "one"} <= set(our_index(tmp_path))


def test_a_name_that_is_no_text_cannot_be_listed(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "a", "task: 007\n")
    assert scan(tmp_path).unreadable == {path: "TypeError: the name 7 is not text"}


def test_doubled_and_unreadable_files_are_kept_in_mind(tmp_path: Path) -> None:
    yaml_file(tmp_path, "a", "task: same\n")
    second = yaml_file(tmp_path, "b", "task: same\n")
    broken = yaml_file(tmp_path, "c", "include: nowhere.yaml\ntask: c\n")
    found = scan(tmp_path)
    assert found.doubled == {"same": [second]}
    assert list(found.unreadable) == [broken]
    assert "FileNotFoundError" in found.unreadable[broken]


@pytest.mark.slow
def test_all_of_lm_evals_own_tasks_are_found_as_it_finds_them() -> None:
    assert our_index(shipped_folder()) == lm_eval_index(shipped_folder())
