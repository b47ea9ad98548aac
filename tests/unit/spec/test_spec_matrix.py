"""`matrix`: one file, several suites with names and gate ids that say which is which; `only` and `skip` by tag."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfteval.checks import CHECK_TABLE
from sfteval.plan import chat_items
from sfteval.records import Suite
from sfteval.spec import load_suite, load_suites

SUITE = """\
suite: sums
weight: 2.5
samples:
  - {id: a, messages: [{role: user, content: Hi}], tags: {language: de, size: big}}
  - {id: b, messages: [{role: user, content: Ho}], tags: {language: en}}
  - {id: c, messages: [{role: user, content: He}], tags: {language: fr}}
matrix:
  temperature: [0, 0.7]
  system: {none: null, terse: Be terse.}
checks:
  brief: {max_words: 5}
gates:
  - {check: brief, at_least: 0.5}
  - {check: brief, name: own, no_regression: {against: base}}
"""


def load(folder: Path, text: str = SUITE):
    (folder / "a.suite.yaml").write_text(text)
    return load_suites(folder / "a.suite.yaml", root=folder, checks=CHECK_TABLE)


def test_one_suite_for_each_combination_in_the_order_written(tmp_path: Path) -> None:
    files = load(tmp_path)
    assert [file.suite.suite for file in files] == [
        "sums-temperature-0-system-none",
        "sums-temperature-0-system-terse",
        "sums-temperature-0-7-system-none",
        "sums-temperature-0-7-system-terse",
    ]
    assert [gate.id for gate in files[3].gates] == [
        "brief-at_least-temperature-0-7-system-terse",
        "own-temperature-0-7-system-terse",
    ]
    assert {(gate.group, gate.weight) for file in files for gate in file.gates} == {("sums", 2.5)}
    last = files[3].suite
    assert isinstance(last, Suite)
    assert (last.generate.temperature, last.system) == (0.7, "Be terse.")
    assert len({item.key for file in files for item in chat_items(file.suite)}) == 12
    assert len({file.fingerprint for file in files}) == 4


def test_only_a_file_without_a_matrix_holds_one_suite(tmp_path: Path) -> None:
    load(tmp_path)
    with pytest.raises(ValueError, match="too many values"):
        load_suite(tmp_path / "a.suite.yaml", root=tmp_path, checks=CHECK_TABLE)


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ("only: {tags.language: [de, en]}\n", ["a", "b"]),
        ("skip: {tags.language: de}\n", ["b", "c"]),
        ("only: {tags.language: [de, en]}\nskip: {tags.size: big}\n", ["b"]),
        ("only: {tags.language: de, tags.size: big}\n", ["a"]),
    ],
)
def test_parts_by_tag(tmp_path: Path, more: str, kept: list[str]) -> None:
    for file in load(tmp_path, SUITE.replace("matrix:", more + "matrix:")):
        assert [row.id for row in file.suite.samples] == kept
