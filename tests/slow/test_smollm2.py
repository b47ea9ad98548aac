"""The line on the real 135M model: `sfteval pull smollm2` first. Deselected by default, run by .ci/run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sfteval.backends import pulled

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"

needs_model = pytest.mark.skipif(pulled("smollm2") is None, reason="smollm2 is not pulled: sfteval pull smollm2")
needs_data = pytest.mark.skipif(not (DATA / "fin_tweets").is_dir(), reason=f"no published data in {DATA}")


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False, timeout=2400
    )


@needs_model
def test_demo_on_the_real_model(tmp_path: Path) -> None:
    done = run("-m", "sfteval", "demo", "--model", "smollm2", "--out", str(tmp_path / "demo"), "--json", cwd=tmp_path)
    result = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert (result["careful"]["exit_code"], result["careful"]["verdict"]) == (0, "PASS")
    assert (result["reckless"]["exit_code"], result["reckless"]["verdict"]) == (1, "FAIL")
    assert any("forgetting" in gate["node"] for gate in result["reckless"]["failed_gates"])


@needs_model
@needs_data
def test_the_line_on_published_data(tmp_path: Path) -> None:
    script = str(ROOT / "benchmarks" / "real_line.py")
    done = run(script, "--data", str(DATA), "--out", str(tmp_path / "line"), "--prompts", "24", cwd=tmp_path)
    assert done.returncode in (0, 1, 20), done.stdout + done.stderr
    for gate in ("valid_json-improves-against-base", "followed-no_regression-against-base", "arc_easy_local-acc"):
        assert gate in done.stdout
    assert "NOT_COMPARABLE" not in done.stdout


@needs_model
def test_the_pulled_model_talks(tmp_path: Path) -> None:
    (tmp_path / "one.suite.yaml").write_text(
        "suite: one\nsamples:\n  - id: capital\n"
        "    messages: [{role: user, content: What is the capital of France?}]\n"
        "generate: {max_tokens: 32}\n"
        "checks: {paris: {contains: [Paris]}, stops: {ends_turn: true}}\n"
        "gates: [{check: paris, at_least: 1}]\n"
    )
    done = run("-m", "sfteval", "eval", "--candidate", "smollm2", "--suites", "one.suite.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    means = {m["check"]: m["mean"] for m in json.loads(done.stdout)["metrics"]}
    assert means == {"paris": 1.0, "stops": 1.0}
