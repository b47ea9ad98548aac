"""The shipped suites load, are large enough, and say how they are run."""

import json
from pathlib import Path

import pytest

from sfteval.checks import CHECK_TABLE, Answer, bind
from sfteval.records import FinishReason, Suite
from sfteval.spec import load_families, load_suite, require_distinct

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "suites").rglob("*.suite.yaml"))
WITH_SAMPLES = ("instructions", "json")


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


def test_sizes_and_distinct_prompts(suites: dict[str, Suite]) -> None:
    prompts = [row.messages[-1].content for name in WITH_SAMPLES for row in suites[name].samples]
    assert [len(suites[name].samples) for name in WITH_SAMPLES] == [50, 48]
    assert len({prompt.casefold() for prompt in prompts}) == len(prompts)
    assert "all" in suites["json"].checks


@pytest.mark.parametrize("path", [*FILES, ROOT / "suites" / "families.yaml"], ids=lambda path: path.name)
def test_first_line_is_the_command(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = path.relative_to(ROOT).as_posix() if path.name != "families.yaml" else "suites/"
    assert first == f"# pytest {named} --candidate MODEL --base MODEL --previous none"


def test_json_references_are_what_the_checks_accept(suites: dict[str, Suite]) -> None:
    suite = suites["json"]
    judge = bind(suite.checks, ROOT)
    for row in suite.samples:
        answer = Answer(json.dumps(row.reference), FinishReason.END_TURN, reference=row.reference)
        assert {name: outcome.score for name, outcome in judge(answer).items()} == dict.fromkeys(suite.checks, 1.0), (
            row.id
        )


GOOD = {
    "tea-steps": "- Boil water.\n- Add the tea.\n- Wait four minutes.",
    "capital-one-word": "Lisbon",
    "date-iso": "2021-03-07",
    "table-fruit": "| Fruit | Colour |\n|---|---|\n| Apple | red |\n| Plum | blue |\n| Lime | green |",
    "code-python": "```python\ndef square(x):\n    return x * x\n```",
    "quotation-marks": '"Slow rain fills the well."',
    "placeholder-mail": "Dear [name], your appointment on [date] is confirmed.",
    "csv-animals": "name,legs\ncat,4\nhen,2\nant,6",
    "xml-note": "<note><to>Ann</to><body>Hello</body></note>",
    "yaml-pet": "name: Rex\nage: 3",
    "json-list-days": '["Saturday", "Sunday"]',
    "two-parts": "Advantage: no commute.\nDisadvantage: less company.",
    "separator": "Hello!\n---\nGood day!",
    "answer-final": "A hexagon has six sides.\nAnswer: 6",
    "keyword-twice": "The bridge is old.\nBelow the Bridge the water is green.",
}


def test_instructions_can_be_followed(suites: dict[str, Suite]) -> None:
    suite = suites["instructions"]
    judge = bind(suite.checks, ROOT)
    rows = {row.id: row for row in suite.samples}
    for identifier, text in GOOD.items():
        outcome = judge(Answer(text, FinishReason.END_TURN, vars=rows[identifier].vars))["followed"]
        assert outcome.score == 1.0, (identifier, outcome.evidence)


def test_an_empty_or_echoed_answer_follows_nothing(suites: dict[str, Suite]) -> None:
    suite = suites["instructions"]
    judge = bind(suite.checks, ROOT)
    for row in suite.samples:
        for text in ("", row.messages[-1].content):
            outcome = judge(Answer(text, FinishReason.END_TURN, vars=row.vars))["followed"]
            assert outcome.score == 0.0, (row.id, text, outcome.evidence)
