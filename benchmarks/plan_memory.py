"""`sfteval plan` against the measured peak: real trainings, the process's own resident memory.

    python benchmarks/plan_memory.py [--models tiny smollm2] [--methods full lora prefix prompt adapter]

Each row is a training in a process of its own (two or three optimiser steps on the demo's rows). Measured is the
highest resident set after the weights began to load, minus the resident set right before, in a process that has
trained a few rows already: libraries (20 to 30 MB of code that the first step touches), tokenizer and data are not
counted. glibc is told to give freed blocks back (MALLOC_MMAP_THRESHOLD_), as the plan counts live bytes. Exit code 1 if
a row is more than 15 % off.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODELS = {
    "tiny": (ROOT / "fixtures/tiny_base", ROOT / "fixtures/demo/train.jsonl", 4096),
    "smollm2": ("smollm2", ROOT / "fixtures/demo_smollm2/train.jsonl", 1024),
}
LIMIT = 0.15


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def measure(config_file: str) -> None:
    """Train, and print the peak in bytes."""
    import ctypes
    import gc
    from dataclasses import replace

    from sfteval.backends import resolve
    from sfteval.pipeline.training import source_of
    from sfteval.train import load_config, train

    config = load_config(Path(config_file))
    source = source_of(config, resolve(config.model))
    before = []
    few = config.optimizer.model_copy(update={"batch_tokens": 64, "epochs": 0.05})
    train(config.model_copy(update={"optimizer": few}), source)

    def open_model() -> object:
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        before.append(resident("VmRSS"))
        model = source.open_model()
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts again here
        return model

    train(config, replace(source, open_model=open_model))
    print(json.dumps(resident("VmHWM") - before[0]))


def row(model: str, method: str, folder: Path) -> dict[str, object]:
    from sfteval.pipeline.sizing import plan_sizes

    reference, data, tokens = MODELS[model]
    config = folder / f"{model}-{method}.yaml"
    rows = data.read_text(encoding="utf-8").splitlines()[: 60 if model == "tiny" else 24]
    (folder / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    config.write_text(
        f"model: {reference}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 512}}\nmethod: {method}\n"
        f"optimizer: {{batch_tokens: {tokens}, epochs: 1, learning_rate: 1e-4}}\noutput: {folder / 'out'}\n",
        encoding="utf-8",
    )
    planned = plan_sizes(str(config))
    memory = planned["methods"][method]["memory_bytes"]
    environment = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": "262144",
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
    }
    done = subprocess.run(
        [sys.executable, __file__, "--measure", str(config)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    measured = json.loads(done.stdout.splitlines()[-1])
    return {"model": model, "method": method, "batch": planned["batch"], **memory, "measured": measured}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--methods", nargs="*", default=["full", "lora", "prefix", "prompt", "adapter"])
    given = parser.parse_args()
    if given.measure:
        measure(given.measure)
        return
    worst = 0.0
    print("| model | method | micro-batch | weights | gradients | optimiser | activations | planned | measured | off |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for model in given.models:
            for method in given.methods:
                found = row(model, method, Path(folder))
                off = found["total"] / found["measured"] - 1
                worst = max(worst, abs(off))
                parts = [
                    found[part] / 1e6
                    for part in ("weights", "gradients", "optimiser", "activations", "total", "measured")
                ]
                shape = found["batch"]["padded" if method in ("prefix", "prompt") else "packed"]
                batch = f"{shape['rows']} × {shape['length']}"
                cells = [model, method, batch, *(f"{part:.1f}" for part in parts), f"{off:+.1%}"]
                print("| " + " | ".join(cells) + " |", flush=True)
    print(f"\nlargest difference {worst:.1%}, allowed {LIMIT:.0%}")
    raise SystemExit(0 if worst <= LIMIT else 1)


if __name__ == "__main__":
    main()
