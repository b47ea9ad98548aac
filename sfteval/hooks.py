"""Suites while a model trains: three lines in somebody else's script. Rank 4, no logic (see `pipeline.watching`).

    from sfteval.hooks import SuiteCallback

    trainer.add_callback(SuiteCallback("suites/", every=50))

For loops without a Trainer: `evaluate_now(model, tokenizer, step, suites="suites/")` before the first step and whenever
you like, `finish(model)` at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sfteval.errors import Fault, InputError
from sfteval.pipeline.watching import SuiteWatch
from sfteval.report.looks import show_look, show_warning
from sfteval.train.hook_config import hooks_of
from sfteval.train.suite_callback import WatchCallback

if TYPE_CHECKING:
    from sfteval.pipeline.watching import Decision

__all__ = ["SuiteCallback", "evaluate_now", "finish"]

_watched: WeakKeyDictionary[Any, SuiteWatch] = WeakKeyDictionary()


class SuiteCallback(WatchCallback):
    """Runs suites on the live model of any transformers or TRL Trainer and acts on what they prove."""

    def __init__(self, suites: str | Path | list[str | Path], *, name: str = "training", **options: Any) -> None:
        """Load the suites.

        Args:
            suites: Suite files or folders.
            name: Of the history in the run store: `<runs_dir>/trainings/NAME.jsonl`.
            **options: Fields of `sfteval.train.hook_config.Hooks`: `every`, `share`, `action`, `keep`, `patience`,
                `target`, `alpha`, `validation`, `samples`, `runs_dir`, `report_to`.

        Raises:
            InputError: A broken suite, or an option that does not exist or is out of range.
        """
        super().__init__(SuiteWatch(hooks_of(suites, options), name=name, show=show_look, say=show_warning))
        self._name = name

    def arguments(self) -> dict[str, Any]:
        """Return what another callback like this one is made from."""
        return super().arguments() | {"name": self._name}


def evaluate_now(
    model: Any, tokenizer: Any, step: int, *, suites: str | Path | list[str | Path] = "suites", **options: Any
) -> Decision | None:
    """Look at the model in the middle of a plain PyTorch or Accelerate loop.

    The first call must come before the first step: it asks base everything and returns None. Later calls return a
    `Decision`: `look` (figures against base), `stop` (a forgetting budget is proven broken), `why`. How often it is
    called costs no error rate. The model is left as it was found, to the bit.

    Args:
        model: The model, unwrapped (`accelerator.unwrap_model(model)`).
        tokenizer: Its tokenizer, with chat template.
        step: Optimiser steps taken.
        suites: Suite files or folders; only the first call reads them and the options.
        **options: As for `SuiteCallback`, and `output`: the folder for the best weights so far ("output").

    Raises:
        SftevalError: Suites that are broken or cannot be compared, or a first call after the first step of a model
            whose base is not an adapter switched off.
    """
    if model in _watched:
        return _watched[model].look(step)
    output = Path(options.pop("output", "output"))
    watch = SuiteWatch(hooks_of(suites, options), show=show_look, say=show_warning)
    watch.begin(model, tokenizer, output, step=step)
    _watched[model] = watch
    return None


def finish(model: Any, step: int) -> dict[str, Any]:
    """Restore the best checkpoint inside every budget, judge it on the held-out samples, and return what was found."""
    if model not in _watched:
        raise InputError(Fault("finish", "a model that was never looked at", "one that evaluate_now was called with"))
    return _watched.pop(model).end(step)
