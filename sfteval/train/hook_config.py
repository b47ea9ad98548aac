"""What a person says about evaluation while a model trains: the `hooks:` block, and the options of `SuiteCallback`.

Comes in: YAML or keyword arguments. Goes out: `Hooks`. Imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from sfteval.errors import Fault, InputError
from sfteval.records import Strict

Text = Annotated[str, StringConstraints(min_length=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Hooks(Strict):
    """Suites that run on the live model while it trains.

    Attributes:
        suites: Suite files or folders. Their `no_regression` gates against base (families too) are the forgetting
            budgets, their `improves` gates against base the target.
        every: Optimiser steps between looks; None chooses by `share`.
        share: Share of the training's work that the looks may take (counted in tokens, so the schedule is the same
            each time).
        action: `stop` ends the training when a budget is proven broken; `log` only says so.
        keep: `best` restores the checkpoint with the best target among those inside every budget; `last` restores none.
        patience: Stop after this many looks without a better target; None never does.
        target: `suite/check` whose difference from base is maximised, instead of the `improves` gates.
        alpha: Probability that a training whose model never leaves its budgets is stopped, over all looks and budgets.
        validation: Share of the samples that looks are made on; the rest judges the kept checkpoint once.
        samples: At most so many validation samples per suite and task; None takes all.
        runs_dir: Run store for the base's answers and the history; None: `output`, or `runs`.
        report_to: Trackers that are sent the figures; None: those of the Trainer's own `report_to`.
    """

    suites: Annotated[tuple[Text, ...], Field(min_length=1)]
    every: Annotated[int, Field(ge=1)] | None = None
    share: Share = 0.05
    action: Literal["stop", "log"] = "stop"
    keep: Literal["best", "last"] = "best"
    patience: Annotated[int, Field(ge=1)] | None = None
    target: Text | None = None
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    validation: Share = 0.5
    samples: Annotated[int, Field(ge=2)] | None = None
    runs_dir: Text | None = None
    report_to: tuple[Text, ...] | None = None


def hooks_of(suites: str | Path | tuple[str | Path, ...] | list[str | Path], options: dict[str, Any]) -> Hooks:
    """Return the settings that keyword arguments describe.

    Raises:
        InputError: An unknown option or a value out of its range; all of them at once.
    """
    listed = [suites] if isinstance(suites, str | Path) else list(suites)
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    if isinstance(options.get("runs_dir"), Path):
        options["runs_dir"] = str(options["runs_dir"])
    try:
        return Hooks.model_validate(
            {"suites": tuple(str(one) for one in listed)}
            | {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
        )
    except ValidationError as error:
        known = ", ".join(name for name in Hooks.model_fields if name != "suites")
        raise InputError(
            [
                Fault(
                    f"SuiteCallback: {'.'.join(map(str, one['loc']))}",
                    repr(one["input"]),
                    f"one of {known}" if one["type"] == "extra_forbidden" else one["msg"],
                )
                for one in error.errors(include_url=False)
            ]
        ) from None


class Checkpoints(Strict):
    """When a training leaves a point that it can resume from: after so many optimiser steps, or so many minutes.

    Resuming changes no result, so the clock may decide. At the two ends of a training nothing is written.
    """

    steps: Annotated[int, Field(ge=1)] | None = None
    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
