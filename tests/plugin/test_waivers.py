"""Accepted regressions and quarantined samples: what they change, what they never change, and how they expire."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.line.conftest import command

from .conftest import gate

DAY = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
PAST = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
NODE = "suites/answers.suite.yaml::polite-no_regression-against-base"
FAMILY = "suites/families.yaml::format-no_regression-against-base"


def accepted(project: pytest.Pytester, *entries: dict[str, object], section: str = "regressions") -> None:
    (project.path / "suites" / "accepted.yaml").write_text(json.dumps({section: list(entries)}))


def entry(node: str = NODE, drop: float = 0.8, until: str = DAY) -> dict[str, object]:
    return {"gate": node, "drop": drop, "until": until, "because": "known, fixed in May", "who": "Ann"}


def rows(project: pytest.Pytester) -> dict[str, dict[str, object]]:
    return {row["node"]: row for row in json.loads((project.path / "v.json").read_text())["gates"]}


def test_an_accepted_regression_still_says_fail_and_does_not_block(project: pytest.Pytester) -> None:
    accepted(project, entry(), entry(FAMILY))
    result = gate(project, "--previous", "none", "--verdicts", "v.json", "--junitxml", "j.xml", candidate="worse")
    assert result.ret == 0
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["*FAIL (accepted)*", f"*accepted by Ann until {DAY}: known, fixed in May*"])
    row = rows(project)[NODE]
    assert (row["verdict"], row["blocks"], row["exit_code"]) == ("FAIL", False, 0)
    assert row["accepted"] == f"accepted by Ann until {DAY}: known, fixed in May"
    assert f"accepted by Ann until {DAY}" in (project.path / "j.xml").read_text()


def test_a_larger_drop_is_not_accepted(project: pytest.Pytester) -> None:
    accepted(project, entry(drop=0.7), entry(FAMILY))
    result = gate(project, "--previous", "none", candidate="worse")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*the accepted drop is 0.7 by Ann; this one is larger, so it is not accepted*"])


def test_an_expired_acceptance_is_loud(project: pytest.Pytester) -> None:
    accepted(project, entry(until=PAST), entry(FAMILY))
    result = gate(project, "--previous", "none", candidate="worse")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*the acceptance of this gate by Ann EXPIRED on {PAST} (known, fixed in May)*"])
    passing = gate(project, "--previous", "none")
    assert passing.ret == 0
    passing.stdout.fnmatch_lines([f"*EXPIRED on {PAST}*"])


def test_what_broke_cannot_be_accepted(project: pytest.Pytester) -> None:
    accepted(project, entry("suites/answers.suite.yaml::polite-no_regression-against-previous"))
    result = gate(project)
    assert result.ret == 21


@pytest.mark.parametrize(
    ("section", "found", "message"),
    [
        (
            "regressions",
            {"gate": NODE + "s"},
            f"*found the gate '{NODE}s'; expected a gate of these suites*Did you mean*",
        ),
        ("regressions", {"drop": -1}, "*accepted.yaml:1:*found -1*in regressions?0?.drop*"),
        ("regressions", {"because": " "}, "*accepted.yaml:1:*because*"),
        ("regressions", {"until": "soon"}, "*accepted.yaml:1:*until*"),
        ("regressions", {"untill": DAY}, "*accepted.yaml:1:*untill*Did you mean 'until'*"),
        ("quarantine", {"sample": "q99"}, "*found the sample 'q99' of answers; expected a sample of that suite*"),
    ],
)
def test_mistakes_in_the_file_are_one_message(
    project: pytest.Pytester, section: str, found: dict[str, object], message: str
) -> None:
    good = (
        entry() if section == "regressions" else {"suite": "answers", "sample": "q1", "until": DAY, "because": "noisy"}
    )
    accepted(project, good | found, section=section)
    result = gate(project, "--previous", "none")
    assert result.ret == 4
    result.stderr.fnmatch_lines([message])


def test_entries_of_files_that_are_not_collected_are_left_alone(project: pytest.Pytester) -> None:
    answers = (project.path / "suites" / "answers.suite.yaml").read_text()
    (project.path / "suites" / "other.suite.yaml").write_text(answers.replace("suite: answers", "suite: other"))
    accepted(project, entry(NODE.replace("answers", "other")))
    options = ("--candidate", "scripted:good.yaml", "--base", "scripted:base.yaml", "--previous", "none")
    assert project.runpytest("suites/answers.suite.yaml", *options).ret == 0


def noisy(*samples: str, until: str = DAY) -> list[dict[str, object]]:
    return [{"suite": "answers", "sample": sample, "until": until, "because": "noisy"} for sample in samples]


def test_quarantined_samples_are_not_judged_and_are_counted(project: pytest.Pytester) -> None:
    accepted(project, *noisy("q1", "q10"), section="quarantine")
    gate(project, "--previous", "none", "--verdicts", "v.json")
    row = rows(project)[NODE]
    assert row["n"] == 38
    assert row["missing"] == 0
    assert "2 samples (q1, q10) left out, in quarantine" in row["reasons"]
    assert "2 samples (q1, q10) left out, in quarantine" in rows(project)[FAMILY]["reasons"]


def test_an_expired_quarantine_is_judged_again(project: pytest.Pytester) -> None:
    accepted(project, *noisy("q1", until=PAST), section="quarantine")
    result = gate(project, "--previous", "none", "--verdicts", "v.json")
    assert rows(project)[NODE]["n"] == 40
    reason = f"the quarantine of answers/q1 EXPIRED on {PAST}; it is judged again"
    assert reason in rows(project)[NODE]["reasons"]
    assert reason in " ".join(result.stdout.str().split())


def test_a_suite_cannot_be_quarantined_away(project: pytest.Pytester) -> None:
    accepted(project, *noisy("q1", "q2", "q3"), section="quarantine")
    result = gate(project, "--previous", "none")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*found 3 of 40 samples of answers in quarantine; expected at most 5% of the suite*"])


def test_the_commands_write_what_the_gate_reads(project: pytest.Pytester) -> None:
    assert gate(project, "--previous", "none", candidate="worse").ret == 1
    file, folder = project.path / "suites" / "accepted.yaml", Path(project.path)
    options = ("--until", DAY, "--because", "a # known loss", "--who", "Ann", "--json")
    for node in ("polite-no_regression-against-base", FAMILY):
        done = command("accept", "latest", node, *options, cwd=folder)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["drop"] == 0.725
    file.write_text(file.read_text() + "# a comment of ours\n")
    done = command("quarantine", "answers", "q3", "--until", DAY, "--because", "noisy", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "# a comment of ours" in file.read_text()
    assert file.read_text().startswith("# Regressions that this team accepts for a while")
    result = gate(project, "--previous", "none", candidate="worse")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"*accepted by Ann until {DAY}: a # known loss*", "*1 sample (q3) left out*"])


@pytest.mark.parametrize(
    ("gate_name", "changes", "message"),
    [
        ("polite", {}, "found 0 gates called 'polite'; expected exactly one"),
        ("brief-at_least", {}, "found a gate that does not object (PASS)"),
        ("polite-no_regression-against-base", {"--until": PAST}, f"--until: found {PAST}; expected today or later"),
        ("polite-no_regression-against-base", {"--until": "May"}, "--until: found 'May'; expected a day"),
        ("polite-no_regression-against-base", {"--because": " "}, "--because: found nothing"),
    ],
)
def test_what_cannot_be_accepted(
    project: pytest.Pytester, gate_name: str, changes: dict[str, str], message: str
) -> None:
    gate(project, "--previous", "none", candidate="worse")
    options = {"--until": DAY, "--because": "known"} | changes
    arguments = [part for option in options.items() for part in option]
    done = command("accept", "latest", gate_name, *arguments, cwd=Path(project.path))
    assert done.returncode == 2
    assert message in done.stderr
    assert not (project.path / "suites" / "accepted.yaml").exists()
