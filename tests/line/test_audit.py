"""`sfteval audit`: exit codes, JSON, coloured tokens, a page in which no text acts."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from sfteval.cli import app
from sfteval.shipped import shipped

SAMPLE = "Please tell me in a few plain words how the old harbour of this small town was built"
EVIL = "<script>alert(1)</script> & \x1b[31mred"


@pytest.fixture
def project(tmp_path):
    def make(*questions, data="", suite=SAMPLE):
        rows = [
            {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": f"Answer {i}"}]}
            for i, q in enumerate(questions)
        ]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "suites").mkdir()
        (tmp_path / "suites" / "town.suite.yaml").write_text(
            f"suite: town\nsamples: [{{id: harbour, messages: [{{role: user, content: {json.dumps(suite)}}}]}}]\n"
            "checks: {any: {min_words: 1}}\ngates: [{check: any, at_least: 0.5}]\n"
        )
        config = tmp_path / "train.yaml"
        model = json.dumps(str(shipped("fixtures/tiny_base")))
        config.write_text(f"model: {model}\ndata: {{train: [{{path: rows.jsonl}}]{data}}}\n")
        return config

    return make


def audit(*arguments):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def test_clean_rows_end_with_zero(project):
    done = audit(project("Where is the station?"), "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["rows"], found["refused"], found["shown"]) == (1, [], [])
    assert found["overlap"]["compared"] == [{"against": "town", "samples": 1, "hit": 0}]


def test_an_overlap_with_a_suite_ends_with_two_and_the_reason(project, tmp_path):
    config = project("Where is the station?", SAMPLE)
    done = audit(config, "--json")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "sfteval: 1 training rows hold samples that the model will be judged by (allowed: 0). Remove the rows, or set "
        "data.budget.overlap:",
        f"  {tmp_path}/rows.jsonl:2 holds town/harbour (6 of 6 word sequences)",
    ]


def test_training_is_refused_for_the_same_reason(project, tmp_path, monkeypatch):
    from sfteval.errors import AuditError
    from sfteval.pipeline.training import train_from

    with pytest.raises(AuditError, match=r"rows.jsonl:1 holds town/harbour") as caught:
        train_from(project(SAMPLE), progress=False)
    assert caught.value.exit_code == 2


def test_a_benchmark_file_named_in_the_config(project, tmp_path):
    (tmp_path / "bench.jsonl").write_text(json.dumps({"question": "Where exactly is the old station of this town?"}))
    config = project("Where exactly is the old station of this town? Tell me.", data=", against: [bench.jsonl]")
    done = audit(config, "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["overlap"]["compared"] == [{"against": "bench.jsonl", "samples": 1, "hit": 1}]
    (tmp_path / "bench.jsonl").write_text('{"a": 1}')
    done = CliRunner().invoke(app, ["audit", str(config)])
    assert str(done.exception) == (
        f"{tmp_path}/bench.jsonl:1: found fields a; expected one of messages, prompt, question, query, instruction, "
        "input, problem, goal, ctx, context, text"
    )


def conversation(question):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": "Answer"}]}


def test_rows_that_a_suite_wants_to_be_trained_on_may_be(project, tmp_path):
    """`suites/overfitting` asks for training rows: they overlap with nothing, their held-out partners may not."""
    learned, unseen = f"{SAMPLE} and paid for", "Which of the nine bridges over the northern canal was closed first?"
    config = project(learned)
    (tmp_path / "suites" / "held.jsonl").write_text(json.dumps(conversation(unseen)) + "\n")
    (tmp_path / "suites" / "rows.jsonl").write_text((tmp_path / "rows.jsonl").read_text())
    (tmp_path / "suites" / "town.suite.yaml").write_text(
        "suite: heart\nsamples: {train: rows.jsonl, heldout: held.jsonl}\nchecks: {gap: {heldout_gap: true}}\n"
        "gates: [{check: gap, no_regression: {against: base, margin: 0.1}}]\n"
    )
    done = audit(config, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["overlap"]["compared"] == [{"against": "heart", "samples": 1, "hit": 0}]
    (tmp_path / "rows.jsonl").write_text(json.dumps(conversation(unseen)) + "\n")
    assert "rows.jsonl:1 holds heart/line-1" in audit(config).stderr


def test_suites_of_the_hooks_judge_too_and_what_is_not_here_is_told(project, tmp_path):
    (tmp_path / "evals").mkdir()
    config = project(SAMPLE)
    (tmp_path / "suites" / "town.suite.yaml").rename(tmp_path / "evals" / "town.suite.yaml")
    assert audit(config).exit_code == 0  # an empty suites/ beside the configuration holds nothing to compare with
    config.write_text(config.read_text() + "hooks: {suites: [evals]}\n")
    done = audit(config)
    assert done.exit_code == 2
    assert "rows.jsonl:1 holds town/harbour" in done.stderr
    suite = tmp_path / "evals" / "town.suite.yaml"
    suite.write_text(suite.read_text() + "requires: {env: [SFTEVAL_NOT_SET]}\n")
    found = json.loads(audit(config, "--json").stdout)
    reason = "the environment variable SFTEVAL_NOT_SET is not set"
    assert found["overlap"]["compared"] == []
    assert found["overlap"]["unchecked"] == [{"against": "town", "reason": reason}]


def test_what_the_user_says_later_is_compared(project, tmp_path):
    suite = "Where is the station?"
    config = project(SAMPLE, suite=suite)
    path = tmp_path / "suites" / "town.suite.yaml"
    path.write_text(path.read_text().replace("}]}]", f"}}], turns: [{json.dumps(SAMPLE)}]}}]"))
    assert "rows.jsonl:1 holds town/harbour" in audit(config).stderr


def test_tokens_are_shown_and_nothing_steers_the_terminal(project):
    done = audit(project(EVIL), "--show", "1")
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    assert "\\x1b[31mred" in done.stdout
    assert "Answer 0<|im_end|>" in done.stdout


def test_the_page_escapes_every_text_and_asks_no_network(project, tmp_path):
    page = tmp_path / "out" / "audit.html"
    done = audit(project(EVIL, EVIL), "--show", "1", "--html", page)
    assert done.exit_code == 0
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;" in text
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert 'class="learned' in text


def test_a_broken_row_refuses_with_its_place(project, tmp_path):
    config = project("a")
    (tmp_path / "rows.jsonl").write_text('{"messages": [{"role": "human", "content": "a"}]}\n')
    done = audit(config)
    assert done.exit_code == 2
    assert "1 rows are broken or cannot be masked for certain (allowed: 0)" in done.stderr
    assert "rows.jsonl:1: found message 0: role 'human'" in done.stderr
