"""Any one value of a good file replaced by any odd one: it loads or ends in faults of that file, never in a crash."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sfteval.checks import CHECK_TABLE
from sfteval.errors import Fault, InputError
from sfteval.records import SuiteFile
from sfteval.spec import load_families, load_suite

MESSAGES = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Ho"},
    {"role": "user", "content": "Well"},
]
GOOD = {
    "suite": "x",
    "description": "d",
    "skill": "forgetting",
    "samples": [
        {
            "id": "a",
            "messages": MESSAGES,
            "turns": ["And?"],
            "reference": {"t": 1},
            "vars": {"checks": [{"max_words": 3}]},
            "tags": {"k": "v"},
        }
    ],
    "generate": {"max_tokens": 5, "stop": ["END"]},
    "checks": {
        "fits": {"json_schema": {"type": "object", "properties": {"t": {"pattern": "a"}}}, "allow_fence": True},
        "t": {"json_path": "$.t", "number": {"reference": True, "tolerance": 0.1}},
        "own": {"per_sample": "all"},
        "all": {"all_of": ["fits", "t"]},
        "say": {"contains": ["a"]},
        "two": {"pass_at": "fits", "k": 2},
        "turn": {"at_turn": "fits", "turn": 1},
    },
    "gates": [
        {"check": "t", "improves": {"against": "base", "by": 0.1}},
        {"check": "all", "name": "n", "no_regression": {"against": "base", "margin": 0.1}, "alpha": 0.1},
    ],
    "max_errored": 0.1,
    "n": 2,
}
LM_EVAL = {
    "suite": "y",
    "skill": "forgetting",
    "lm_eval": {"tasks": ["a", "b"], "num_fewshot": 0, "include_path": "."},
    "gates": [{"check": "acc", "no_regression": {"against": "base"}}],
}
FAMILY = {"family": [{"name": "forgetting", "no_regression": {"against": "base", "margin": 0.1}, "proof": "none"}]}
ODD = [None, True, -1.5, "", "odd", "../..", [], {}, {"odd": {}}, [None]]


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


def damaged(good: dict) -> Iterator[dict]:
    for path in places(good):
        for odd in [*ODD, "GONE"]:
            bad = copy.deepcopy(good)
            here = bad
            for piece in path[:-1]:
                here = here[piece]
            if odd == "GONE":
                del here[path[-1]]
            else:
                here[path[-1]] = odd
            yield bad


def faults_of(load: Callable[[], SuiteFile]) -> tuple[Fault, ...]:
    try:
        loaded = load()
    except InputError as error:
        return error.faults
    assert loaded.gates
    return ()


@pytest.mark.parametrize(("good", "refused"), [(GOOD, 450), (LM_EVAL, 110)], ids=["samples", "lm_eval"])
def test_suites(good: dict, refused: int, tmp_path: Path) -> None:
    path = tmp_path / "x.suite.yaml"
    path.write_text(json.dumps(good))
    assert faults_of(lambda: load_suite(path, root=tmp_path, checks=CHECK_TABLE)) == ()
    count = 0
    for bad in damaged(good):
        path.write_text(json.dumps(bad))
        faults = faults_of(lambda: load_suite(path, root=tmp_path, checks=CHECK_TABLE))
        assert all(fault.where == "x.suite.yaml" and fault.line == 1 for fault in faults), bad
        count += bool(faults)
    assert count > refused


def test_families(tmp_path: Path) -> None:
    suite = tmp_path / "y.suite.yaml"
    suite.write_text(json.dumps(LM_EVAL))
    suites = [load_suite(suite, root=tmp_path, checks=CHECK_TABLE)]
    path = tmp_path / "families.yaml"
    count = 0
    for bad in damaged(FAMILY):
        path.write_text(json.dumps(bad))
        faults = faults_of(lambda: load_families(path, root=tmp_path, suites=suites))
        assert all(fault.where == "families.yaml" for fault in faults), bad
        count += bool(faults)
    assert count > 50
