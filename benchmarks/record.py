"""Run a command and keep its output with everything that is needed to read it later.

    python benchmarks/record.py demo_tiny "The demo on the tiny base" -- sfteval demo --json

Writes docs/results/NAME.md: command, exit code, seconds, commit, versions, machine, output. Refuses a dirty tree unless
--dirty is given (then it says so), since a result without its code is worth nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
PACKAGES = ("torch", "transformers", "trl", "peft", "lm-eval", "pytest")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def git(*arguments: str) -> str:
    """Return what git prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def version(package: str) -> str:
    """Return what is installed beside this script (a command may bring its own environment)."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not in this environment"


def dirty() -> bool:
    """Tell whether anything but recorded results differs from the commit."""
    return bool(git("status", "--porcelain", "--", ".", ":!docs/results"))


def machine() -> str:
    """Return processor, cores and memory."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = re.findall(r"model name\s*: (.*)", info.read_text())
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def page(options: argparse.Namespace, code: int, seconds: float, output: str) -> str:
    """Return the Markdown page; the checkout's and home's paths are shortened."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    text = ESCAPES.sub("", output).replace(str(ROOT), ".").replace(str(Path.home()), "~")
    commit = git("rev-parse", "HEAD") + (" with uncommitted changes" if dirty() else "")
    command = options.shown or " ".join(options.command)
    return (
        f"# {options.title}\n\n```\n$ {command}\n```\n\n"
        f"| | |\n|---|---|\n| exit code | {code} |\n| seconds | {seconds:.1f} |\n| commit | {commit} |\n"
        f"| date | {datetime.now(UTC):%Y-%m-%d} |\n| versions | Python {platform.python_version()}, {versions} |\n"
        f"| machine | {machine()} |\n\n```\n{text.rstrip()}\n```\n"
    )


def main() -> int:
    """Run, show, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="file name under docs/results/, without .md")
    parser.add_argument("title")
    parser.add_argument("--dirty", action="store_true", help="record although the tree has uncommitted changes")
    parser.add_argument("--shown", help="the command as a reader would type it, where it differs")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if dirty() and not options.dirty:
        print("record: uncommitted changes; commit first, or give --dirty", file=sys.stderr)
        return 2
    started = time.monotonic()
    process = subprocess.Popen(options.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    code = process.wait()
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = page(options, code, time.monotonic() - started, "".join(lines))
    (RESULTS / f"{options.name}.md").write_text(text, encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
