"""Gates on divergence from base: proven to be near, proven to be far, and no base at all."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import gate


@pytest.fixture
def kl(project: pytest.Pytester) -> pytest.Pytester:
    (project.path / "suites" / "answers.suite.yaml").write_text(
        "suite: near\nsamples: q.jsonl\nchecks:\n  moved: {kl_from_base: true, ends: false}\n"
        "gates:\n  - {check: moved, no_regression: {against: base, margin: 2.0}}\n  - {check: moved, at_most: 1}\n"
    )
    (project.path / "suites" / "families.yaml").unlink()
    for name, value in (("base", -4.0), ("good", -4.5), ("worse", -9.0)):
        scores = [
            {"contains": f"question {i}:", "continuation": "yes", "value": value - i * (name != "base") / 100}
            for i in range(40)
        ]
        (project.path / f"{name}.yaml").write_text(json.dumps({"name": name, "default": "yes", "scores": scores}))
    return project


def test_a_model_near_its_base_passes(kl: pytest.Pytester) -> None:
    done = gate(kl, "--previous", "none")
    assert done.ret == 0


def test_a_model_far_from_its_base_fails(kl: pytest.Pytester) -> None:
    done = gate(kl, "--previous", "none", candidate="worse")
    assert done.ret == 1
    done.assert_outcomes(failed=2)


def test_without_a_base_nothing_passes(kl: pytest.Pytester) -> None:
    done = gate(kl, "--previous", "none", base=None)
    assert done.ret == 21
    done.stdout.fnmatch_lines(["*40 of 40 samples of near errored on the candidate*base_missing*"])
