"""A YAML file with the place of every field: parsed values in, faults with line, column and near misses out.

Comes in: a path, and pydantic's errors. Goes out: `Document` (values and positions) and `Fault`s. Knows nothing of
training, so any strict pydantic model can be read with it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from sfteval.errors import Fault, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic import ValidationError

Loc = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed YAML mapping. Positions are 1-based."""

    path: Path
    root: Any

    def has(self, key: str) -> bool:
        """Return True when the top level has this key."""
        return key in self.root

    def plain(self) -> dict[str, Any]:
        """Return the values as plain Python; sequences become tuples, as frozen models want them."""
        values: dict[str, Any] = _plain(self.root)
        return values

    def position(self, loc: Sequence[int | str]) -> tuple[int, int]:
        """Return line and column of the deepest part of `loc` that the file has."""
        node, place = self.root, (1, 1)
        for part in loc:
            if isinstance(node, CommentedMap) and part in node:
                line, column = node.lc.key(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                line, column = node.lc.item(part)
            else:
                continue
            node, place = node[part], (line + 1, column + 1)
        return place

    def fault(self, loc: Sequence[int | str], found: str, expected: str, do: str = "") -> Fault:
        """Return a fault at the field `loc`."""
        line, column = self.position(loc)
        field = ".".join(str(part) for part in loc)
        return Fault(str(self.path), f"{field}: {found}", expected, do, line, column)


def read_document(path: Path) -> Document:
    """Read a YAML 1.2 file whose top level is a mapping.

    Raises:
        InputError: The file is missing, not YAML, has a duplicate key, or is no mapping.
    """
    try:
        root = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except DuplicateKeyError as error:
        mark = error.problem_mark
        found = str(error.problem).split(" with value")[0].removeprefix("found ")
        raise InputError(Fault(str(path), found, "every key once", "", mark.line + 1, mark.column + 1)) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(
            Fault(str(path), str(error.problem or error.context), "valid YAML", "", mark.line + 1, mark.column + 1)
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(Fault(str(path), str(error).splitlines()[0], "valid YAML in UTF-8")) from None
    except OSError as error:
        raise InputError(Fault(str(path), error.strerror or str(error), "a readable YAML file")) from None
    if not isinstance(root, dict):
        raise InputError(Fault(str(path), f"a {_kind(root)} at the top level", "a mapping of fields"))
    return Document(path, root)


def faults_of(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Fault]:
    """Return one fault per pydantic error, in pydantic's order."""
    found = error.errors(include_url=False)
    inner = {details["loc"][:-cut] for details in found for cut in range(1, len(details["loc"]))}
    # pydantic also calls a list too short when its only entry is broken; the entry's own faults say it better.
    kept = [details for details in found if not (details["type"] == "too_short" and details["loc"] in inner)]
    return [_fault(dict(details), document, model) for details in kept]


def _fault(details: dict[str, Any], document: Document, model: type[BaseModel]) -> Fault:
    loc: Loc = tuple(part for part in details["loc"] if _written(part, details["loc"], document))
    kind = details["type"]
    if kind == "extra_forbidden":
        known = _fields(model, details["loc"][:-1])
        return document.fault(loc, "an unknown field", f"one of {', '.join(known)}", _suggest(str(loc[-1]), known))
    if kind == "missing":
        return document.fault((*loc, details["loc"][-1]), "nothing", "a value: the field is required")
    if kind == "union_tag_not_found":
        return document.fault((*loc, "name"), "nothing", "a value: the field is required")
    if kind == "too_short":
        return document.fault(loc, "an empty list", "at least one entry")
    if kind in ("literal_error", "union_tag_invalid"):
        return _choice_fault(details, loc, document)
    message = details["msg"].removeprefix("Value error, ")
    return document.fault(loc, _shown(details["input"]), message[0].lower() + message[1:])


def _choice_fault(details: dict[str, Any], loc: Loc, document: Document) -> Fault:
    context = details["ctx"]
    expected = (context.get("expected") or context["expected_tags"]).replace(" or ", ", ")
    choices = [choice.strip(" '") for choice in expected.split(",")]
    value = context.get("tag", details["input"])
    if details["type"] == "union_tag_invalid":
        loc = (*loc, "name")
    return document.fault(loc, _shown(value), f"one of {', '.join(choices)}", _suggest(str(value), choices))


def _written(part: int | str, loc: Loc, document: Document) -> bool:
    """Tell a field's name or index from the tags that pydantic puts into the location of unions."""
    node = document.root
    for step in loc:
        inside = (isinstance(node, dict) and step in node) or (
            isinstance(node, list) and isinstance(step, int) and step < len(node)
        )
        if inside:
            node = node[step]
        if step is part or step == part:
            return inside
    return False


def _fields(model: type[BaseModel], loc: Loc) -> list[str]:
    """Return the field names of the model at `loc`."""
    current: Any = model
    for part in loc:
        models = _models_in(current.model_fields[part].annotation) if part in current.model_fields else []
        if models:
            current = models[0]
        elif isinstance(part, str):
            named = [item for item in _siblings(model) if _tag(item) == part]
            current = named[0] if named else current
    return list(current.model_fields)


def _siblings(model: type[BaseModel]) -> list[type[BaseModel]]:
    return [inner for field in model.model_fields.values() for inner in _models_in(field.annotation)]


def _tag(model: type[BaseModel]) -> str:
    field = model.model_fields.get("name")
    return str(field.default) if field else ""


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _suggest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else ""


def _shown(value: Any) -> str:
    text = repr(_plain(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(value: Any) -> str:
    return {str: "text", type(None): "nothing"}.get(type(value), "list" if isinstance(value, list) else "value")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
