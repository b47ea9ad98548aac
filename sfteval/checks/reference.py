"""Answers against the sample's reference: the same text, the same number.

Comes in: an answer with its reference. Goes out: 1 or 0 with both sides; no score without a usable reference.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from sfteval.checks.answer import Answer, Outcome, judged, unjudged
from sfteval.checks.kinds import Flag, Params, author_fault, kind
from sfteval.checks.normal import normalise
from sfteval.records import Strict

NUMBER = re.compile(r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?|[-+−]?\.\d+")
TAIL_CHARACTERS = 20_000
REACH = 60
Unit = Annotated[str, StringConstraints(min_length=1, max_length=50, strip_whitespace=True)]


class ExactMatch(Params):
    """The normalised answer equals the reference (or one of a list), or the text given here."""

    exact_match: Flag | str
    ignore_case: bool = True

    def needs_reference(self) -> bool:
        """Return whether no text was given."""
        return self.exact_match is True

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference is a text, a number or a list of them."""
        return None if accepted_texts(reference) else "a text, a number or a list of them"


class Target(Strict):
    """The number to hit: the sample's reference or a fixed value, within an absolute or relative tolerance."""

    reference: Flag | None = None
    value: float | None = None
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    relative: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _one_target(self) -> Target:
        if (self.reference is None) == (self.value is None):
            found = "no target" if self.value is None else "reference and value"
            raise author_fault(found, "exactly one of reference: true, value")
        return self

    def hit(self, number: Any, reference: Any) -> Outcome:
        """Return whether the number lies within the tolerance."""
        target = self.value if self.value is not None else to_number(reference)
        if target is None:
            return unjudged(f"the reference {reference!r} is no number")
        if isinstance(number, bool) or not isinstance(number, int | float):
            return judged(False, f"{number!r} is no number, expected {target:g}")
        try:
            distance = abs(float(number) - target)
        except OverflowError:
            return judged(False, f"a number too large, expected {target:g}")
        within = distance <= max(self.tolerance, self.relative * abs(target)) + 1e-12 * abs(target)
        return judged(within, f"{number:g}, expected {target:g}")


class Number(Params):
    """The last number in the text hits the target (1,234.5 is one number); with `unit`, the last that has the unit.

    A unit stands right after the number or right before it, as written: kg, %, $, EUR. Several spellings may be given.
    """

    number: Target
    unit: Unit | Annotated[tuple[Unit, ...], Field(min_length=1)] | None = None

    def needs_reference(self) -> bool:
        """Return whether the target is the reference."""
        return self.number.reference is True

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference holds a number."""
        return None if to_number(reference) is not None else "a number"


def to_number(value: Any) -> float | None:
    """Return a finite number from a JSON number or a text that holds one, else None."""
    if isinstance(value, str):
        value = last_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < math.inf else None


def last_number(text: str, units: tuple[str, ...] = ()) -> float | None:
    """Return the last number of a text, looking at its last 20,000 characters; None without a finite one.

    Args:
        text: Where to look.
        units: One of these must stand beside the number; () for any number.
    """
    tail = text[-TAIL_CHARACTERS:]
    found = None
    for match in NUMBER.finditer(tail):
        sign = "" if not units else _beside(tail, match.start(), match.end(), units)
        found = found if sign is None else sign + match.group(0)
    if found is None:
        return None
    number = float(found.replace(",", "").replace("−", "-").replace("--", ""))
    return number if math.isfinite(number) else None


def _beside(text: str, start: int, end: int, units: tuple[str, ...]) -> str | None:
    """Return "" where a unit stands beside a number, "-" where a minus stands before that unit, None without one."""
    after, before = text[end : end + REACH].lstrip(" \u00a0"), text[max(0, start - REACH) : start].rstrip(" \u00a0")
    for unit in units:
        letters = unit[-1].isalpha()
        if after.startswith(unit) and not (letters and after[len(unit) : len(unit) + 1].isalpha()):
            return ""
        ahead = before.removesuffix(unit)
        if ahead != before and not (unit[0].isalpha() and ahead[-1:].isalpha()):
            return "-" if ahead[-1:] in ("-", "−") else ""
    return None


def accepted_texts(reference: Any) -> list[str]:
    """Return the texts that a reference accepts, [] when it holds none."""
    accepted = reference if isinstance(reference, list | tuple) else [reference]
    usable = all(isinstance(each, str | int | float) and not isinstance(each, bool) for each in accepted)
    return [str(each) for each in accepted] if usable else []


def exact_match(params: ExactMatch, answer: Answer) -> Outcome:
    """Compare normalised texts."""
    wanted = answer.reference if params.exact_match is True else params.exact_match
    accepted = accepted_texts(wanted)
    if not accepted:
        return unjudged("no reference text")
    given = normalise(answer.text, ignore_case=params.ignore_case)
    same = any(given == normalise(each, ignore_case=params.ignore_case) for each in accepted)
    return judged(same, f"{answer.text.strip()[:80]!r}, expected {' or '.join(accepted)!r}")


def number(params: Number, answer: Answer) -> Outcome:
    """Compare the last number."""
    units = (params.unit,) if isinstance(params.unit, str) else params.unit or ()
    found = last_number(answer.text, units)
    target = params.number
    if found is None:
        missing = target.reference and to_number(answer.reference) is None
        wanted = f"no number in {' or '.join(units)}" if units else "no number in the answer"
        return unjudged("no reference number") if missing else judged(False, wanted)
    return target.hit(found, answer.reference)


KINDS = (
    kind(
        ExactMatch,
        exact_match,
        {"exact_match": True},
        passing=Answer(' "paris".', reference="Paris"),
        failing=Answer("In Paris", reference="Paris"),
    ),
    kind(
        Number,
        number,
        {"number": {"reference": True, "tolerance": 0.005}},
        passing=Answer("3 items, so $1,250.00 in all", reference=1250),
        failing=Answer("1250.5", reference=1250),
    ),
)
