"""What collecting the shipped suites costs: time against an empty pytest run, interleaved, and the modules it imports.

python benchmarks/collect_time.py [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAIRS = 5
HEAVY = ("torch", "transformers", "lm_eval", "datasets", "scipy", "pandas")
PROBE = """
import sys, pytest
code = pytest.main(sys.argv[1:])
print("HEAVY", [m for m in {heavy!r} if m in sys.modules], int(code))
"""


def collect(*arguments: str, cwd: Path) -> tuple[float, str]:
    """Return seconds and output of one pytest run."""
    started = time.perf_counter()
    command = [sys.executable, "-c", PROBE.format(heavy=HEAVY), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return time.perf_counter() - started, done.stdout


def measure() -> dict[str, object]:
    """Return medians of interleaved pairs."""
    empty_times, suite_times, said = [], [], ""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
        for _ in range(PAIRS):
            empty_times.append(collect("--collect-only", "-q", cwd=Path(folder))[0])
            seconds, said = collect("--collect-only", "-q", "suites/", cwd=ROOT)
            suite_times.append(seconds)
    last = said.strip().splitlines()[-1]
    return {
        "empty_seconds": statistics.median(empty_times),
        "suites_seconds": statistics.median(suite_times),
        "difference": statistics.median(b - a for a, b in zip(empty_times, suite_times, strict=True)),
        "items": sum("::" in line for line in said.splitlines()),
        "heavy_modules": last,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    found = measure()
    if parser.parse_args().json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:>16}: {value:.3f}" if isinstance(value, float) else f"{name:>16}: {value}")


if __name__ == "__main__":
    main()
