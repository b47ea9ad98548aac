"""Structured answers that are not JSON: CSV, YAML, XML, Markdown.

Comes in: an answer. Goes out: 1 or 0 with the first mistake; no score where an answer is too large to be read in time.
"""

from __future__ import annotations

import csv as csv_reader
import io
import re
from itertools import pairwise
from typing import Annotated, Literal

import defusedxml.ElementTree
from defusedxml import DefusedXmlException
from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode

from sfteval.checks.answer import Answer, Outcome, judged, unjudged
from sfteval.checks.json_text import inside_fence, nested_too_deep
from sfteval.checks.kinds import Flag, Params, kind
from sfteval.checks.lengths import BULLET
from sfteval.records import Strict

YAML_CHARACTERS = 32_768
STRUCTURE = re.compile(r"[\[{]|[:?-](?:\s|$)")
"""What a YAML mapping or list cannot do without; parsing prose takes a hundred times as long as looking for it."""
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+\S", re.MULTILINE)
NUMBERED = re.compile(r"^[ \t]*\d{1,3}[.)][ \t]+\S", re.MULTILINE)
FENCE_LINE = re.compile(r"^ {0,3}```[ \t]*([\w+#.-]*)", re.MULTILINE)
TABLE_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-{3,}:?[ \t]*(?:\|[ \t]*:?-{3,}:?[ \t]*)+\|?[ \t]*$")


class CsvShape(Strict):
    """The table to expect: column names in order (if given), at least so many rows below them, the delimiter."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    min_rows: Annotated[int, Field(ge=0)] = 1
    delimiter: Literal[",", ";", "\t", "|"] = ","


class Csv(Params):
    """The answer is CSV with a header and as many cells in each row."""

    csv: CsvShape
    allow_fence: bool = False


class YamlValid(Params):
    """The answer is one YAML mapping or list (prose alone is YAML too, and does not count)."""

    yaml_valid: Flag
    allow_fence: bool = False


class XmlValid(Params):
    """The answer is well-formed XML without entity declarations; the root element may be named."""

    xml_valid: Flag
    root: str | None = None
    allow_fence: bool = False


class MarkdownParts(Strict):
    """What must be there, at least so many of each; `language` names the language of one code block."""

    headings: Annotated[int, Field(ge=1)] | None = None
    bullets: Annotated[int, Field(ge=1)] | None = None
    numbered: Annotated[int, Field(ge=1)] | None = None
    tables: Annotated[int, Field(ge=1)] | None = None
    code_blocks: Annotated[int, Field(ge=1)] | None = None
    language: str | None = None


class Markdown(Params):
    """The answer has the asked Markdown parts: headings, bullets, numbered items, tables, code blocks."""

    markdown: MarkdownParts


def _body(text: str, allow_fence: bool, *languages: str) -> str:
    fenced = inside_fence(text, ("", *languages)) if allow_fence else None
    return text.strip() if fenced is None else fenced.strip()


def is_csv(params: Csv, answer: Answer) -> Outcome:
    """Read header and rows."""
    shape = params.csv
    text = _body(answer.text, params.allow_fence, "csv")
    try:
        rows = list(csv_reader.reader(io.StringIO(text, newline=""), delimiter=shape.delimiter, strict=True))
    except csv_reader.Error as error:
        return judged(False, f"not CSV: {error}")
    header, body = [cell.strip() for cell in rows[0]] if rows else [], rows[1:]
    if not header or (shape.columns is not None and tuple(header) != shape.columns):
        return judged(False, f"header {', '.join(header) or 'missing'}")
    if len(header) < 2 and shape.columns is None:
        return judged(False, "one column only")
    ragged = next((number for number, row in enumerate(body, start=2) if len(row) != len(header)), None)
    if ragged is not None:
        return judged(False, f"row {ragged} has {len(rows[ragged - 1])} cells, the header {len(header)}")
    return judged(len(body) >= shape.min_rows, f"{len(body)} rows, at least {shape.min_rows}")


def is_yaml(params: YamlValid, answer: Answer) -> Outcome:
    """Compose the document without building it, so that aliases expand to nothing."""
    text = _body(answer.text, params.allow_fence, "yaml", "yml")
    if len(text) > YAML_CHARACTERS:
        return unjudged(f"longer than {YAML_CHARACTERS} characters")
    if nested_too_deep(text):
        return judged(False, "nested too deep")
    if not STRUCTURE.search(text):
        return judged(False, "no mapping or list")
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        return judged(False, f"not YAML: {getattr(error, 'problem', None) or type(error).__name__}")
    except (RecursionError, ValueError) as error:
        return judged(False, f"not YAML: {type(error).__name__}")
    if node is None or isinstance(node, ScalarNode):
        return judged(False, "no mapping or list")
    return judged(True, "YAML")


def is_xml(params: XmlValid, answer: Answer) -> Outcome:
    """Parse with entities forbidden."""
    text = _body(answer.text, params.allow_fence, "xml")
    try:
        root = defusedxml.ElementTree.fromstring(text, forbid_dtd=True)
    except DefusedXmlException as error:
        return judged(False, f"forbidden in XML: {type(error).__name__}")
    except (defusedxml.ElementTree.ParseError, ValueError) as error:
        return judged(False, f"not XML: {error}")
    fits = params.root is None or root.tag == params.root
    return judged(fits, f"root {root.tag!r}")


def has_markdown(params: Markdown, answer: Answer) -> Outcome:
    """Count the parts outside code blocks, and the code blocks."""
    prose, blocks = split_code(answer.text)
    languages = [language for language, _ in blocks]
    counts = {
        "headings": len(HEADING.findall(prose)),
        "bullets": len(BULLET.findall(prose)),
        "numbered": len(NUMBERED.findall(prose)),
        "tables": count_tables(prose),
        "code_blocks": len(languages),
    }
    wanted = {name: getattr(params.markdown, name) for name in counts}
    few = [
        f"{counts[name]} {name}, at least {least}" for name, least in wanted.items() if least and counts[name] < least
    ]
    language = params.markdown.language
    if language is not None and language.lower() not in languages:
        few.append(f"no {language} code block")
    return judged(not few, "; ".join(few) or "all parts there")


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Return language (in lower case) and code of each closed code block."""
    return split_code(text)[1]


