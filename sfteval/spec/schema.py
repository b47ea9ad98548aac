"""The published JSON Schema of suite files, so that editors complete them.

Comes in: the table of checks. Goes out: one self-contained schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.records import NAME_PATTERN, Suite

if TYPE_CHECKING:
    from sfteval.spec.checktable import CheckTable

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def suite_schema(checks: CheckTable) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `*.suite.yaml`, each check's parameters included."""
    schema = {"$schema": DIALECT, **Suite.model_json_schema()}
    definitions = schema.setdefault("$defs", {})
    references = []
    for name, parameters in sorted(checks.schemas().items()):
        definitions |= parameters.pop("$defs", {})
        definitions[f"check_{name}"] = parameters
        references.append({"$ref": f"#/$defs/check_{name}"})
    schema["properties"]["checks"] |= {
        "patternProperties": {NAME_PATTERN: {"anyOf": references}},
        "additionalProperties": False,
    }
    return schema
