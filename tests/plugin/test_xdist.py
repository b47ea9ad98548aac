"""Under `-n 2` the answer is the same, nothing is computed twice, and the controller sets the exit code."""

from __future__ import annotations

import json

import pytest

from sfteval.store import RunStore

from .conftest import gate


@pytest.mark.parametrize(("candidate", "code"), [("good", 0), ("worse", 1)])
def test_same_verdicts_as_one_process(project, candidate, code) -> None:
    alone = gate(project, "--previous", "none", "--verdicts", "one.json", "--runs-dir", "one", candidate=candidate)
    spread = gate(
        project, "--previous", "none", "--verdicts", "two.json", "--runs-dir", "two", "-n", "2", candidate=candidate
    )
    assert (alone.ret, spread.ret) == (code, code)
    one, two = (json.loads((project.path / name).read_text()) for name in ("one.json", "two.json"))

    def figures(verdicts):
        return {row["node"]: {k: v for k, v in row.items() if k != "runs"} for row in verdicts["gates"]}

    assert figures(one) == figures(two)
    manifests = RunStore(project.path / "two").manifests()
    assert sorted(m.counts["computed"] for m in manifests) == [40, 40]
    assert all(m.counts["samples"] == 40 for m in manifests)


def test_a_worker_that_dies_leaves_a_gate_without_an_answer(project) -> None:
    project.makeconftest(
        "import os\n\n\ndef pytest_runtest_call(item):\n"
        "    if 'PYTEST_XDIST_WORKER' in os.environ and item.name.startswith('brief'):\n        os._exit(9)\n"
    )
    result = gate(project, "--previous", "none", "-n", "2", "--max-worker-restart=0")
    assert result.ret == 21
