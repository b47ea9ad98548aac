"""Every suite in the language reference loads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sfteval.pipeline.planning import load_file

TEXT = (Path(__file__).parents[3] / "docs" / "suites.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
SHARED = "# shared.yaml\n"
SUITES = [block for block in BLOCKS if not block.startswith(SHARED)]


def test_there_are_examples() -> None:
    assert len(SUITES) >= 5


@pytest.mark.parametrize("text", SUITES, ids=[text.split("\n")[0] for text in SUITES])
def test_examples_load(text: str, tmp_path: Path) -> None:
    row = {
        "id": "a",
        "messages": [{"role": "user", "content": "Total 3.50"}],
        "reference": {"total": 3.5},
        "tags": {"language": "de"},
    }
    (tmp_path / "invoices.jsonl").write_text(json.dumps(row) + "\n")
    for name in ("train", "heldout"):
        turns = [{"role": "user", "content": "Total?"}, {"role": "assistant", "content": f"From {name}: 3.50"}]
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    (tmp_path / "prose.txt").write_text("A short tale of nothing in particular.\n")
    (tmp_path / "invoice.schema.json").write_text('{"type": "object"}')
    (tmp_path / "shared.yaml").write_text(next(block for block in BLOCKS if block.startswith(SHARED)))
    (tmp_path / "x.suite.yaml").write_text(text)
    assert all(file.gates for file in load_file(tmp_path / "x.suite.yaml", tmp_path))


def test_every_field_is_documented() -> None:
    from sfteval.records import Suite

    rows = re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)
    fields = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(Suite.model_fields) - {"description"} <= fields
