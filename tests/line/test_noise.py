"""`sfteval noise`: the same model again, what is stored of it, and who reads it."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from .conftest import command


def noise(project: Path, *options: str) -> tuple[int, dict[str, object]]:
    done = command("noise", "scripted:good.yaml", "suites", "-k", "3", "--json", *options, cwd=project)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_greedy_model_again_is_no_difference(project: Path) -> None:
    code, found = noise(project)
    assert code == 0
    assert found["differences"] == []
    assert len(found["runs"]) == 3
    assert {row["discordance"] for row in found["metrics"]} == {0.0}
    assert {row["repetitions"] for row in found["metrics"]} == {3}
    stored = json.loads((project / "runs" / "noise.json").read_text())["metrics"]
    assert {row["within_variance"] for row in stored.values()} == {0.0}
    counts = [json.loads(p.read_text())["counts"]["computed"] for p in (project / "runs").glob("*/manifest.json")]
    assert len(counts) == 3
    assert len(set(counts)) == 1
    assert counts[0] > 0, "nothing is reused between repetitions"


def test_sampled_answers_get_seeds_of_their_own(project: Path) -> None:
    suite = next((project / "suites").glob("*.suite.yaml"))
    written = yaml.safe_load(suite.read_text())
    written["generate"] = {"temperature": 0.7}
    suite.write_text(yaml.safe_dump(written, sort_keys=False))
    model = yaml.safe_load((project / "good.yaml").read_text())
    reply = model["default"] if isinstance(model["default"], str) else model["default"][0]
    (project / "good.yaml").write_text(
        yaml.safe_dump(
            {"name": "good", "replies": [{"contains": "question", "reply": [reply, "zzz"]}], "default": reply}
        )
    )
    code, found = noise(project)
    assert code == 0
    assert found["differences"] == []
    assert max(row["discordance"] for row in found["metrics"]) > 0.2


def test_too_few_repetitions_and_a_broken_file(project: Path) -> None:
    done = command("noise", "scripted:good.yaml", "suites", "-k", "1", cwd=project)
    assert done.returncode == 2
    assert "-k: found 1; expected at least 2 repetitions" in done.stderr
    (project / "runs").mkdir(exist_ok=True)
    (project / "runs" / "noise.json").write_text('{"format": 1, "metrics": {"a//b": {"discordance": 7}}}')
    done = command("noise", "scripted:good.yaml", "suites", "-k", "2", cwd=project)
    assert done.returncode != 0
    assert "found rows without a discordance between 0 and 1" in done.stderr
