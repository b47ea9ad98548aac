"""The shipped forgetting suite, switched to local data as its head says, gates the real 135M model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sfteval.backends import pulled

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
LIMIT = 40


@pytest.mark.skipif(pulled("smollm2") is None, reason="smollm2 is not pulled: sfteval pull smollm2")
@pytest.mark.skipif(not (DATA / "piqa").is_dir(), reason=f"no published data in {DATA}")
def test_local_data_gates_the_real_model(tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "shipped_suites.py")
    subprocess.run([sys.executable, script, "--data", str(DATA), "--out", str(tmp_path), "--prepare"], check=True)
    suite = tmp_path / "suites" / "forgetting" / "general.suite.yaml"
    text = suite.read_text(encoding="utf-8")
    assert "\n  include_path: local/\n" in text
    suite.write_text(text.replace("limit: 200", f"limit: {LIMIT}").replace("margin: 0.03", "margin: 0.08"))
    gate = ["-m", "pytest", "suites/forgetting", "-v", "--candidate", "smollm2", "--base", "smollm2"]
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    command = [sys.executable, *gate, "--previous", "none"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    for task in ("arc_easy", "arc_challenge", "hellaswag", "piqa"):
        assert f"general.suite.yaml::{task}-acc_norm-no_regression-against-base PASSED" in done.stdout