def split_code(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the text outside closed code blocks, and language (in lower case) and code of each block."""
    prose: list[str] = []
    blocks: list[tuple[str, str]] = []
    block: list[str] | None = None
    opened = ""
    for line in text.splitlines():
        fence = FENCE_LINE.match(line)
        if block is None and fence:
            block, opened = [], fence.group(1).lower()
        elif block is not None and fence and not fence.group(1):
            blocks.append((opened, "\n".join(block)))
            block = None
        else:
            (prose if block is None else block).append(line)
    return "\n".join(prose + (block or [])), blocks


def count_tables(text: str) -> int:
    """Return the number of pipe tables: a header line with a rule of dashes below it."""
    lines = text.splitlines()
    return sum("|" in above and len(rule) < 2000 and bool(TABLE_RULE.match(rule)) for above, rule in pairwise(lines))


_MARKDOWN = {"markdown": {"headings": 1, "tables": 1, "language": "python"}}

KINDS = (
    kind(Csv, is_csv, {"csv": {"columns": ["name", "age"]}}, passing="name,age\nAnn,31", failing="name,age\nAnn"),
    kind(YamlValid, is_yaml, {"yaml_valid": True}, passing="name: Ann\nage: 31", failing="name: [Ann"),
    kind(XmlValid, is_xml, {"xml_valid": True, "root": "a"}, passing="<a><b/></a>", failing="<a><b></a>"),
    kind(
        Markdown,
        has_markdown,
        _MARKDOWN,
        passing="# T\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = 1\n```",
        failing="# T\n\na | b",
    ),
)
