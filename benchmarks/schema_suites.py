"""JSON Schema held to published tests: JSON-Schema-Test-Suite (draft 7, 2020-12) and SchemaStore's own instances.

python benchmarks/schema_suites.py [--json]

Required tests only; nothing is fetched. Groups whose schema refers to a document on the suite's test server are refused
when the schema is compiled, as any reference to another document is, and are counted apart. SchemaStore's instances
come as text to the check `json_schema` with `formats`: those published as valid must pass, the invalid ones fail.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tarfile
from pathlib import Path
from typing import Any

from sfteval.checks import Answer, bind
from sfteval.checks.schema_validator import compile_schema
from sfteval.errors import InputError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ARCHIVE = DATA / "json_schema_test_suite" / "draft7_and_2020-12.tar.gz"
STORE = DATA / "schemastore" / "schemas_with_instances.jsonl.gz"
DRAFTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


def required(draft: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (file, group) of every required group of a draft."""
    with tarfile.open(ARCHIVE) as archive:
        names = sorted(name for name in archive.getnames() if f"/{draft}/" in f"/{name}" and name.endswith(".json"))
        files = [(Path(name).stem, archive.extractfile(name)) for name in names if "/optional/" not in name]
        return [(stem, group) for stem, file in files if file is not None for group in json.load(file)]


def judge_draft(draft: str) -> dict[str, Any]:
    """Return groups and tests, those equal to the published answer, and the groups that need another document."""
    found: dict[str, Any] = {"groups": 0, "tests": 0, "equal": 0, "wrong": [], "refused": []}
    for stem, group in required(draft):
        found["groups"] += 1
        schema = {"$schema": DRAFTS[draft]} | group["schema"] if isinstance(group["schema"], dict) else group["schema"]
        try:
            first_mistake = compile_schema(schema)
        except ValueError as error:
            found["refused"].append([stem, group["description"], len(group["tests"]), str(error)])
            continue
        for test in group["tests"]:
            found["tests"] += 1
            equal = (first_mistake(test["data"]) is None) == test["valid"]
            found["equal"] += equal
            if not equal:
                found["wrong"].append(f"{stem}: {group['description']}: {test['description']}")
    return found


def judge_store() -> dict[str, Any]:
    """Return schemas and instances of SchemaStore, and what was judged otherwise than published."""
    found: dict[str, Any] = {"schemas": 0, "valid": [0, 0], "invalid": [0, 0], "wrong": [], "refused": []}
    with gzip.open(STORE, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        found["schemas"] += 1
        try:
            judge = bind({"fits": {"json_schema": row["schema"], "formats": True}}, Path())
        except InputError as error:
            found["refused"].append([row["name"], str(error)])
            continue
        for name, wanted in (("valid", 1.0), ("invalid", 0.0)):
            for instance in row.get(name) or ():
                outcome = judge(Answer(json.dumps(instance["instance"])))["fits"]
                found[name][0] += outcome.score == wanted
                found[name][1] += 1
                if outcome.score != wanted:
                    found["wrong"].append([row["name"], name, outcome.evidence[:200]])
    return found


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    drafts, store = {draft: judge_draft(draft) for draft in DRAFTS}, judge_store()
    if options.json:
        print(json.dumps({"drafts": drafts, "schemastore": store}))
        return
    for draft, found in drafts.items():
        print(f"{draft}: {found['equal']} of {found['tests']} required tests equal, in {found['groups']} groups")
        for wrong in found["wrong"]:
            print(f"  wrong: {wrong}")
        for stem, group, tests, reason in found["refused"]:
            print(f"  refused: {stem}: {group} ({tests} tests): {reason}")
    print(f"SchemaStore: {store['schemas']} schemas, {len(store['refused'])} refused for references to other documents")
    for name in ("valid", "invalid"):
        print(f"  {name}: {store[name][0]} of {store[name][1]} as published")
    for wrong in store["wrong"]:
        print("  otherwise:", *wrong)
    for name, reason in store["refused"]:
        print(f"  refused: {name}: {reason}")


if __name__ == "__main__":
    main()
