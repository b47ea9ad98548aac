"""Every shipped suite on one model: a row per metric.

    sfteval pull smollm2
    python benchmarks/shipped_suites.py --model smollm2 --data ../shared/data --out /tmp/shipped

Copies suites/ to OUT/suites; with --data, switches the forgetting suite to local data, made there from published files
(read, never copied into the repository). Suites are evaluated one by one into OUT/runs, which keeps all answers: run
again to resume, or to see the table at once. --only NAME limits the suites.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SWITCH = "# include_path: local/"
ASKS_THE_HUB = "general"


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read JSONL, plain or .gz."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def arc(path: Path) -> Iterator[dict[str, Any]]:
    """Yield ARC's questions in the form of the local tasks."""
    for row in rows_of(path):
        gold = row["choices"]["label"].index(row["answerKey"])
        yield {"query": row["question"], "choices": row["choices"]["text"], "gold": gold}


def hellaswag(path: Path) -> Iterator[dict[str, Any]]:
    """Yield HellaSwag's beginnings."""
    for row in rows_of(path):
        yield {"query": row["query"], "choices": row["choices"], "gold": int(row["gold"])}


def piqa(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield PIQA's goals with their two solutions."""
    labels = (folder / "valid-labels.lst").read_text(encoding="utf-8").split()
    for row, label in zip(rows_of(folder / "valid.jsonl"), labels, strict=True):
        yield {"query": row["goal"], "choices": [row["sol1"], row["sol2"]], "gold": int(label)}


def switch_to_local(suites: Path, data: Path) -> None:
    """Take the mark off `include_path` and write the data beside the task files."""
    path = suites / "forgetting" / "general.suite.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(SWITCH, SWITCH.removeprefix("# ")), encoding="utf-8")
    values = data / "benchmarks_val"
    made = {
        "arc_easy": arc(values / "ai2_arc_ARC-Easy.validation.jsonl"),
        "arc_challenge": arc(values / "ai2_arc_ARC-Challenge.validation.jsonl"),
        "hellaswag": hellaswag(values / "hellaswag.validation.olmes1000.jsonl.gz"),
        "piqa": piqa(data / "piqa"),
    }
    for name, rows in made.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (path.parent / "local" / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def copied(out: Path, data: Path | None) -> list[Path]:
    """Return the suites to run, copied below `out`."""
    suites = out / "suites"
    shutil.copytree(ROOT / "suites", suites, dirs_exist_ok=True)
    if data is not None:
        switch_to_local(suites, data)
    found = sorted(suites.rglob("*.suite.yaml"))
    return [path for path in found if data is not None or path.name != f"{ASKS_THE_HUB}.suite.yaml"]


def evaluated(model: str, suite: Path, runs: Path) -> dict[str, Any]:
    """Evaluate one suite, or read what is stored."""
    command = ["eval", "--candidate", model, "--suites", str(suite), "--runs-dir", str(runs), "--json"]
    done = subprocess.run([sys.executable, "-m", "sfteval", *command], stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument(
        "--data", type=Path, help="folder of published data; without it the forgetting suite is left out"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", action="append", help="name of a suite; may be given again")
    parser.add_argument("--prepare", action="store_true", help="only copy the suites and write the local data")
    options = parser.parse_args()
    suites = copied(options.out, options.data)
    if options.prepare:
        return 0
    print(f"{'suite':18s} {'check':26s} {'samples':>7s} {'mean':>7s}")
    for suite in suites:
        if options.only and suite.name.removesuffix(".suite.yaml") not in options.only:
            continue
        for row in evaluated(options.model, suite, options.out / "runs")["metrics"]:
            name = row["check"] if row.get("task") in (None, "") else f"{row['task']} {row['check']}"
            print(f"{row['suite']:18s} {name:26s} {row['n']:7d} {row['mean']:7.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
