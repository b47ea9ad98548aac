"""`extends`: settings from below, each with the file and line that it stands in."""

from __future__ import annotations

from pathlib import Path

from sfteval.checks import CHECK_TABLE
from sfteval.records import Suite, SuiteFile
from sfteval.spec import load_suite

SUITE = """\
suite: s
extends: ../shared/all.yaml
generate: {max_tokens: 7}
checks:
  brief: {max_words: 5}
"""
ALL = """\
extends: more/base.yaml
skill: style
generate: {max_tokens: 99, temperature: 0.5}
checks:
  brief: {max_words: 9, }
  fits: {json_schema: fits.schema.json}
gates:
  - {check: fits, at_least: 0.5}
"""
BASE = """\
description: from the bottom
samples: rows.jsonl
skill: format
"""


def load(folder: Path) -> SuiteFile:
    for name in ("suites", "shared/more"):
        (folder / name).mkdir(parents=True)
    (folder / "suites/a.suite.yaml").write_text(SUITE)
    (folder / "shared/all.yaml").write_text(ALL)
    (folder / "shared/fits.schema.json").write_text("{}")
    (folder / "shared/more/base.yaml").write_text(BASE)
    (folder / "shared/more/rows.jsonl").write_text('{"id": "a", "messages": [{"role": "user", "content": "Hi"}]}\n')
    return load_suite(folder / "suites/a.suite.yaml", root=folder, checks=CHECK_TABLE)


def test_joined_from_three_files(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    suite = loaded.suite
    assert isinstance(suite, Suite)
    assert (suite.suite, suite.skill, suite.description) == ("s", "style", "from the bottom")
    assert (suite.generate.max_tokens, suite.generate.temperature) == (7, 0.5)
    assert suite.checks == {"brief": {"max_words": 5}, "fits": {"json_schema": "../shared/fits.schema.json"}}
    assert [row.id for row in suite.samples] == ["a"]
    (gate,) = loaded.gates
    assert (gate.node, gate.line) == ("suites/a.suite.yaml::fits-at_least", 2)


def test_content_counts_not_files(tmp_path: Path) -> None:
    before = load(tmp_path / "one").fingerprint
    whole = tmp_path / "two"
    whole.mkdir()
    (whole / "fits.schema.json").write_text("{}")
    (whole / "a.suite.yaml").write_text(
        "suite: s\ngenerate: {max_tokens: 7, temperature: 0.5}\n"
        "samples: [{id: a, messages: [{role: user, content: Hi}]}]\n"
        "checks:\n  fits: {json_schema: ../shared/fits.schema.json}\n  brief: {max_words: 5}\n"
        "gates: [{check: fits, at_least: 0.5}]\n"
    )
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/fits.schema.json").write_text("{}")
    assert load_suite(whole / "a.suite.yaml", root=tmp_path, checks=CHECK_TABLE).fingerprint == before
