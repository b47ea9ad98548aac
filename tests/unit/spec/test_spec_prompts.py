"""Few-shot examples and templates: what is asked depends on suite, sample, seed and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from sfteval.checks import CHECK_TABLE
from sfteval.records import Suite
from sfteval.spec import load_suites


def sums(name: str, more: int, count: int) -> list[dict[str, object]]:
    """Return solved sums."""
    questions = [{"role": "user", "content": f"{i} + {more}"} for i in range(count)]
    return [{"id": f"{name}{i}", "messages": [q], "reference": str(i + more)} for i, q in enumerate(questions)]


EXAMPLES, ROWS = sums("e", 1, 30), sums("s", 2, 9)


def asked(folder: Path, examples=EXAMPLES, rows=ROWS, more: str = "", few: str = "n: 3") -> dict[str, list[str]]:
    folder.mkdir(exist_ok=True)
    (folder / "examples.jsonl").write_text("".join(json.dumps(each) + "\n" for each in examples))
    (folder / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    (folder / "a.suite.yaml").write_text(
        f"suite: sums\nsamples: rows.jsonl\nfew_shot: {{from: examples.jsonl, {few}}}\n{more}"
        "checks:\n  right: {exact_match: true}\ngates:\n  - {check: right, at_least: 0.1}\n"
    )
    found = {}
    for file in load_suites(folder / "a.suite.yaml", root=folder, checks=CHECK_TABLE):
        assert isinstance(file.suite, Suite)
        for row in file.suite.samples:
            found[f"{file.suite.suite}/{row.id}"] = [f"{m.role}: {m.content}" for m in row.messages]
    return found


def test_examples_stand_before_the_question(tmp_path: Path) -> None:
    messages = asked(tmp_path)["sums/s4"]
    assert len(messages) == 7
    assert messages[-1] == "user: 4 + 2"
    for question, answer in zip(messages[0:6:2], messages[1:6:2], strict=True):
        number = int(question.removeprefix("user: ").split(" + ")[0])
        assert answer == f"assistant: {number + 1}"


def test_nothing_else_changes_a_prompt(tmp_path: Path) -> None:
    first = asked(tmp_path)
    assert asked(tmp_path, EXAMPLES[::-1]) == first
    assert asked(tmp_path, rows=ROWS[::-1][:4]) == {key: first[key] for key in first if key >= "sums/s5"}
    without = [each for each in EXAMPLES if f"user: {each['messages'][0]['content']}" in first["sums/s4"]]
    assert asked(tmp_path, without + EXAMPLES[:3])["sums/s4"] == first["sums/s4"]
    assert asked(tmp_path, few="n: 3, seed: 1") != first
    assert len({tuple(messages[:6]) for messages in first.values()}) == 9


def test_never_the_sample_itself(tmp_path: Path) -> None:
    for key, messages in asked(tmp_path, ROWS, few="n: 8").items():
        assert len(messages) == 17
        assert messages.count(messages[-1]) == 1, key
    renamed = [{**each, "id": f"other{index}"} for index, each in enumerate(ROWS)]
    assert all(messages.count(messages[-1]) == 1 for messages in asked(tmp_path, renamed, few="n: 8").values())


def test_template_and_matrix(tmp_path: Path) -> None:
    more = 'template: "Add: {prompt}"\nmatrix: {system: {none: null, terse: Be terse.}}\n'
    found = asked(tmp_path, more=more)
    plain = asked(tmp_path)
    assert len(found) == 18
    for row in ROWS:
        variants = [found[f"sums-system-{name}/{row['id']}"] for name in ("none", "terse")]
        assert variants[0] == variants[1]
        assert variants[0] == [m.replace("user: ", "user: Add: ") for m in plain[f"sums/{row['id']}"]]


def test_a_samples_own_system_message_stays_first(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    own = [{"id": "x", "messages": chat, "reference": "r"}]
    messages = asked(tmp_path, rows=own, more='template: "<{prompt}>"\n', few="n: 1")["sums/x"]
    assert (messages[0], messages[-1], len(messages)) == ("system: S", "user: <U>", 4)
    assert messages[1].startswith("user: <")
