"""JUnit of a judged run: kinds, figures, and text that XML cannot hold."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from sfteval.report.junit import junit


def row(verdict: str, *, blocks: bool, reason: str = "why") -> dict[str, Any]:
    names = ("reference", "candidate", "difference", "low", "high", "p_value", "detectable")
    figures = dict.fromkeys(names) | {
        "n": 3,
        "missing": 0,
        "slices": [],
        "flips": [],
        "diagnosis": [],
        "runs": {"candidate": "r"},
    }
    place = {
        "node": f"suites/s.suite.yaml::{verdict}",
        "path": "suites/s.suite.yaml",
        "against": "base",
        "accepted": "",
    }
    rest = {"demand": "no_regression", "margin": 0.1, "proof": "none"}
    return figures | place | rest | {"verdict": verdict, "blocks": blocks, "reasons": [reason]}


def test_each_kind() -> None:
    rows = [
        row("PASS", blocks=False),
        row("FAIL", blocks=True),
        row("INCONCLUSIVE", blocks=False),
        row("NOT_COMPARABLE", blocks=True),
        row("NOT_JUDGED", blocks=False),
    ]
    suite = ET.fromstring(junit(rows, "run-1")).find("testsuite")
    assert dict(suite.attrib) == {"name": "run-1", "tests": "5", "failures": "1", "errors": "1", "skipped": "1"}
    kinds = {case.get("name"): [child.tag for child in case if child.tag != "properties"] for case in suite}
    assert kinds == {
        "PASS": [],
        "FAIL": ["failure"],
        "INCONCLUSIVE": [],
        "NOT_COMPARABLE": ["error"],
        "NOT_JUDGED": ["skipped"],
    }
    figures = {p.get("name"): p.get("value") for p in suite[0].iter("property")}
    assert (figures["sfteval.n"], figures["sfteval.run.candidate"]) == ("3", "r")


def test_what_xml_cannot_hold_is_written_out() -> None:
    text = junit([row("FAIL", blocks=True, reason="nul \x00 surrogate \ud800 <b>&")], "r")
    failure = ET.fromstring(text).find("testsuite/testcase/failure")
    assert failure.get("message") == "nul \\u0000 surrogate \\ud800 <b>&"
