"""A judged run as JUnit XML, for CI that did not run pytest itself (pytest's own `--junitxml` holds the same figures).

Comes in: rows. Goes out: one test case per gate; what blocks is a failure, what broke an error, what was not judged
skipped. Characters that XML 1.0 cannot hold are written as their code points.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from sfteval.report.rows import evidence, properties

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(rows: Sequence[Mapping[str, Any]], run_id: str) -> str:
    """Return the XML of a release.

    Args:
        rows: From `report.rows.verdict_row`.
        run_id: The candidate's run; the name of the test suite.
    """
    kinds = [_kind(row) for row in rows]
    suite = ElementTree.Element("testsuite", name=run_id, tests=str(len(rows)))
    for word, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(kinds.count(word)))
    for row, kind in zip(rows, kinds, strict=True):
        case = ElementTree.SubElement(suite, "testcase", classname=_safe(row["path"]), name=_safe(_id(row)))
        listed = ElementTree.SubElement(case, "properties")
        for name, value in properties(row):
            ElementTree.SubElement(listed, "property", name=_safe(name), value=_safe(value))
        if kind:
            ElementTree.SubElement(case, kind, message=_safe("; ".join(row["reasons"]))).text = _safe(evidence(row))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _id(row: Mapping[str, Any]) -> str:
    return str(row["node"]).rsplit("::", 1)[-1]


def _kind(row: Mapping[str, Any]) -> str:
    if row["verdict"] == "NOT_JUDGED":
        return "skipped"
    if not row["blocks"]:
        return ""
    return "error" if row["verdict"] == "NOT_COMPARABLE" else "failure"


def _safe(text: str) -> str:
    return _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
