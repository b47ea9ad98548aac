"""Dates in answers: written in one format, within a range.

Comes in: a JSON value. Goes out: whether it is a date as asked, and what was seen.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, model_validator

from sfteval.checks.kinds import author_fault
from sfteval.records import Strict

ISO = "%Y-%m-%d"
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
LONGEST = 60


def parsed(text: Any, style: str = ISO) -> date | None:
    """Return the date that a text is, None if it is none in this format."""
    if not isinstance(text, str) or len(text) > LONGEST or (style == ISO and not ISO_DATE.fullmatch(text)):
        return None
    try:
        return datetime.strptime(text, style).date()  # noqa: DTZ007 - a day has no time zone
    except ValueError:
        return None


def _day(written: str) -> str:
    if parsed(written) is None:
        raise author_fault(repr(written), "a day such as 2024-02-29")
    return written


def _style(written: str) -> str:
    sample = date(2024, 2, 29)
    try:
        fits = parsed(sample.strftime(written), written) == sample
    except ValueError:
        fits = False
    if not fits:
        raise author_fault(repr(written), "a format that holds year, month and day, such as %d.%m.%Y")
    return written


Day = Annotated[str, AfterValidator(_day)]


class DateRange(Strict):
    """A date in `format` (strftime's signs; YYYY-MM-DD if left out), within the limits that are given."""

    format: Annotated[str, AfterValidator(_style)] = ISO
    on_or_after: Day | None = None
    on_or_before: Day | None = None

    @model_validator(mode="after")
    def _in_order(self) -> DateRange:
        if self.on_or_after and self.on_or_before and self.on_or_after > self.on_or_before:
            raise author_fault(f"{self.on_or_after} after {self.on_or_before}", "a range with a day in it")
        return self

    def judge(self, value: Any) -> tuple[bool, str]:
        """Return whether the value is such a date, and what was seen."""
        day = parsed(value, self.format)
        if day is None:
            return False, f"{str(value)[:80]!r} is no date in {self.format}"
        written = day.isoformat()  # four-digit years: the order of texts is the order of days
        early = self.on_or_after is not None and written < self.on_or_after
        late = self.on_or_before is not None and written > self.on_or_before
        limits = {"on or after": self.on_or_after, "on or before": self.on_or_before}
        words = "".join(f", expected {name} {limit}" for name, limit in limits.items() if limit)
        return not (early or late), written + words
