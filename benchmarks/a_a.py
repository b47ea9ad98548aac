"""A/A: SmolLM2 against itself through the whole line, 20 seeds of sampling at temperature 0.7.

    sfteval pull smollm2
    python benchmarks/a_a.py [--quick] [--json] [--minutes 5]

The model answers shipped prompts once per seed (as `sfteval noise` asks it); then each run is the candidate of a
release whose base is the run of the next seed: `pytest suites/ --candidate RUN --base RUN --previous none`. Nothing
differs but chance, so FAILs beyond the nominal rate would be false alarms. Answers are kept in ~/.cache/sfteval/a_a;
with `--minutes` it stops in between, and goes on when called again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sfteval.pipeline.commands import load_given
from sfteval.pipeline.evaluate import Evaluation
from sfteval.pipeline.models import Models
from sfteval.pipeline.planning import plan_files
from sfteval.store import RunStore

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path.home() / ".cache" / "sfteval" / "a_a"
PROMPTS = 40
SUITE = """\
suite: instructions
skill: instruction_following
samples: instructions.jsonl
generate: {max_tokens: 48, temperature: 0.7}
checks:
  followed: {per_sample: all}
  share_followed: {per_sample: share}
  stops: {ends_turn: true}
  no_loop: {no_repetition: true}
  brief: {max_words: 30}
gates:
  - {check: followed, no_regression: {against: base, margin: 0.0}}
  - {check: share_followed, no_regression: {against: base, margin: 0.0}}
  - {check: stops, no_regression: {against: base, margin: 0.0}}
  - {check: no_loop, no_regression: {against: base, margin: 0.0}}
  - {check: brief, no_regression: {against: base, margin: 0.0}}
"""


def project() -> Path:
    """Write the project, prompts from the shipped suite; return its suites."""
    suites = FOLDER / "suites"
    suites.mkdir(parents=True, exist_ok=True)
    lines = (ROOT / "suites" / "instruction_following" / "instructions.jsonl").read_text(encoding="utf-8").splitlines()
    step = max(1, len(lines) // PROMPTS)
    (suites / "instructions.jsonl").write_text("\n".join(lines[::step][:PROMPTS]) + "\n", encoding="utf-8")
    (suites / "instructions.suite.yaml").write_text(SUITE)
    (FOLDER / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return suites


def runs(model: str, suites: Path, seeds: int, minutes: float) -> list[str]:
    """Return one run per seed, as many as the time allows; those that are there are kept."""
    started, store = time.monotonic(), RunStore(FOLDER / "runs")
    planned = plan_files(load_given([suites]))
    with Models(model, None, store) as models:
        backend = models.find("candidate")
        assert not isinstance(backend, str)
        found: list[str] = []
        for seed in range(1, seeds + 1):
            evaluation = Evaluation(planned, backend, store, again=seed)
            known = [m.run_id for m in store.manifests() if m.seed == seed and m.plan == evaluation.plan_key]
            if not known and time.monotonic() - started > 60 * minutes:
                break
            found.append(known[0] if known else evaluation.run().run.manifest.run_id)
    return found


def release(candidate: str, base: str) -> dict[str, Any]:
    """Judge one run against another through pytest; return its rows and exit code."""
    out = FOLDER / "verdicts.json"
    options = ["--candidate", candidate, "--base", base, "--previous", "none", "--verdicts", str(out)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "suites", *options]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    return {"exit_code": done.returncode, "gates": json.loads(out.read_text())["gates"]}


def main() -> int:
    """Answer, judge, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(Path.home() / ".cache" / "sfteval" / "models" / "smollm2"))
    parser.add_argument("--quick", action="store_true", help="4 seeds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--minutes", type=float, default=1e9)
    options = parser.parse_args()
    seeds = 4 if options.quick else 20
    names = runs(options.model, project(), seeds, options.minutes)
    if len(names) < seeds:
        print(f"{len(names)} of {seeds} seeds answered; call again to go on")
        return 1
    found = [release(name, names[(at + 1) % seeds]) for at, name in enumerate(names)]
    rows = [row for each in found for row in each["gates"]]
    checks = sorted({row["check"] for row in rows})
    result = {
        "releases": len(found),
        "samples": rows[0]["n"],
        "gates": len(checks),
        "fails": sum(row["verdict"] == "FAIL" for row in rows),
        "blocked_releases": sum(each["exit_code"] != 0 for each in found),
        "discordant": {check: mean(share(row) for row in rows if row["check"] == check) for check in checks},
        "candidate_lower": sum(row["difference"] < 0 for row in rows),
        "drop_above_one_point": sum(row["difference"] < -0.01 for row in rows),
        "judged_gates": len(rows),
    }
    print(json.dumps(result) if options.json else "\n".join(f"{k:>22}: {v}" for k, v in result.items()))
    return 0 if result["blocked_releases"] <= max(1, 0.05 * len(found)) else 1


def share(row: dict[str, Any]) -> float:
    """Return the share of samples whose score differs."""
    return float(row["worse"] + row["better"]) / row["n"]


def mean(values: Any) -> float:
    """Return a mean with three digits."""
    known = list(values)
    return round(sum(known) / len(known), 3)


if __name__ == "__main__":
    sys.exit(main())
