"""Parts of a suite: shown beside the whole, and gates of their own."""

from __future__ import annotations

import json
import re

import pytest

from .conftest import gate, scripted

SUITE = """\
suite: invoice-extraction
description: Structured responses for the finance desk
skill: structured_response
samples: invoices.jsonl
system: You extract invoices. Answer with JSON only.
generate: {max_tokens: 256, temperature: 0}
checks:
  valid: {json_schema: invoice.schema.json, allow_fence: false}
  total_right: {json_path: $.total, number: {reference: true, tolerance: 0.005}}
  brief: {max_words: 120}
  stops: {ends_turn: true}
  all: {all_of: [valid, total_right, stops]}
gates:
  - {check: valid, at_least: 0.95}
  - {check: total_right, improves: {against: base, by: 0.10}}
  - {check: all, no_regression: {against: previous, margin: 0.02}}
slices: {by: [tags.language]}
"""


@pytest.fixture
def invoices(pytester: pytest.Pytester) -> pytest.Pytester:
    suites = pytester.mkdir("suites")
    (suites / "invoices.suite.yaml").write_text(SUITE)
    rows = [
        {
            "id": f"i{i}",
            "messages": [{"role": "user", "content": f"Invoice {i} of {lang}: total {i}.50"}],
            "reference": {"total": i + 0.5},
            "tags": {"language": lang},
        }
        for i in range(20)
        for lang in [("de", "en")[i % 2]]
    ]
    (suites / "invoices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    schema = {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}
    (suites / "invoice.schema.json").write_text(json.dumps(schema))
    right = {f"Invoice {i} of": json.dumps({"total": i + 0.5}) for i in range(20)}
    scripted(pytester, "good", "{}", right)
    scripted(pytester, "half", "no", {f"Invoice {i} of en": json.dumps({"total": i + 0.5}) for i in range(20)})
    scripted(pytester, "base", "no")
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\n")
    return pytester


def rows(project: pytest.Pytester) -> dict[str, dict[str, object]]:
    return {row["node"].split("::")[1]: row for row in json.loads((project.path / "v.json").read_text())["gates"]}


def test_slices_are_shown_and_do_not_judge(invoices: pytest.Pytester) -> None:
    result = gate(invoices, "--previous", "none", "--verdicts", "v.json", "--report", "page")
    assert result.ret == 0
    found = rows(invoices)["total_right-improves-against-base"]["slices"]
    assert [(s["slice"], s["n"], s["reference"], s["candidate"]) for s in found] == [
        ("language=de", 10, 0.0, 1.0),
        ("language=en", 10, 0.0, 1.0),
    ]
    assert rows(invoices)["all-no_regression-against-previous"]["slices"] == []
    page = (invoices.path / "page" / "index.html").read_text()
    assert re.search(r'language=de</th><td></td><td class="n">0.000</td><td class="n">1.000</td>', page)


def test_a_gate_on_a_slice_catches_what_the_whole_hides(invoices: pytest.Pytester) -> None:
    suite = invoices.path / "suites" / "invoices.suite.yaml"
    text = SUITE.replace("at_least: 0.95", "at_least: 0.4").replace(
        "slices:", "  - {check: valid, slice: {tags.language: de}, at_least: 0.9}\nslices:"
    )
    suite.write_text(text)
    result = gate(invoices, "--previous", "none", "--verdicts", "v.json", candidate="half")
    assert result.ret == 1
    sliced = rows(invoices)["valid-at_least-language-de"]
    assert (sliced["verdict"], sliced["n"], sliced["candidate"]) == ("FAIL", 10, 0.0)
    assert (sliced["slice"], sliced["line"]) == ("language=de", 17)
    assert rows(invoices)["valid-at_least"]["verdict"] == "PASS"
    result.stdout.fnmatch_lines(["*FAIL: 0 is below the floor 0.9*"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tags.language]", "tags.langage]", "*17:15*found 'tags.langage' in slices.by?0?*mean 'tags.language'*"),
        ("tags.language]", "language]", "*17:15*found 'language' in slices.by?0?*"),
        (
            "at_least: 0.95}",
            "at_least: 0.95, slice: {tags.language: fr}}",
            "*found the slice language=fr in gates?0?; expected a slice with samples: one of de, en*",
        ),
    ],
)
def test_slices_without_samples_are_mistakes(invoices: pytest.Pytester, old: str, new: str, message: str) -> None:
    (invoices.path / "suites" / "invoices.suite.yaml").write_text(SUITE.replace(old, new))
    result = gate(invoices, "--previous", "none")
    assert result.ret == 4
    result.stdout.fnmatch_lines([message])
