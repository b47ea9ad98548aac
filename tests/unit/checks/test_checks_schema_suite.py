"""The published JSON-Schema-Test-Suite, required tests of draft 7 and 2020-12, through our validator."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sfteval.checks.schema_validator import compile_schema

ARCHIVE = Path(__file__).parents[4] / "shared" / "data" / "json_schema_test_suite" / "draft7_and_2020-12.tar.gz"
DRAFTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
NEEDS_A_SERVER = ("refRemote", "dynamicRef", "vocabulary")


def groups(draft: str) -> list[tuple[str, dict]]:
    with tarfile.open(ARCHIVE) as archive:
        names = [name for name in archive.getnames() if f"/{draft}/" in f"/{name}" and name.endswith(".json")]
        required = [name for name in names if "/optional/" not in name]
        loaded = [(Path(name).stem, json.load(archive.extractfile(name))) for name in sorted(required)]
    return [(stem, group) for stem, content in loaded for group in content]


def compiled(schema: dict | bool) -> Callable[[Any], str | None] | None:
    try:
        return compile_schema(schema)
    except ValueError:
        return None


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVE.is_file(), reason="shared data absent")
@pytest.mark.parametrize("draft", DRAFTS)
def test_required_tests(draft: str) -> None:
    passed, wrong, remote = 0, [], 0
    for stem, group in groups(draft):
        schema = group["schema"]
        if isinstance(schema, dict):
            schema = {"$schema": DRAFTS[draft]} | schema
        first_mistake = compiled(schema)
        if first_mistake is None:
            assert stem in NEEDS_A_SERVER, group["description"]
            remote += 1
            continue
        for test in group["tests"]:
            right = (first_mistake(test["data"]) is None) == test["valid"]
            passed += right
            if not right:
                wrong.append(f"{stem}: {group['description']}: {test['description']}")
    assert wrong == []
    assert remote <= 22
    assert passed > (850 if draft == "draft7" else 1200)
