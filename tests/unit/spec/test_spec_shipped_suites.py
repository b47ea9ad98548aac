"""The shipped suites load, are large enough, ask nothing twice, say how they are run, and can be answered.

Every sample has an answer that its checks accept: the reference itself, or a row of `fixtures/shipped_answers/`. An
empty answer and the prompt repeated must fail what the suite is about.
"""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from sfteval.checks import CHECK_TABLE, Answer, bind
from sfteval.pipeline.scoring import score_answers
from sfteval.records import FinishReason, SampleRow, Suite
from sfteval.spec import load_families, load_suite, require_distinct

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "suites").rglob("*.suite.yaml"))
ANSWERS = ROOT / "fixtures" / "shipped_answers"
MOST_ALIKE = 0.6
COUNTS = {
    "instructions": 205,
    "json": 80,
    "choices": 42,
    "documents": 61,
    "tool_calls": 46,
    "finance_numbers": 108,
    "finance_terms": 42,
    "finance_expert": 24,
    "chat": 91,
    "dialogues": 40,
    "style": 69,
    "refusals": 98,
}
ABOUT = {
    "instructions": "followed",
    "json": "all",
    "choices": "right_label",
    "documents": "written_right",
    "tool_calls": "right_calls",
    "finance_numbers": "right_number",
    "finance_terms": "right_term",
    "finance_expert": "names_it",
    "chat": "kept_to",
    "dialogues": "kept_thread",
    "style": "in_style",
    "refusals": "answered",
}
"""Which check says whether a suite's question was answered."""


@pytest.fixture(scope="module")
def suites() -> dict[str, Suite]:
    loaded = [load_suite(path, root=ROOT, checks=CHECK_TABLE) for path in FILES]
    require_distinct(loaded)
    families = load_families(ROOT / "suites" / "families.yaml", root=ROOT, suites=loaded)
    assert families.gates[0].id == "forgetting-no_regression-against-base"
    ids = [gate.node for file in (*loaded, families) for gate in file.gates]
    assert "suites/format_compliance/json.suite.yaml::valid_json-no_regression-against-base" in ids
    assert "suites/format_compliance/json.suite.yaml::valid_json-no_regression-against-previous" in ids
    assert len(set(ids)) == len(ids)
    return {file.suite.suite: file.suite for file in loaded}


@pytest.fixture(scope="module")
def rows(suites: dict[str, Suite]) -> dict[str, tuple[SampleRow, ...]]:
    return {name: suites[name].samples for name in COUNTS}


def folder(suite: str) -> Path:
    return next(path.parent for path in FILES if path.name == f"{suite}.suite.yaml")


def accepted_answers(suite: str, rows: tuple[SampleRow, ...]) -> dict[str, str | list[str]]:
    """Return an answer to each sample: what is written down for it, or its reference."""
    path = ANSWERS / f"{suite}.jsonl"
    if not path.exists():
        return {row.id: as_text(row.reference) for row in rows}
    written = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["id"]: row["response"] for row in written}


def as_text(reference: Any) -> str:
    return reference if isinstance(reference, str) else json.dumps(reference, ensure_ascii=False)


def asked(row: SampleRow) -> str:
    """Return what people say in a conversation, in one text."""
    return " ".join([*(message.content for message in row.messages if message.role == "user"), *row.turns])


def test_sizes(rows: dict[str, tuple[SampleRow, ...]]) -> None:
    assert {name: len(samples) for name, samples in rows.items()} == COUNTS
    assert set(COUNTS) == set(ABOUT)
    assert sum(COUNTS.values()) == 906


def test_ids_are_unique_over_all_suites(rows: dict[str, tuple[SampleRow, ...]]) -> None:
    ids = Counter(row.id for samples in rows.values() for row in samples)
    assert [each for each, times in ids.items() if times > 1] == []


