"""Baselines and acceptances that are wrong in ways which must not pass, nor look like a usage mistake."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from sfteval.store import RunStore

from .conftest import gate
from .test_waivers import DAY, NODE, accepted, entry, noisy


def promoted(project: pytest.Pytester) -> str:
    assert gate(project, "--previous", "none", "--promote-on-pass").ret == 0
    found = RunStore(project.path / "runs").promoted()
    assert found is not None
    return found.run_id


def test_previous_is_never_the_candidates_own_run(project: pytest.Pytester) -> None:
    run = promoted(project)
    result = project.runpytest("suites", "--candidate", run, "--base", "scripted:base.yaml")
    assert result.ret == 21
    result.stdout.fnmatch_lines([f"*found the candidate's own run {run}; expected another run*"])
    result = project.runpytest("suites", "--candidate", run, "--base", run, "--previous", "none")
    assert result.ret == 21


@pytest.mark.parametrize("previous", ["promoted", "latest"])
def test_a_damaged_baseline_breaks(project: pytest.Pytester, previous: str) -> None:
    run = promoted(project)
    samples = project.path / "runs" / run / "samples.parquet"
    samples.write_bytes(samples.read_bytes()[:-9])
    result = gate(project, "--previous", previous)
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*previous: *samples.parquet: found a truncated file*"])


def test_a_promotion_from_the_future_breaks(project: pytest.Pytester) -> None:
    promoted(project)
    history = project.path / "runs" / "promotions.jsonl"
    line = json.loads(history.read_text())
    line["when"] = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    history.write_text(json.dumps(line) + "\n")
    result = gate(project)
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*found a promotion of *, which is in the future; expected a time that is not*"])


def test_a_missing_previous_breaks_an_ordinary_test_too(project: pytest.Pytester) -> None:
    project.makepyfile("def test_it(previous):\n    assert previous.chat('question 1:').text\n")
    result = project.runpytest("--candidate", "scripted:good.yaml")
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*found no promoted run; expected one to compare with*"])


@pytest.mark.parametrize(
    ("entries", "section", "message"),
    [
        (
            [entry("suites/gone.suite.yaml::x")],
            "regressions",
            "*found a gate of suites/gone.suite.yaml; expected a suite*",
        ),
        ([entry(), entry(drop=0.1)], "regressions", f"*found 2 entries for the gate '{NODE}'; expected one*"),
        ([{**noisy("q1")[0], "suite": "gone"}], "quarantine", "*found samples of the suite 'gone'; expected a suite*"),
        (noisy("q1", "q1", until=DAY), "quarantine", "*found 2 entries for the sample 'q1' of answers; expected one*"),
    ],
)
def test_acceptances_of_nothing_and_twice(
    project: pytest.Pytester, entries: list[dict[str, object]], section: str, message: str
) -> None:
    accepted(project, *entries, section=section)
    result = gate(project, "--previous", "none")
    assert result.ret == 4
    result.stderr.fnmatch_lines([message])


def test_a_gate_that_cannot_do_what_it_asks_is_named_with_the_number_it_needs(project: pytest.Pytester) -> None:
    suite = project.path / "suites" / "answers.suite.yaml"
    suite.write_text(suite.read_text().replace("margin: 0.2", "margin: 0.05"))
    result = gate(project, "--previous", "none")
    assert result.ret == 0
    said = " ".join(result.stdout.str().split())
    assert (
        f"warning: {NODE}: this suite cannot do what its gate asks: with 40 samples an unchanged model rarely proves "
        "that it lost less than 0.05; 244 are needed at 10% discordant pairs (assumed)"
    ) in said
    assert "against-previous: this suite cannot" not in said
    noise = {"answers//polite": {"discordance": 0.0}}
    (project.path / "runs" / "noise.json").write_text(json.dumps({"format": 1, "metrics": noise}))
    assert "97 are needed at 2% discordant pairs (measured)" in " ".join(
        gate(project, "--previous", "none").stdout.str().split()
    )


def test_what_answers_are_held_against_must_be_what_previous_was_held_against(project: pytest.Pytester) -> None:
    suite, rows = project.path / "suites" / "answers.suite.yaml", project.path / "suites" / "q.jsonl"
    promoted(project)
    assert gate(project).ret == 0
    kept = suite.read_text()
    suite.write_text(kept.replace("contains: [please]", "contains: [yes]"))
    result = gate(project)
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*'polite' is version * in the run of previous: its kind, parameters*"])
    suite.write_text(kept)
    given = [json.loads(line) | {"reference": "please"} for line in rows.read_text().splitlines()]
    rows.write_text("".join(json.dumps(row) + "\n" for row in given))
    result = gate(project)
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*40 of 40 samples of answers are missing or differ*reference or variables*"])
