"""`kill -9` in the middle of `sfteval eval`, then the same command again, against an uninterrupted run.

    python benchmarks/kill_and_resume.py [--candidate fixtures/tiny_base] [--suites fixtures/demo/suites] [--json]

Kills the evaluation after a third and after two thirds of its answers are stored, resumes, and compares every sample.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sfteval.store import RunStore

ROOT = Path(__file__).resolve().parent.parent


def stored(runs: Path) -> int:
    """Return how many answers the journals hold."""
    return sum(path.read_bytes().count(b"\n") for path in runs.rglob("*.jsonl"))


def evaluate(options: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """Run `sfteval eval` to its end."""
    done = subprocess.run(command(options, runs), capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def command(options: argparse.Namespace, runs: Path) -> list[str]:
    """Return the command line."""
    arguments = ["--candidate", options.candidate, "--suites", options.suites, "--runs-dir", str(runs), "--json"]
    return [sys.executable, "-m", "sfteval", "eval", *arguments]


def killed_at(options: argparse.Namespace, runs: Path, wanted: int) -> int:
    """Start, wait until `wanted` answers are stored, kill; return how many were."""
    process = subprocess.Popen(command(options, runs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while stored(runs) < wanted and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    return stored(runs)


def samples(result: dict[str, Any]) -> list[Any]:
    """Return a run's samples in a comparable form."""
    run = RunStore(Path(result["path"]).parent).load(result["run_id"])
    return sorted((replace(s, response_keys=tuple(sorted(s.response_keys))) for s in run.samples), key=lambda s: s.key)


def main() -> int:
    """Kill twice, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidate", default=str(ROOT / "fixtures" / "tiny_base"))
    parser.add_argument("--suites", default=str(ROOT / "fixtures" / "demo" / "suites"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole = evaluate(options, Path(folder) / "whole")
        total = whole["computed"]
        runs = Path(folder) / "killed"
        first = killed_at(options, runs, total // 3)
        second = killed_at(options, runs, 2 * total // 3)
        finished = len(RunStore(runs).manifests())
        resumed = evaluate(options, runs)
        found = {
            "requests": total,
            "stored_at_first_kill": first,
            "stored_at_second_kill": second,
            "runs_finished_before_resume": finished,
            "resumed": resumed["resumed"],
            "reused": resumed["reused"],
            "computed_again_after_the_kills": resumed["computed"],
            "computed_twice": second + resumed["computed"] - total,
            "same_samples": samples(whole) == samples(resumed),
            "same_metrics": whole["metrics"] == resumed["metrics"],
        }
    print(json.dumps(found) if options.json else "\n".join(f"{k:>32}: {v}" for k, v in found.items()))
    return 0 if found["same_samples"] and found["computed_twice"] <= 0 and finished == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