def test_no_two_prompts_are_alike(rows: dict[str, tuple[SampleRow, ...]]) -> None:
    """Word 3-grams of any two conversations overlap by less than 60 % (Jaccard)."""
    grams = {}
    for suite, samples in rows.items():
        for row in samples:
            words = re.findall(r"\w+", asked(row).casefold())
            grams[f"{suite} {row.id}"] = frozenset(zip(words, words[1:], words[2:], strict=False)) or frozenset(words)
    holders: dict[Any, list[str]] = {}
    for name, own in grams.items():
        for gram in own:
            holders.setdefault(gram, []).append(name)
    shared = Counter(pair for names in holders.values() for pair in combinations(names, 2))
    alike = [(a, b) for (a, b), n in shared.items() if n / len(grams[a] | grams[b]) >= MOST_ALIKE]
    assert alike == []


@pytest.mark.parametrize("path", [*FILES, ROOT / "suites" / "families.yaml"], ids=lambda path: path.name)
def test_first_line_is_the_command(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = path.relative_to(ROOT).as_posix() if path.name != "families.yaml" else "suites/"
    assert first == f"# pytest {named} --candidate MODEL --base MODEL --previous none"


@pytest.mark.parametrize("name", COUNTS)
def test_every_sample_can_be_answered(name: str, suites: dict[str, Suite]) -> None:
    suite = suites[name]
    judge, answers = bind(suite.checks, folder(name)), accepted_answers(name, suite.samples)
    assert set(answers) == {row.id for row in suite.samples}
    refused = {}
    for row in suite.samples:
        outcomes = judge(answer(row, answers[row.id]))
        bad = {check: outcomes[check].evidence for check in gated(suite, row) if outcomes[check].score != 1.0}
        if bad:
            refused[row.id] = bad
    assert refused == {}


def gated(suite: Suite, row: SampleRow) -> set[str]:
    """Return the checks whose gates judge this sample."""
    tags = {f"tags.{name}": value for name, value in row.tags.items()}
    return {gate.check for gate in suite.gates if gate.slice.items() <= tags.items()}


@pytest.mark.parametrize("name", COUNTS)
def test_an_empty_or_echoed_answer_is_wrong(name: str, suites: dict[str, Suite]) -> None:
    suite = suites[name]
    judge = bind({ABOUT[name]: suite.checks[ABOUT[name]]} if name != "json" else suite.checks, folder(name))
    for row in suite.samples:
        for text in ("", row.turns[-1] if row.turns else row.messages[-1].content):
            outcome = judge(answer(row, text))[ABOUT[name]]
            assert outcome.score == 0.0, (row.id, text, outcome.evidence)


def answer(row: SampleRow, said: str | list[str]) -> Answer:
    """Return what the model said, the answers before the last one too where they were fed back."""
    *earlier, text = [said] if isinstance(said, str) else said
    before = tuple(Answer(each, FinishReason.END_TURN) for each in earlier)
    return Answer(text, FinishReason.END_TURN, row.messages, row.reference, row.vars, earlier=before)


def test_an_unchanged_model_is_proven_to_have_lost_nothing(suites: dict[str, Suite], tmp_path: Path) -> None:
    """Margins are wide enough for the number of samples: equal answers settle every gate against base."""
    for name in COUNTS:
        answers = accepted_answers(name, suites[name].samples)
        lines = [{"id": key, "response": text, "finish_reason": "end_turn"} for key, text in answers.items()]
        responses = tmp_path / f"{name}.jsonl"
        responses.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        path = folder(name) / f"{name}.suite.yaml"
        scored = score_answers([path], responses, tmp_path / "runs", base=str(responses))
        verdicts = {gate["node"].split("::")[1]: gate["verdict"] for gate in scored["gates"]}
        assert {v for gate, v in verdicts.items() if "previous" not in gate} == {"PASS"}, verdicts
        assert {v for gate, v in verdicts.items() if "previous" in gate} <= {"NOT_JUDGED"}, verdicts
