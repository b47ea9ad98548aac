"""Checks that users write: a Python function under a name, its typed parameters as YAML fields.

Comes in: a function (`@sfteval.check("name")` in a conftest.py, or an entry point of the group `sfteval.checks`).
Goes out: a `CheckKind` in the catalog. Without a version of its own a check's version is the hash of its source, so
that a changed check is never compared with what the old one said.

```python
@sfteval.check("mentions", passing="Buy ACME.", failing="Buy.")
def mentions(answer, mentions: str, at_least: int = 1):
    '''The answer names the company.'''
    found = answer.text.count(mentions)
    return found >= at_least, f"{found} times"
```

In a suite: `named: {mentions: ACME, at_least: 2}`; a check that has no parameter of its own name: `{name: true}`.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pydantic import create_model
from pydantic.fields import FieldInfo

from sfteval.checks.answer import Answer, Outcome
from sfteval.checks.catalog import CHECK_TABLE
from sfteval.checks.kinds import CheckKind, Context, Flag, Judge, Params
from sfteval.errors import Fault, InputError
from sfteval.records import MetricInfo

if TYPE_CHECKING:
    from sfteval.checks.table import Table

OwnCheck = Callable[..., Any]
GROUP = "sfteval.checks"
NAME = re.compile(r"^[a-z][a-z0-9_]{0,79}$")


def check(
    name: str,
    *,
    passing: str | Answer | None = None,
    failing: str | Answer | None = None,
    metric: MetricInfo | None = None,
    table: Table = CHECK_TABLE,
) -> Callable[[OwnCheck], OwnCheck]:
    """Make a function a check; the decorated function stays as it is.

    Args:
        name: Head key in YAML: lower-case letters, digits and `_`.
        passing: An answer that passes under the parameters' defaults, for `sfteval checks`.
        failing: An answer that fails.
        metric: Range, direction and version of the scores; 0 to 1, higher is better, version by source if left out.
        table: Where it is entered.

    Returns:
        A decorator for `function(answer, …)`: `answer` is an `sfteval.checks.Answer`, every other parameter is typed.
        It returns a bool, a number, or either with a text of evidence; None means that it could not judge.

    Raises:
        InputError: the name is taken by another check or cannot be one, a parameter without a type.
    """

    def enter(function: OwnCheck) -> OwnCheck:
        kind = own_kind(name, function, passing=passing, failing=failing, metric=metric)
        known = table.kinds.get(name)
        if known is not None and known.source != kind.source:
            place = known.source or "a check of sfteval"
            raise InputError(Fault(kind.source, f"a second check {name!r}", f"another name: {place} has it"))
        table.kinds[name] = kind
        return function

    return enter


def own_kind(
    name: str,
    function: OwnCheck,
    *,
    passing: str | Answer | None = None,
    failing: str | Answer | None = None,
    metric: MetricInfo | None = None,
) -> CheckKind:
    """Return the kind of a user's function. Raises InputError as `check` does."""
    place = f"{inspect.getsourcefile(function) or '?'}:{function.__code__.co_firstlineno}"
    if not NAME.match(name) or name in dir(Params):
        expected = "lower-case letters, digits and _, at most 80, and no attribute of a pydantic model"
        raise InputError(Fault(place, f"a check named {name!r}", expected))
    params = _params(name, function, place)

    def prepare(bound: Params, _: Context) -> Judge:
        given = {field: getattr(bound, field) for field in _own_parameters(function)}
        return lambda answer, _siblings: _outcome(function(answer, **given))

    example = {name: True} if name not in _own_parameters(function) else {name: "…"}
    return CheckKind(
        name=name,
        params=params,
        prepare=prepare,
        example=example,
        passing=_answer(passing),
        failing=_answer(failing),
        metric=metric or replace(MetricInfo(), version=_source_version(function)),
        source=place,
    )


def _own_parameters(function: OwnCheck) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)[1:]


def _params(name: str, function: OwnCheck, place: str) -> type[Params]:
    """Return the strict model of a function's parameters."""
    signature = inspect.signature(function)
    if not signature.parameters:
        raise InputError(Fault(place, "a function without parameters", "one that takes the answer first"))
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise InputError(Fault(place, f"a type that cannot be read ({error})", "types that the module knows")) from None
    fields: dict[str, Any] = {} if name in signature.parameters else {name: (Flag, ...)}
    for field in _own_parameters(function):
        parameter = signature.parameters[field]
        if field not in hints or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InputError(Fault(place, f"the parameter {field!r} without a type", "a type for each YAML field"))
        required = parameter.default is parameter.empty
        fields[field] = (hints[field], FieldInfo() if required else FieldInfo(default=parameter.default))
    model: type[Params] = create_model(f"Own_{name}", __base__=Params, __doc__=inspect.getdoc(function) or "", **fields)
    return model


def _outcome(result: Any) -> Outcome:
    """Return what a user's function meant."""
    if isinstance(result, Outcome):
        return result
    score, evidence = result if isinstance(result, tuple) else (result, "")
    if score is None:
        return Outcome(None, str(evidence) or "the check returned None")
    if not isinstance(score, (bool, int, float)):
        msg = f"it returned a {type(score).__name__}, not a bool or a number"
        raise TypeError(msg)
    return Outcome(float(score), str(evidence))


def _answer(given: str | Answer | None) -> Answer | None:
    return Answer(given) if isinstance(given, str) else given


def _source_version(function: OwnCheck) -> str:
    try:
        source = inspect.getsource(function)
    except OSError:
        source = function.__code__.co_code.hex()
    return f"own-{hashlib.sha256(source.encode()).hexdigest()[:12]}"


def load_entry_points() -> Mapping[str, str]:
    """Import every module that installed packages name under `sfteval.checks`; return entry point to module.

    Raises:
        InputError: an entry point that cannot be imported.
    """
    loaded = {}
    for point in metadata.entry_points(group=GROUP):
        try:
            point.load()
        except (ImportError, AttributeError) as error:
            place = f"entry point {point.name} of {GROUP}"
            raise InputError(Fault(place, f"{point.value}, which cannot be imported ({error})", "a module")) from None
        loaded[point.name] = point.value
    return loaded
