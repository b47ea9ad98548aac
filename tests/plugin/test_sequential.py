"""Sequential suites: how many samples are answered, what the verdict says, and runs that hold a part only."""

from __future__ import annotations

import json

import pytest

from sfteval.store import RunStore

from .conftest import scripted

ROWS = 400


@pytest.fixture
def drawn(project: pytest.Pytester) -> pytest.Pytester:
    """Return a project whose one suite is sequential, with 400 samples in two languages."""
    rows = [
        {
            "id": f"q{i}",
            "messages": [{"role": "user", "content": f"question {i}:"}],
            "tags": {"language": "de" if i % 4 else "en"},
        }
        for i in range(ROWS)
    ]
    folder = project.path / "suites"
    (folder / "families.yaml").unlink()
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "answers.suite.yaml").write_text(
        "suite: answers\nsamples: q.jsonl\nsequential: true\nslices: {by: [tags.language]}\n"
        "checks: {polite: {contains: please}, brief: {max_words: 5}}\n"
        "gates:\n  - {check: polite, no_regression: {against: base, margin: 0.1}}\n"
        "  - {check: brief, at_least: 0.9}\n"
        "  - {check: polite, no_regression: {against: previous, margin: 0.1}}\n"
    )
    return project


def judged(project: pytest.Pytester, candidate: str, *options: str) -> tuple[int, dict[str, dict[str, object]]]:
    arguments = ("--candidate", f"scripted:{candidate}.yaml", "--base", "scripted:base.yaml", "--verdicts", "v.json")
    result = project.runpytest("suites", *arguments, *options)
    rows = json.loads((project.path / "v.json").read_text())["gates"]
    return int(result.ret), {row["node"].split("::")[1]: row for row in rows}


def held(project: pytest.Pytester) -> dict[str, int]:
    return {m.run_id: m.counts["samples"] for m in RunStore(project.path / "runs").manifests()}


AGAINST_BASE, AGAINST_PREVIOUS = "polite-no_regression-against-base", "polite-no_regression-against-previous"


def test_it_stops_when_the_verdicts_are_settled(drawn: pytest.Pytester) -> None:
    code, rows = judged(drawn, "good", "--previous", "none")
    assert code == 0
    row = rows[AGAINST_BASE]
    assert (row["verdict"], row["n"], row["population"]) == ("PASS", 48, ROWS)
    assert row["reasons"][1] == "48 of 400 samples were needed; the bounds are of all of them"
    assert rows["brief-at_least"]["population"] == ROWS
    assert sorted(held(drawn).values()) == [48, 48]
    assert [part["slice"] for part in row["slices"]] == ["language=de", "language=en"]
    assert sum(part["n"] for part in row["slices"]) == 48
    assert {part["low"] for part in row["slices"]} == {None}
    manifest = RunStore(drawn.path / "runs").manifests()[-1]
    assert manifest.extra["draws"]["answers/"]["population"] == ROWS
    assert manifest.extra["draws"]["answers/"]["ends"][-1] == 48


def test_a_drop_is_found_early(drawn: pytest.Pytester) -> None:
    code, rows = judged(drawn, "worse", "--previous", "none")
    assert code == 1
    assert rows[AGAINST_BASE]["verdict"] == "FAIL"
    assert rows[AGAINST_BASE]["n"] < 60


def test_nothing_is_answered_twice_and_the_next_release_draws_alike(drawn: pytest.Pytester) -> None:
    judged(drawn, "good", "--previous", "none", "--promote-on-pass")
    code, rows = judged(drawn, "good")
    assert code == 0
    assert (rows[AGAINST_PREVIOUS]["verdict"], rows[AGAINST_PREVIOUS]["missing"]) == ("PASS", 0)
    assert [m.counts["computed"] for m in RunStore(drawn.path / "runs").manifests()][2:] == [0, 0]


def test_a_previous_that_stopped_earlier_is_compared_as_far_as_it_goes(drawn: pytest.Pytester) -> None:
    judged(drawn, "good", "--previous", "none", "--promote-on-pass")
    suite = drawn.path / "suites" / "answers.suite.yaml"
    suite.write_text(suite.read_text().replace("margin: 0.1", "margin: 0.01"))
    code, rows = judged(drawn, "good")
    assert code == 0
    row = rows[AGAINST_PREVIOUS]
    assert (row["verdict"], row["n"], row["missing"]) == ("INCONCLUSIVE", 48, 0)
    assert rows[AGAINST_BASE]["verdict"] == "PASS"
    assert rows[AGAINST_BASE]["n"] > 200


def test_a_part_is_not_compared_with_a_whole_suite(drawn: pytest.Pytester) -> None:
    judged(drawn, "good", "--previous", "none", "--promote-on-pass")
    suite = drawn.path / "suites" / "answers.suite.yaml"
    suite.write_text(suite.read_text().replace("sequential: true\n", ""))
    code, rows = judged(drawn, "good")
    assert code == 21
    assert rows[AGAINST_PREVIOUS]["reasons"] == [
        "352 of 400 samples of answers are missing or differ (allowed: 10%); the run of previous is of a sequential "
        "suite and stopped after 48 of 400 samples"
    ]


def test_a_stored_candidate_asks_base_for_the_same_samples(drawn: pytest.Pytester) -> None:
    judged(drawn, "good", "--previous", "none")
    candidate = next(run for run in held(drawn) if "good" in run)
    scripted(drawn, "other", "yes, please")
    options = ("--candidate", candidate, "--base", "scripted:other.yaml", "--previous", "none")
    assert drawn.runpytest("suites", *options).ret == 0
    assert list(held(drawn).values())[-1] == 48


def test_quarantined_samples_leave_the_draw(drawn: pytest.Pytester) -> None:
    entry = {"suite": "answers", "sample": "q7", "until": "2999-01-01", "because": "noisy"}
    (drawn.path / "suites" / "accepted.yaml").write_text(json.dumps({"quarantine": [entry]}))
    code, rows = judged(drawn, "good", "--previous", "none")
    assert code == 0
    assert rows[AGAINST_BASE]["population"] == ROWS - 1


def test_workers_share_a_sequential_suite(drawn: pytest.Pytester) -> None:
    code, rows = judged(drawn, "good", "--previous", "none", "-n", "2")
    assert code == 0
    assert rows[AGAINST_BASE]["n"] == 48
    assert sorted(held(drawn).values()) == [48, 48]


def test_what_a_sequential_suite_cannot_have(drawn: pytest.Pytester) -> None:
    suite = drawn.path / "suites" / "answers.suite.yaml"
    good = suite.read_text()
    suite.write_text(good + "  - {check: polite, slice: {tags.language: de}, at_least: 0.5}\n")
    result = drawn.runpytest("suites", "--candidate", "scripted:good.yaml", "--base", "scripted:base.yaml")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*found a gate on a slice of a sequential suite; expected a gate on the whole*"])
    rows = [json.loads(line) for line in (drawn.path / "suites" / "q.jsonl").read_text().splitlines()]
    (drawn.path / "suites" / "q.jsonl").write_text(
        "".join(json.dumps(row | {"cluster": f"c{i // 2}"}) + "\n" for i, row in enumerate(rows))
    )
    suite.write_text(good)
    result = drawn.runpytest("suites", "--candidate", "scripted:good.yaml", "--base", "scripted:base.yaml")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*found samples that share the cluster 'c0' in a sequential suite*"])
