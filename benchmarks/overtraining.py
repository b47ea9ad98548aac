"""A training that goes too far, watched and unwatched: when the hook stops it, and what it keeps.

    python benchmarks/overtraining.py [--config fixtures/demo/overtrained.yaml] [--epochs 2] [--json]

Trains the config with its hooks, then again without them to the same step and on to the end of `--epochs`; evaluates
base and all three checkpoints on all samples of the suites. The stop was right if the checkpoint at the stop is outside
its budget on all samples, and the kept one inside.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sfteval.pipeline.planning import load_files
from sfteval.pipeline.release import Release
from sfteval.pipeline.settings import Settings
from sfteval.pipeline.training import train_from
from sfteval.store import read_history

ROOT = Path(__file__).resolve().parent.parent


def written(config: dict[str, Any], path: Path) -> Path:
    """Write a config and return its path."""
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(config, file)
    return path


def judged(checkpoint: Path, suites: list[str], runs: Path) -> dict[str, Any]:
    """Return every budget and target of a checkpoint on all samples."""
    files = load_files([Path(suite) for suite in suites], ROOT)
    gates = [gate for file in files for gate in file.gates if gate.against == "base"]
    verdicts = Release(files, gates, Settings(candidate=str(checkpoint), runs_dir=runs, previous="none")).verdicts()
    return {
        gate.id: {
            "difference": verdicts[gate.node].comparison.difference,
            "low": verdicts[gate.node].comparison.low,
            "high": verdicts[gate.node].comparison.high,
            "verdict": verdicts[gate.node].kind.value,
        }
        for gate in gates
    }


def main() -> int:
    """Train three times, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=str(ROOT / "fixtures" / "demo" / "overtrained.yaml"))
    parser.add_argument("--epochs", type=float, default=2.0, help="of the unwatched training")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    path = Path(options.config).resolve()
    given = YAML(typ="safe").load(path)
    suites = [str((path.parent / suite).resolve()) for suite in given["hooks"]["suites"]]
    given["model"] = str((path.parent / given["model"]).resolve())
    given["data"]["train"][0]["path"] = str((path.parent / given["data"]["train"][0]["path"]).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(path.parent / "suites", folder / "suites")
        watched = train_from(written(given, folder / "watched.yaml"), output=folder / "runs", progress=False)
        events = read_history(folder / "runs" / "trainings" / "watched.jsonl")
        alone = {key: value for key, value in given.items() if key != "hooks"}
        per_epoch = events[0]["schedule"][-1] / given["optimizer"]["epochs"]
        found = {"kept": judged(watched.checkpoint, suites, folder / "runs")}
        for label, epochs in (("stopped", watched.steps / per_epoch), ("unwatched", options.epochs)):
            alone["optimizer"] = given["optimizer"] | {"epochs": epochs}
            trained = train_from(written(alone, folder / f"{label}.yaml"), output=folder / "runs", progress=False)
            found[label] = judged(trained.checkpoint, suites, folder / "runs") | {"steps": trained.steps}
    end = events[-1]
    result = {"steps": watched.steps, "kept_step": watched.kept_step, "why": watched.stopped, "judged": found}
    result |= {
        "share": end["share"],
        "looks_seconds": end["looks_seconds"],
        "training_seconds": end["training_seconds"],
    }
    result["looks"] = [
        {"step": look["step"], "target": look["target"], "inside": look["inside"]}
        | {gate["gate"].rpartition("::")[2]: gate["difference"] for gate in look["gates"]}
        for look in events
        if look["event"] == "look"
    ]
    print(json.dumps(result) if options.json else table(result))
    family = "forgetting-no_regression-against-base"
    right = found["kept"][family]["verdict"] == "PASS" and found["stopped"][family]["difference"] < -0.05
    return 0 if right else 1


def table(result: dict[str, Any]) -> str:
    """Return what happened as text."""
    family, target = "forgetting-no_regression-against-base", "right_values-improves-against-base"
    lines = ["look at step  forgetting  target  inside every budget"]
    lines += [
        f"{look['step']:>12}  {look[family]:+10.3f}  {look['target']:+6.3f}  {'yes' if look['inside'] else 'no'}"
        for look in result["looks"]
    ]
    lines += ["", f"stopped: {result['why']}", f"kept: the checkpoint of step {result['kept_step']}", ""]
    lines.append("on all samples, against base      forgetting (interval)          right values")
    for label in ("kept", "stopped", "unwatched"):
        row = result["judged"][label]
        step = {"kept": result["kept_step"], "stopped": result["steps"]}.get(label, row.get("steps"))
        drop, gain = row[family], row[target]
        lines.append(
            f"{label:>10}, step {step:>4}  {drop['difference']:+16.3f} ({drop['low']:+.3f} … {drop['high']:+.3f}) "
            f"{drop['verdict']:<12} {gain['difference']:+.3f}"
        )
    lines += [
        "",
        f"looks took {result['looks_seconds']:.1f} of {result['training_seconds']:.1f} s ({result['share']:.0%})",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
