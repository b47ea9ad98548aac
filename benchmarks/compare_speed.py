"""100,000 paired samples, 50 gates: two stored runs are read, compared and judged in one process.

    python benchmarks/compare_speed.py [--samples 100000] [--gates 50] [--quick] [--json]

Each sample has a score for every gate's check (5 million paired scores), half of the checks binary and half graded. A
first process writes the runs; a second one reads and judges them, and reports its seconds and its peak memory.
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

import numpy as np

from sfteval.records import Manifest, MetricInfo, ModelIdentity, Sample, Status
from sfteval.store import RunStore

SECONDS, MEGABYTES = 5.0, 1000


def write(runs: Path, name: str, shift: float, samples: int, gates: int) -> None:
    """Write one run."""
    rng = np.random.default_rng(1)
    truth = rng.random((samples, gates))
    noise = np.random.default_rng(int(1000 * shift) + 2).random((samples, gates))
    graded = np.where(noise < 0.1, np.clip(noise * 10 - shift, 0, 1), truth)
    scores = np.where(np.arange(gates) % 2, np.round(graded, 3), (graded < 0.6).astype(float))
    checks = [f"check_{number:02d}" for number in range(gates)]
    rows = [
        Sample(
            key=f"{at:032x}",
            suite="large",
            task="",
            sample_id=f"sample-{at}",
            repeat=0,
            cluster=f"sample-{at}",
            status=Status.SCORED,
            scores=dict(zip(checks, scores[at].tolist(), strict=True)),
            evidence={},
            prompt_key=f"{at:032x}",
            prompt=f"Question {at}: what is {at} times {at}?",
            output=f"It is {at * at}.",
        )
        for at in range(samples)
    ]
    model = ModelIdentity(name, name, "", "t", "c", "float32/engine-1")
    metrics = {f"large//{check}": MetricInfo() for check in checks}
    with RunStore(runs).begin(model, "plan", run_id=name) as writer:
        writer.put_samples("large", rows, {f"/{check}": MetricInfo() for check in checks})
        now = "2026-01-01T00:00:00+00:00"
        manifest = Manifest(
            name, "", model, "plan", {"large": "x"}, metrics, {"samples": samples}, {}, {}, now, now, 1.0
        )
        from sfteval.keys import model_fingerprint

        writer.finish(replace(manifest, fingerprint=model_fingerprint(model)))


def peak() -> int:
    """Return this process's own largest resident size (`ru_maxrss` would count the parent's)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1000)


def measure(runs: Path) -> dict[str, Any]:
    """Read, compare and judge; return seconds, peak memory and the verdicts."""
    from sfteval.pipeline.commands import compare_runs

    started = time.perf_counter()
    rows = compare_runs(runs, "before", ["after"], 0.01)
    seconds = time.perf_counter() - started
    return {
        "gates": len(rows),
        "pairs": rows[0]["n"],
        "seconds": round(seconds, 2),
        "peak_megabytes": peak(),
        "verdicts": {kind: sum(row["verdict"] == kind for row in rows) for kind in ("PASS", "FAIL", "INCONCLUSIVE")},
    }


def main() -> int:
    """Write in one process, measure in another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--gates", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="2,000 samples")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return 0
    if options.write:
        for name, shift in (("before", 0.0), ("after", 0.02)):
            write(options.write, name, shift, options.samples, options.gates)
        return 0
    samples = 2_000 if options.quick else options.samples
    with tempfile.TemporaryDirectory() as folder:
        given = [sys.executable, __file__, "--samples", str(samples), "--gates", str(options.gates)]
        subprocess.run([*given, "--write", folder], check=True)
        done = subprocess.run([*given, "--measure", folder], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    print(json.dumps(found) if options.json else "\n".join(f"{name:>18}: {value}" for name, value in found.items()))
    return 0 if found["seconds"] <= SECONDS and found["peak_megabytes"] <= MEGABYTES else 1


if __name__ == "__main__":
    sys.exit(main())
