"""The TRL script of the examples, run as it stands on the tiny base."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sfteval.shipped import shipped

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.slow
def test_the_trl_script_trains_and_looks(tmp_path: Path) -> None:
    suites = shipped("fixtures/demo") / "suites" / "format.suite.yaml"
    rows = shipped("fixtures/demo") / "train.jsonl"
    words = [str(EXAMPLES / "trl_script.py"), str(shipped("fixtures/tiny_base")), str(rows), str(suites)]
    done = subprocess.run(
        [sys.executable, *words, str(tmp_path / "out"), "8"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES.parents[1]), "HF_HUB_OFFLINE": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    (history,) = (tmp_path / "out" / "runs" / "trainings").glob("*.jsonl")
    kinds = [json.loads(line).get("event") for line in history.read_text().splitlines()]
    assert kinds.count("look") >= 3, kinds
