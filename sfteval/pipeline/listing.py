"""`sfteval checks`: every check kind as plain data, with fields and examples."""

from __future__ import annotations

import difflib
import json
from typing import Any

from sfteval.checks import CHECK_TABLE, CheckKind
from sfteval.errors import Fault, InputError


def describe_checks(name: str | None = None) -> list[dict[str, Any]]:
    """Return the check kinds, or the one called `name`.

    Raises:
        InputError: there is no such check.
    """
    if name is None:
        return [_described(CHECK_TABLE.kinds[each]) for each in CHECK_TABLE.names()]
    if name not in CHECK_TABLE.kinds:
        near = difflib.get_close_matches(name, CHECK_TABLE.names(), n=1)
        do = f"Did you mean {near[0]!r}?" if near else "List them with: sfteval checks"
        raise InputError(Fault("checks", repr(name), "the name of a check", do))
    return [_described(CHECK_TABLE.kinds[name])]


def _described(kind: CheckKind) -> dict[str, Any]:
    fields = [
        {
            "name": info.alias or field,
            "type": str(info.annotation).replace("typing.", ""),
            "default": "required" if info.is_required() else repr(info.default),
            "description": info.description or "",
        }
        for field, info in kind.params.model_fields.items()
    ]
    shown = {"passes": kind.passing, "fails": kind.failing}
    examples = {name: answer.text for name, answer in shown.items() if answer is not None}
    return {
        "name": kind.name,
        "summary": kind.summary,
        "version": kind.metric.version,
        "fields": fields,
        "examples": {"written": json.dumps(dict(kind.example)), **examples},
        "source": kind.source or "sfteval",
    }
