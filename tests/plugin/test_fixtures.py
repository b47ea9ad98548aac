"""Ordinary pytest tests with the models as fixtures."""

from __future__ import annotations

import json

import pytest

from sfteval.checks import CHECK_TABLE
from tests.plugin.conftest import gate, scripted


@pytest.fixture
def tests(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a pytester with a good and a base model, and samples beside the tests."""
    scripted(pytester, "good", '{"total": 3}', {"Greet": "Hello, please."})
    scripted(pytester, "base", "no idea")
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\n")
    rows = [{"id": f"s{i}", "messages": [{"role": "user", "content": f"total {i}"}], "reference": i} for i in range(3)]
    (pytester.path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return pytester


def run(tests: pytest.Pytester, body: str, *arguments: str) -> pytest.RunResult:
    tests.makepyfile(test_models="import sfteval\nimport pytest\n" + body)
    roles = ["--candidate", "scripted:good.yaml", "--base", "scripted:base.yaml"]
    return tests.runpytest("test_models.py", *roles, *arguments)


def test_models_answer_and_expectations_hold(tests: pytest.Pytester) -> None:
    result = run(
        tests,
        """
def test_chat(candidate, base):
    reply = candidate.chat("Greet me.")
    sfteval.expect(reply).ends_turn().max_words(3).contains("please")
    assert str(reply) == "Hello, please." and reply.messages[0].role == "user" and reply.output_tokens == 3
    replies = candidate.converse("Greet me.", ["Again, Greet!", "More."])
    assert [str(each) for each in replies] == ["Hello, please."] * 3
    assert [len(each.messages) for each in replies] == [1, 3, 5]
    assert replies[-1].messages[3].content == "Hello, please."
    assert base.chat([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]).text == "no idea"

def test_generate_and_score(candidate):
    assert candidate.generate("1 + 1 =", max_tokens=5).text == '{"total": 3}'
    assert candidate.score("sky", " blue").value < 0
""",
    )
    result.assert_outcomes(passed=2)
    assert result.ret == 0


def test_a_failure_shows_check_evidence_and_answer(tests: pytest.Pytester) -> None:
    result = run(
        tests,
        """
def test_chat(candidate):
    sfteval.expect(candidate.chat("Greet me.")).max_words(1)
""",
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: max_words(1): score 0: 2 words, at most 1",
            "*asked:    'Greet me.'",
            "*answered: 'Hello, please.'",
        ]
    )
    assert "expectations.py" not in result.stdout.str()


def test_samples_are_asked_together(tests: pytest.Pytester) -> None:
    body = """
@sfteval.samples("rows.jsonl", max_tokens=9)
def test_total(sample, candidate):
    before = candidate.backend.answered
    reply = candidate.chat(sample.messages, max_tokens=9)
    assert (before, candidate.backend.answered) == (3, 3)
    sfteval.expect(reply, reference=sample.reference).json()
"""
    result = run(tests, body, "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*test_total?s0? PASSED*", "*test_total?s2? PASSED*"])
    selected = run(tests, body.replace("(3, 3)", "(1, 1)"), "-k", "s1")
    selected.assert_outcomes(passed=1, deselected=2)


def test_previous_is_skipped_only_when_declared(tests: pytest.Pytester) -> None:
    body = "def test_it(previous):\n    assert previous.chat('x').text\n"
    run(tests, body, "--previous", "none").assert_outcomes(skipped=1)
    result = run(tests, body)
    result.assert_outcomes(errors=1)
    assert result.ret == 21
    result.stdout.fnmatch_lines(["*no promoted run*"])


def test_no_candidate_is_one_message(tests: pytest.Pytester) -> None:
    tests.makepyfile(test_models="def test_it(candidate):\n    pass\n")
    result = tests.runpytest("test_models.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*found no candidate; expected the model that wants to ship*"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a"}, "*rows.jsonl:1: found no 'messages'*"),
        ({"id": "a", "messages": [{"role": "usr", "content": "x"}]}, "*rows.jsonl:1: found 'usr' in messages?0?.role*"),
    ],
)
def test_bad_samples_stop_the_collection(tests: pytest.Pytester, row: dict[str, object], message: str) -> None:
    (tests.path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    result = run(tests, "@sfteval.samples('rows.jsonl')\ndef test_it(sample, candidate):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_own_checks_gate_suites(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CHECK_TABLE, "kinds", dict(CHECK_TABLE.kinds))  # the check is this test's alone
    project.makeconftest(
        "import sfteval\n\n@sfteval.check('says_please')\ndef says_please(answer, times: int = 1):\n"
        "    'Politeness.'\n    return answer.text.count('please') >= times\n"
    )
    (project.path / "suites" / "own.suite.yaml").write_text(
        "suite: own\nsamples: q.jsonl\nchecks:\n  nice: {says_please: true}\n  nicer: {says_please: true, times: 2}\n"
        "gates:\n  - {check: nice, at_least: 1.0}\n  - {check: nicer, at_least: 0.5}\n"
    )
    result = gate(project, "-k", "own", "-v")
    result.stdout.fnmatch_lines(["*own.suite.yaml::nice-at_least PASSED*", "*own.suite.yaml::nicer-at_least FAILED*"])
    assert result.ret == 1
