"""Build the pages of a large store and open them in a browser: seconds, memory, bytes, time until the page answers.

    python benchmarks/report_site.py [--runs 30] [--suites 20] [--samples 500] [--keep DIR] [--json]

The runs are real: scripted models answer real suites through the whole line, half of the suites are general ones.
Chromium (Playwright) opens every page, fails on console errors and on requests beyond the site's files.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = "the harbour kept its lamps lit while a slow grey rain came in from the sea"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("runs", 30), ("suites", 20), ("samples", 500)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--keep", type=Path, help="folder for the store and the site; reused if it is there")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--build-only", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build_only:
        build(options.build_only)
        return
    root = options.keep or Path(tempfile.mkdtemp())
    if not (root / "runs").exists():
        make_store(root, options.runs, options.suites, options.samples)
    done = subprocess.run(
        [sys.executable, __file__, "--build-only", str(root)], check=True, capture_output=True, text=True
    )
    row = {"runs": options.runs, "suites": options.suites, "samples": options.samples} | json.loads(done.stdout)
    row |= browse(root / "site")
    print(json.dumps(row) if options.json else "\n".join(f"{name:<28}{value}" for name, value in row.items()))
    if not options.keep:
        shutil.rmtree(root)


def build(root: Path) -> None:
    """Build the site in this process and print what it took."""
    from sfteval.pipeline.site import build_site

    begun = time.perf_counter()
    index = build_site(root / "runs", root / "site")
    seconds = time.perf_counter() - begun
    first = ["index.html", "assets/site.css", "assets/site.js", "assets/charts.js", "assets/vega.js"]
    size = sum((index.parent / name).stat().st_size for name in [*first, "data/charts/index.js"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps({"build_seconds": round(seconds, 1), "peak_mb": round(peak), "first_page_mb": round(size / 1e6, 2)})
    )


def make_store(root: Path, runs: int, suites: int, samples: int) -> None:
    """Answer the suites with one base and `runs` - 1 candidates, each judged against base and the one before."""
    import yaml

    from sfteval.pipeline.outputs import Wanted, leave_behind
    from sfteval.pipeline.planning import load_files
    from sfteval.pipeline.release import Release
    from sfteval.pipeline.settings import Settings
    from sfteval.report.rows import rows_code, verdict_row

    (root / "suites").mkdir(parents=True)
    for number in range(suites):
        name, skill = f"suite-{number:02}", "forgetting" if number % 2 else "format"
        text = WORDS
        rows = [
            {
                "id": f"q{i}",
                "messages": [{"role": "user", "content": f"{name} {i}: {text}"}],
                "tags": {"part": str(i % 3)},
            }
            for i in range(samples)
        ]
        (root / "suites" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        gates = [
            {"check": "right", "no_regression": {"against": role, "margin": 0.05}} for role in ("base", "previous")
        ]
        suite = {"suite": name, "skill": skill, "samples": f"{name}.jsonl", "gates": gates}
        suite |= {"checks": {"right": {"contains": ["lamp"]}, "brief": {"max_words": 30}}}
        (root / "suites" / f"{name}.suite.yaml").write_text(yaml.safe_dump(suite))
    files = load_files([root / "suites"], root)
    here = Path.cwd()
    os.chdir(root)
    base = "scripted:run-000.yaml"
    for run in range(runs):
        digits = "0123456789"[: 1 + run % 4]
        replies = [{"contains": f"{digit}: ", "reply": f"The rain of run {run}."} for digit in digits]
        model = {"name": f"run-{run}", "default": f"A lamp, lit in run {run} <b>&</b>.", "replies": replies}
        Path(f"run-{run:03}.yaml").write_text(yaml.safe_dump(model))
        if run == 0:
            continue
        settings = Settings(f"scripted:run-{run:03}.yaml", base, "latest" if run > 1 else "none")
        gates = [gate for file in files for gate in file.gates]
        release = Release(files, gates, settings)
        verdicts = release.verdicts()
        found = [verdict_row(verdicts[gate.node], release.runs) for gate in gates]
        base = release.runs["base"].manifest.run_id
        leave_behind(found, rows_code(found), settings, Wanted())
    os.chdir(here)


def browse(site: Path) -> dict[str, object]:
    """Open every kind of page and use it; raise on console errors and foreign requests."""
    from playwright.sync_api import sync_playwright

    problems: list[str] = []
    found: dict[str, object] = {}
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if not _own(request.url, site) else None)
        for name in ("index", "forgetting", "samples", "compare"):
            begun = time.perf_counter()
            page.goto(f"file://{site.resolve()}/{name}.html")
            page.locator(".vega svg, #sample h2, #table tbody tr").first.wait_for()
            found[f"{name}_seconds"] = round(time.perf_counter() - begun, 2)
        browser.close()
    if problems:
        raise SystemExit("\n".join(problems))
    return found


def _own(url: str, site: Path) -> bool:
    return url.startswith((f"file://{site.resolve()}/", "data:", "blob:"))


if __name__ == "__main__":
    main()
