"""What a kind of check is: parameters, a function, an example that passes and one that fails, a version.

Comes in: a module of kinds by theme. Goes out: `CheckKind` records for the catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sfteval.checks.answer import Answer, Outcome
from sfteval.keys import content_key
from sfteval.records import MetricInfo, Strict
from sfteval.records.suite import author_fault as author_fault

if TYPE_CHECKING:
    from pathlib import Path

    from sfteval.checks.table import Table
    from sfteval.records import Ask, Inquiry

Flag = Literal[True]
Judge = Callable[[Answer, Mapping[str, Outcome]], Outcome]
"""Judges an answer; the mapping holds the outcomes of the sibling checks that the parameters name (`Params.spans` says
of which kinds it holds something else)."""


class Params(Strict):
    """Parameters of one check; the field named as the kind is its main one."""

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """Return the keys as written in YAML."""
        return tuple(info.alias or name for name, info in cls.model_fields.items())

    def files(self) -> Mapping[str, str]:
        """Return the files named, by field."""
        return {}

    def siblings(self) -> tuple[str, ...]:
        """Return the names of the checks that must be judged before this one."""
        return ()

    def version(self) -> str:
        """Return what of the parameters is part of the metric's version, "" for nothing.

        A hash of those that are not as they are by default; of files, the content counts (`Table.metrics`).
        """
        given = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        rest = {name: value for name, value in given.items() if value != self.files().get(name)}
        return content_key(rest)[:8] if rest else ""

    def spans(self) -> Literal["", "turns", "repeats"]:
        """Return what is looked at beside one answer: all turns of a conversation, all repeats of a prompt, or nothing.

        A check that spans names exactly one sibling; its judge gets that sibling's outcome in each, by number from "1".
        """
        return ""

    def turns_needed(self) -> int:
        """Return how many answers a conversation must have for this check to be judged."""
        return 1

    def needs_reference(self) -> bool:
        """Return whether the sample's reference is read."""
        return False

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected when this reference (never None) cannot be compared with, else None."""
        return None

    def row_problem(self, row: Mapping[str, Any]) -> CheckFault | None:
        """Return what else a sample row lacks for this check; the path starts at the row."""
        return None

    @classmethod
    def asks_models(cls) -> bool:
        """Return whether something is asked beside the sample itself, of the model or of another one."""
        return cls.asks is not Params.asks or cls.follow_ups is not Params.follow_ups

    def asks(self, answer: Answer) -> tuple[Ask, ...]:
        """Return what the model is asked beside the sample itself; `answer` holds the sample and no text yet."""
        return ()

    def follow_ups(self, answer: Answer) -> tuple[Inquiry, ...]:
        """Return what must be asked now that the model has answered; called again with what came back."""
        return ()

    def reads_answer(self) -> bool:
        """Return whether the model's own answer is read; where no check does, none is generated.

        A check on siblings reads none by itself.
        """
        return not self.siblings()


P = TypeVar("P", bound=Params)


@dataclass(frozen=True, slots=True)
class Context:
    """Where a check is bound: the folder that its files resolve from, and the table it comes from."""

    folder: Path
    table: Table


@dataclass(frozen=True, slots=True)
class CheckFault:
    """One mistake in a `checks:` block or in a row's own checks."""

    path: tuple[str | int, ...]
    found: str
    expected: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class CheckKind:
    """One entry of the catalog.

    Attributes:
        name: Head key in YAML.
        params: Strict model whose fields are the keys of the check's mapping.
        prepare: Makes the judge once per suite: compiles patterns, reads schemas. Raises ValueError with the reason
            when a file or schema cannot be used.
        example: The mapping under which `passing` scores 1 and `failing` 0.
        passing: Answer that passes; only users' own checks may leave it out.
        failing: Answer that fails.
        metric: Range, direction and version of the scores. A new version rescores stored answers.
        source: File and line of a user's own check, "" for those that ship.
    """

    name: str
    params: type[Params]
    prepare: Callable[[Any, Context], Judge]
    example: Mapping[str, Any]
    passing: Answer | None
    failing: Answer | None
    metric: MetricInfo = field(default_factory=MetricInfo)
    source: str = ""

    @property
    def summary(self) -> str:
        """First line of the parameters' docstring."""
        return (self.params.__doc__ or "").strip().split("\n")[0]


def kind(
    params: type[P],
    judge: Callable[[P, Answer], Outcome],
    example: Mapping[str, Any],
    *,
    passing: str | Answer,
    failing: str | Answer,
    metric: MetricInfo | None = None,
) -> CheckKind:
    """Return a kind whose judge needs nothing prepared; its name is the example's first key."""

    def prepare(bound: P, _: Context) -> Judge:
        return lambda answer, _siblings: judge(bound, answer)

    return prepared(params, prepare, example, passing=passing, failing=failing, metric=metric)


def prepared(
    params: type[P],
    prepare: Callable[[P, Context], Judge],
    example: Mapping[str, Any],
    *,
    passing: str | Answer,
    failing: str | Answer,
    metric: MetricInfo | None = None,
) -> CheckKind:
    """Return a kind that compiles or reads something once per suite."""
    return CheckKind(
        name=next(iter(example)),
        params=params,
        prepare=prepare,
        example=example,
        passing=passing if isinstance(passing, Answer) else Answer(passing),
        failing=failing if isinstance(failing, Answer) else Answer(failing),
        metric=metric or MetricInfo(),
    )
