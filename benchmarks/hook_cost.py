"""What the hook costs at its default share, and that it changes nothing: one training with it and one without.

    python benchmarks/hook_cost.py [--config fixtures/demo/overtrained.yaml] [--suites DIR] [--epochs 12] [--json]

Trains the config twice from the same start, watched at the default share (5 % of the work, counted in tokens before
step 1; `action: log`, `keep: last`, so that both go to the end) and unwatched, and compares every loss and weight.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from safetensors.torch import load_file

from sfteval.pipeline.training import train_from
from sfteval.store import read_history

ROOT = Path(__file__).resolve().parent.parent


def trained(config: dict[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Train; return the manifest and the weights."""
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(config, file)
    made = train_from(path, output=path.parent / "runs", progress=False)
    weights = load_file(next(made.checkpoint.glob("*.safetensors")))
    return json.loads(made.manifest.read_text()), {name: value.flatten().tolist() for name, value in weights.items()}


def main() -> int:
    """Train twice, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=str(ROOT / "fixtures" / "demo" / "overtrained.yaml"))
    parser.add_argument("--suites", help="what is watched; else the suites of the config's own hooks")
    parser.add_argument("--epochs", type=float, default=12.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    path = Path(options.config).resolve()
    given = YAML(typ="safe").load(path)
    local = path.parent / given["model"]
    given["model"] = str(local.resolve()) if local.exists() else given["model"]
    given["data"]["train"][0]["path"] = str((path.parent / given["data"]["train"][0]["path"]).resolve())
    given["optimizer"]["epochs"] = options.epochs
    named = given["hooks"]["suites"] if options.suites is None else [Path(options.suites).resolve()]
    suites = [str((path.parent / suite).resolve()) for suite in named]
    watched = given | {"hooks": {"suites": suites, "action": "log", "keep": "last"}}
    plain = {key: value for key, value in given.items() if key != "hooks"}
    with tempfile.TemporaryDirectory() as name:
        without, weights_without = trained(plain, Path(name) / "plain.yaml")
        with_it, weights_with = trained(watched, Path(name) / "watched.yaml")
        events = read_history(Path(name) / "runs" / "trainings" / "watched.jsonl")
    end = events[-1]
    found = {
        "optimiser steps": with_it["steps"],
        "looks at": events[0]["schedule"],
        "samples per look": events[0]["validation"],
        "seconds before step 1 (base)": round(end["base_seconds"], 2),
        "seconds training, looks included": round(end["training_seconds"], 2),
        "seconds of looks": round(end["looks_seconds"], 2),
        "share of time (asked: 0.05)": round(end["share"], 4),
        "losses bit-equal": with_it["curve"] == without["curve"],
        "weights bit-equal": weights_with == weights_without,
    }
    print(json.dumps(found) if options.json else "\n".join(f"{name:>34}: {value}" for name, value in found.items()))
    return 0 if found["losses bit-equal"] and found["weights bit-equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
