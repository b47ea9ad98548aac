"""`sfteval report`: pages that hold no script of their own, and one release as Markdown, JSON, JUnit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.line.conftest import command

HOSTILE = '<script>alert(1)</script> <img src=x onerror=alert(2)> {{ 7*7 }} "javascript:alert(3)" \x00\u202e end'


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a release that ships and a hostile one that does not."""
    root = tmp_path_factory.mktemp("judged")
    suites = root / "suites"
    suites.mkdir()
    rows = [{"id": f"q{i}", "messages": [{"role": "user", "content": f"{i}: {HOSTILE}"}]} for i in range(40)]
    for name, skill in (("facts", "forgetting"), ("answers", "format")):
        (suites / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (suites / f"{name}.suite.yaml").write_text(
            f"suite: {name}\nskill: {skill}\nsamples: {name}.jsonl\n"
            "checks:\n  polite: {contains: [please]}\n"
            "gates:\n  - {check: polite, no_regression: {against: base, margin: 0.2}}\n"
            "  - {check: polite, at_least: 0.1}\n"
        )
    (suites / "families.yaml").write_text("family: {name: forgetting, no_regression: {against: base, margin: 0.2}}\n")
    (root / "base.yaml").write_text("name: base\ndefault: yes please\n")
    (root / "worse.yaml").write_text(f"name: worse\ndefault: {json.dumps(HOSTILE)}\n")
    for model in ("base", "worse"):
        subprocess.run(
            f"{sys.executable} -m pytest -q -p sfteval suites --candidate scripted:{model}.yaml"
            " --base scripted:base.yaml --previous none -p no:cacheprovider".split(),
            cwd=root,
            capture_output=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            timeout=300,
        )
    return root


def test_the_pages_hold_no_script_of_their_own_and_model_text_only_as_text(judged: Path) -> None:
    done = command("report", "--out", "site", cwd=judged)
    assert (done.returncode, done.stdout.strip()) == (0, "site/index.html"), done.stderr
    pages = {path.name: path.read_text() for path in (judged / "site").glob("*.html")}
    assert {"index.html", "forgetting.html", "samples.html", "compare.html"} <= set(pages)
    assert sum(name.startswith("release-") for name in pages) == 2
    for name, page in pages.items():
        assert re.findall(r"<script(?! src=\"(?:assets|data)/[a-z]+\.js\" defer></script>)", page) == [], name
        assert re.findall(r"\son[a-z]+=|<style|\sstyle=|https?://", page.split("<main", 1)[0]) == [], name
        assert "<img" not in page, name
    index = pages["index.html"]
    assert "Do not ship: answers polite -100.0 points" in index
    assert "script-src &#39;self&#39;" in index or "script-src 'self'" in index


def test_samples_are_in_parts_that_hold_every_answer_exactly(judged: Path) -> None:
    command("report", "--out", "site", cwd=judged)
    parts = sorted((judged / "site" / "data" / "samples").glob("*worse*/answers/*.js"))
    assert len(parts) == 1
    text = parts[0].read_text(encoding="utf-8")
    name, value = re.fullmatch(r"SFT\.data\((\".*?\"),(.*)\);\n", text, re.DOTALL).groups()
    assert json.loads(name).endswith("/answers/0")
    block = json.loads(value)
    assert block["output"] == [HOSTILE] * 40
    assert block["scores"] == [{"polite": 0.0}] * 40
    assert block["sample_id"] == sorted(f"q{i}" for i in range(40))


def test_figures_are_there_as_files(judged: Path) -> None:
    command("report", "--out", "site", cwd=judged)
    export = judged / "site" / "export"
    header, *lines = (export / "metrics.csv").read_text().splitlines()
    assert header == "run,suite,task,check,n,mean"
    assert sorted(line.split(",", 1)[1] for line in lines if "worse" in line) == [
        'answers,"",polite,40,0.0',
        'facts,"",polite,40,0.0',
    ]
    assert json.loads((export / "gates.json").read_text())["exit_code"] == 1
    assert (export / "gates.png").read_bytes().startswith(b"\x89PNG")
    assert (export / "plane.svg").read_text().startswith("<svg")
    assert (export / "metrics.parquet").read_bytes().startswith(b"PAR1")


def test_markdown_has_its_pictures_beside_it(judged: Path) -> None:
    done = command("report", "--format", "md", "--out", "md", cwd=judged)
    assert done.stdout.strip() == "md/report.md", done.stderr
    text = (judged / "md" / "report.md").read_text()
    assert text.startswith("## sfteval: Do not ship")
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (judged / "md" / picture).read_bytes().startswith(b"\x89PNG")
    assert "![gates of this release](gates.png)" in text


def test_one_release_as_json_and_junit(judged: Path) -> None:
    found = json.loads(command("report", "--format", "json", cwd=judged).stdout)
    assert (found["exit_code"], found["verdict"], len(found["gates"])) == (1, "FAIL", 5)
    root = ET.fromstring(command("report", "--format", "junit", cwd=judged).stdout)
    suite = root.find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "5",
        "5",
        "0",
        "0",
    )
    command("report", "--out", "site", cwd=judged)
    good = next((judged / "site").glob("release-*base*.html")).stem.removeprefix("release-")
    root = ET.fromstring(command("report", good, "--format", "junit", cwd=judged).stdout)
    assert root.find("testsuite").get("failures") == "0"


def test_a_store_without_runs_and_a_folder_that_is_no_site_are_refused(judged: Path, tmp_path: Path) -> None:
    empty = command("report", cwd=tmp_path)
    assert (empty.returncode, empty.stdout) == (2, "")
    assert "runs: found no complete run; expected at least one" in empty.stderr
    (judged / "mine").mkdir(exist_ok=True)
    (judged / "mine" / "thesis.txt").write_text("all of it")
    refused = command("report", "--out", "mine", cwd=judged)
    assert refused.returncode == 2
    assert "mine: found something that is no site of sfteval" in refused.stderr
    assert (judged / "mine" / "thesis.txt").read_text() == "all of it"
