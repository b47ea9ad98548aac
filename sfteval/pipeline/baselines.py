"""A stored run as a baseline: there, whole, and not the candidate's own.

Comes in: what a person called the run. Goes out: the run, or the reason why nothing can be compared with it (exit 21).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.errors import BaselineBrokenError, BaselineMissingError, InputError, StoreError
from sfteval.store import is_ahead

if TYPE_CHECKING:
    from sfteval.pipeline.settings import Settings
    from sfteval.records import Run
    from sfteval.store import RunStore


def baseline_run(store: RunStore, role: str, reference: str, settings: Settings) -> Run:
    """Load the run that a baseline's reference names.

    Raises:
        BaselineMissingError: there is no such run, or nothing was promoted yet.
        BaselineBrokenError: it cannot be read, it is the run that is to be judged, or a clock that was ahead made it
            the latest.
    """
    try:
        run_id = store.resolve(reference, besides=settings.run_ids.values())
        if settings.candidate is not None and store.has(settings.candidate) and settings.candidate == run_id:
            msg = f"--{role} {reference}: found the candidate's own run {run_id}; expected another run"
            raise BaselineBrokenError(msg)
        run = store.load(run_id)
        if reference == "latest" and is_ahead(run.manifest):
            when = f"finished at {run.manifest.finished}, in the future"
            msg = f"{role}: `latest` is {run_id}, {when}; name a run by its id"
            raise BaselineBrokenError(msg)
        return run
    except InputError as error:
        msg = f"{role}: {error}"
        raise BaselineMissingError(msg) from None
    except StoreError as error:
        msg = f"{role}: {error}"
        raise BaselineBrokenError(msg) from None
