"""What a scripted model says, as written in YAML. Comes in: a file. Goes out: a `Script`, or every fault at once.

```yaml
name: careful
replies:                                  # the first rule that fits answers
  - {match: What is 2 + 2?, reply: "4"}   # equal to the last user turn, or to a whole plain prompt
  - {contains: France, reply: Paris}      # anywhere in the prompt
  - {regex: "(?i)json", reply: '{"a": 1}', finish_reason: length}
  - {contains: colour, reply: [red, blue]}   # chosen by the request's seed
default: I do not know.
prefer:                                   # multiple choice: this continuation gets the best score
  - {contains: "2 + 2 =", continuation: " 4"}
scores:                                   # exact log-likelihoods, before `prefer`
  - {contains: sky, continuation: " blue", value: -0.5, is_greedy: true}
fail: [{contains: crash, kind: out_of_memory, message: no room}]
nan: [poison]                             # scores whose context holds this are not a number
seed: 0                                   # of the scores that no rule names
batch_size: 8
delay_seconds: 0.0                        # per request
training: training.json                   # manifest that it claims to come from, beside the script
```
"""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, FiniteFloat, StringConstraints, ValidationError, model_validator

from sfteval.errors import Fault, ModelError
from sfteval.records import FinishReason
from sfteval.records.suite import Strict

if TYPE_CHECKING:
    from pathlib import Path

Text = Annotated[str, StringConstraints(min_length=1)]


class Reply(Strict):
    """An answer and the prompts that get it: exactly one of `match`, `contains`, `regex`."""

    match: Text | None = None
    contains: Text | None = None
    regex: Text | None = None
    reply: str | Annotated[tuple[str, ...], Field(min_length=1)]
    finish_reason: FinishReason | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Reply:
        if sum(condition is not None for condition in (self.match, self.contains, self.regex)) != 1:
            msg = "exactly one of match, contains, regex is needed"
            raise ValueError(msg)
        try:
            re.compile(self.regex or "")
        except re.error as error:
            msg = f"regex is not a valid pattern ({error})"
            raise ValueError(msg) from error
        return self

    def fits(self, prompt: str, question: str) -> bool:
        """Tell whether the rule answers `prompt`, whose last user turn is `question`."""
        if self.match is not None:
            return question == self.match
        if self.contains is not None:
            return self.contains in prompt
        return re.search(self.regex or "", prompt) is not None


class ScoreRule(Strict):
    """A log-likelihood (natural log, at most 0) for a continuation after contexts that hold `contains`."""

    contains: Text | None = None
    continuation: Text | None = None
    value: Annotated[FiniteFloat, Field(le=0)]
    is_greedy: bool = False

    @model_validator(mode="after")
    def _some_condition(self) -> ScoreRule:
        if self.contains is None and self.continuation is None:
            msg = "contains or continuation is needed"
            raise ValueError(msg)
        return self

    def fits(self, context: str, continuation: str) -> bool:
        """Tell whether the rule scores this pair."""
        known = self.contains is None or self.contains in context
        return known and (self.continuation is None or self.continuation == continuation)


class Preference(Strict):
    """The continuation that wins after contexts that hold `contains`; the others lose. Outer spaces do not count."""

    contains: Text
    continuation: Text


class Failure(Strict):
    """Requests whose text holds `contains` come back as failures."""

    contains: Text
    kind: Text = "scripted"
    message: Text = "a failure that the script asks for"


class Script(Strict):
    """All that a scripted model does. See the module's example."""

    name: Text = "scripted"
    replies: tuple[Reply, ...] = ()
    default: str = "I do not know."
    prefer: tuple[Preference, ...] = ()
    scores: tuple[ScoreRule, ...] = ()
    fail: tuple[Failure, ...] = ()
    nan: tuple[Text, ...] = ()
    seed: int = 0
    batch_size: Annotated[int, Field(ge=1)] = 8
    delay_seconds: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    max_length: Annotated[int, Field(ge=1)] = 1_000_000
    training: str = ""


def read_script(path: Path) -> Script:
    """Read a script. Raises ModelError with every fault, its line and its column."""
    tree = _tree(path)
    if not isinstance(tree, dict):
        found = "an empty file" if tree is None else "a list" if isinstance(tree, list) else "a single value"
        raise ModelError(Fault(str(path), found, "a mapping", f"Fields: {_names(Script)}."))
    try:
        return Script.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        raise ModelError([_fault(path, tree, dict(one)) for one in error.errors()]) from error


def _tree(path: Path) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise ModelError(Fault(str(path), f"broken YAML ({error.problem})", "YAML", "", line, column)) from error
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        raise ModelError(Fault(str(path), f"an unreadable file ({error})", "YAML in UTF-8")) from error


def _fault(path: Path, tree: Any, error: dict[str, Any]) -> Fault:
    steps = [step for step in error["loc"] if step not in {"str", "tuple[str, ...]"} and not _is_branch(step)]
    line, column = _position(tree, steps)
    field = ".".join(str(step) for step in steps) or "the script"
    if error["type"] != "extra_forbidden":
        reason = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        return Fault(str(path), f"{field} = {error['input']!r:.60}", reason, "", line, column)
    models: dict[str, type[Strict]] = {"replies": Reply, "scores": ScoreRule, "prefer": Preference, "fail": Failure}
    model: type[Strict] = models.get(str(steps[0]), Script) if len(steps) > 1 else Script
    near = difflib.get_close_matches(str(steps[-1]), model.model_fields, 1)
    advice = f"Did you mean {near[0]}?" if near else ""
    return Fault(str(path), f"unknown field {field}", f"one of: {_names(model)}", advice, line, column)


def _is_branch(step: object) -> bool:
    """Tell pydantic's names of union members from fields."""
    return isinstance(step, str) and ("[" in step or "(" in step)


def _names(model: type[Strict]) -> str:
    return ", ".join(model.model_fields)


def _position(tree: Any, steps: list[Any]) -> tuple[int, int]:
    """Return the 1-based line and column of the deepest step that is in the file, (0, 0) for the whole file."""
    line, column = 0, 0
    for step in steps:
        try:
            at = tree.lc.key(step) if isinstance(step, str) else tree.lc.item(step)
            tree = tree[step]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
        line, column = at[0] + 1, at[1] + 1
    return line, column
