"""What a team has decided to live with for a while: accepted regressions and quarantined samples.

Comes in: `accepted.yaml`, a reviewed file of the project. Goes out: `Waivers`, strict at every depth.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field, StringConstraints

from sfteval.records.suite import Strict

Because = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class AcceptedRegression(Strict):
    """A gate that may object until a day, by no more than was seen when it was accepted.

    Attributes:
        gate: The gate as pytest shows it, `suites/x.suite.yaml::valid-no_regression`.
        drop: How far the gate may fall short, in the metric's unit: the drop below the baseline, or below the floor.
        until: Last day on which it holds.
        because: Why, for the reviewer.
        who: Who accepted it.
        run: The run that was looked at.
    """

    gate: Annotated[str, StringConstraints(min_length=3)]
    drop: Annotated[float, Field(ge=0)]
    until: date
    because: Because
    who: str = ""
    run: str = ""


class QuarantinedSample(Strict):
    """A sample that no gate judges until a day: noisy, or being mended."""

    suite: Annotated[str, StringConstraints(min_length=1)]
    sample: Annotated[str, StringConstraints(min_length=1)]
    until: date
    because: Because
    who: str = ""


class Waivers(Strict):
    """The whole file."""

    regressions: tuple[AcceptedRegression, ...] = ()
    quarantine: tuple[QuarantinedSample, ...] = ()
