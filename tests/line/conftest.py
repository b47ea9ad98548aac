"""A project with one suite and scripted models, and a way to run the real command in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROWS = 60


def command(*arguments: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `sfteval ARGUMENTS` as a process of its own."""
    environment = os.environ | {"COLUMNS": "120"} | changes
    return subprocess.run(
        [sys.executable, "-m", "sfteval", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=300,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with suites/ and good.yaml, worse.yaml, slow.yaml."""
    suites = tmp_path / "suites"
    suites.mkdir()
    rows = [{"id": f"q{i}", "messages": [{"role": "user", "content": f"question {i}:"}]} for i in range(ROWS)]
    (suites / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (suites / "answers.suite.yaml").write_text(
        "suite: answers\nskill: format\nsamples: q.jsonl\n"
        "checks:\n  polite: {contains: [please]}\n  brief: {max_words: 3}\n"
        "gates:\n  - {check: polite, no_regression: {against: base, margin: 0.2}}\n"
    )
    (tmp_path / "good.yaml").write_text("name: good\ndefault: yes please\n")
    (tmp_path / "worse.yaml").write_text(
        "name: worse\ndefault: no\nreplies: [{contains: question 1, reply: yes please}]\n"
    )
    (tmp_path / "slow.yaml").write_text("name: slow\ndefault: yes please\ndelay_seconds: 0.1\nbatch_size: 5\n")
    return tmp_path
