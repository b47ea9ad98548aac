"""A YAML 1.2 file to plain data with positions.

Comes in: a path. Goes out: `Located` holding only mappings with text keys, lists, text, whole and finite numbers,
true/false and null; or an InputError with every fault of the file. Dates stay text, as in JSON.

ruamel.yaml composes the node graph, in which an alias is a shared node; the walk counts what aliases expand to, so a
"billion laughs" file ends at `MAX_VALUES` and not in memory.
"""

from __future__ import annotations

import math
import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from sfteval.errors import Fault, InputError
from sfteval.yamlfile.located import Located, Mark, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sfteval.yamlfile.located import FieldPath

MAX_BYTES = 512 * 1024
MAX_VALUES = 100_000
MAX_DEPTH = 60
TAG = "tag:yaml.org,2002:"


def read_yaml(path: Path, where: str, *, if_too_large: str = "") -> Located:
    """Read one YAML file.

    Args:
        path: The file.
        where: How its faults name it.
        if_too_large: What to do when it is.

    Raises:
        InputError: unreadable, too large, not UTF-8, empty, not YAML, duplicate or non-text keys, custom tags,
            expanded beyond `MAX_VALUES` values, nested beyond `MAX_DEPTH`.
    """
    return parse_yaml(_read_text(path, where, if_too_large), where)


def parse_yaml(text: str, where: str) -> Located:
    """Parse YAML text; see `read_yaml`."""
    node = _compose(text, where)
    if node is None:
        raise InputError(Fault(where, "an empty file", "a YAML mapping", line=1))
    walk = _Walk(where)
    data = walk.value(node, ())
    if walk.faults:
        raise InputError(walk.faults)
    return Located(where, data, walk.values, walk.keys)


def _read_text(path: Path, where: str, if_too_large: str) -> str:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise InputError(Fault(where, found, "a YAML file"))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(Fault(where, f"a file that cannot be read ({error.strerror})", "a readable file")) from None
    if len(content) > MAX_BYTES:
        raise InputError(Fault(where, f"more than {MAX_BYTES} bytes", f"at most {MAX_BYTES} bytes", if_too_large))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(Fault(where, "bytes that are not UTF-8", "a text file in UTF-8", line=line)) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(Fault(where, "a binary file", "a text file in UTF-8", line=line))
    return text


def _compose(text: str, where: str) -> Any:
    if text.startswith("%"):
        raise InputError(Fault(where, "a % directive", "plain YAML 1.2", "Remove the line.", 1, 1))
    for number, written in enumerate(text.splitlines(), start=1):
        if _deep(
            written
        ):  # ruamel looks a thousand tokens ahead at every bracket of a line: seconds before it gives up
            raise InputError(Fault(where, "brackets nested too deep", f"at most {MAX_DEPTH} levels", "", number))
    try:
        return YAML(typ="safe", pure=True).compose(text)
    except RecursionError:
        raise InputError(Fault(where, "brackets nested too deep", f"at most {MAX_DEPTH} levels")) from None
    except MarkedYAMLError as error:
        raise InputError(_syntax_fault(error, text, where)) from None
    except YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise InputError(Fault(where, "a character that YAML does not allow", "printable text", line=line)) from None


def _deep(line: str) -> bool:
    if line.count("[") + line.count("{") <= MAX_DEPTH:
        return False
    steps = ((mark in "[{") - (mark in "]}") for mark in line)
    return max(accumulate(steps)) > MAX_DEPTH


def _syntax_fault(error: MarkedYAMLError, text: str, where: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    if line <= len(lines) and re.match(r" *\t", lines[line - 1]):
        return Fault(where, "a tab in the indentation", "spaces", "Replace the tab by spaces.", line, column)
    problem = str(error.problem or "something unreadable").replace("'<", "").replace(">'", "").replace("\\t", "tab")
    context = f", {error.context}" if error.context else ""
    return Fault(where, f"malformed YAML ({problem}{context})", "YAML 1.2", "", line, column)


def _number(kind: Callable[[str], int | float], text: str) -> int | float:
    value = kind(text.replace("_", ""))
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _integer(text: str) -> int:
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.lstrip("+"))
    base = 8 if digits.startswith("0o") else 16 if digits.startswith("0x") else 10
    return sign * int(digits, base)


SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": lambda text: _number(_integer, text),
    "float": lambda text: _number(float, text),
    "str": str,
    "timestamp": str,
}


class _Walk:
    """One pass over the node graph that builds values, marks and faults."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.values: dict[FieldPath, Mark] = {}
        self.keys: dict[FieldPath, Mark] = {}
        self.faults: list[Fault] = []
        self._count = 0

    def value(self, node: Any, path: FieldPath) -> Any:
        self.values[path] = _mark(node)
        self._count += 1
        if self._count > MAX_VALUES:
            found, limit = "aliases (or values) that expand too far", f"at most {MAX_VALUES} values"
            raise InputError(Fault(self.where, found, limit, "Remove the aliases.", *_mark(node)))
        if len(path) > MAX_DEPTH:
            raise InputError(Fault(self.where, "nesting too deep", f"at most {MAX_DEPTH} levels", "", *_mark(node)))
        if not isinstance(node, ScalarNode) and str(node.tag) not in (TAG + "map", TAG + "seq"):
            self._tag_fault(node)
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: MappingNode, path: FieldPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            if key in result:
                first = self.keys[*path, key].line
                self._fault(key_node, f"the key {key!r} twice (first in line {first})", "each key once")
                continue
            self.keys[*path, key] = _mark(key_node)
            result[key] = self.value(value_node, (*path, key))
        return result

    def _key(self, node: Any) -> str | None:
        if isinstance(node, ScalarNode) and str(node.tag) == TAG + "merge":
            self._fault(node, "a merge key '<<'", "a plain key", "YAML 1.2 has no merge keys; repeat the fields.")
            return None
        key = self._scalar(node) if isinstance(node, ScalarNode) else None
        if isinstance(key, str):
            return key
        if isinstance(node, ScalarNode) and key is not None:
            self._fault(node, f"the key {shown(key)}, which is not text", "a text key", "Put it in quotes.")
        elif not self.faults or self.faults[-1].line != _mark(node).line:
            self._fault(node, "a key that is not text", "a text key")
        return None

    def _scalar(self, node: Any) -> Any:
        tag = str(node.tag)
        read = SCALARS.get(tag.removeprefix(TAG)) if tag.startswith(TAG) else None
        if read is None:
            self._tag_fault(node)
            return None
        try:
            value = read(node.value)
        except (ValueError, KeyError, OverflowError):
            self._fault(
                node, f"{node.value[:40]}, which is no finite number", "a finite number", "Or put it in quotes."
            )
            return None
        if isinstance(value, str) and not encodable(value):
            self._fault(node, "half of a surrogate pair", "text that UTF-8 can hold")
            return None
        return value

    def _tag_fault(self, node: Any) -> None:
        tag = str(node.tag).replace(TAG, "!!")
        self._fault(node, f"the tag {tag}", "plain values without tags", "Remove the tag.")

    def _fault(self, node: Any, found: str, expected: str, do: str = "") -> None:
        self.faults.append(Fault(self.where, found, expected, do, *_mark(node)))


def encodable(text: str) -> bool:
    """Return whether UTF-8 can hold the text (lone surrogates cannot; tokenizers break on them)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mark(node: Any) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)
