"""What a person calls a run: its id, the beginning of it, `latest` or `promoted`.

Comes in: the word and what is in the store. Goes out: a full run id, or an error with the near misses.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING

from sfteval.errors import BaselineMissingError, Fault, InputError, StoreError
from sfteval.store.documents import moment
from sfteval.store.layout import PROMOTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.records import Manifest
    from sfteval.store.promotions import Promotion

CLOCK_SKEW = timedelta(minutes=5)
_SHOWN = 5


def age(manifest: Manifest) -> tuple[datetime, str]:
    """Return the sorting key of whole runs: when it finished, then its id.

    The time is that of the machine which wrote the run: one whose clock is ahead stays `latest` until the others
    catch up (`RunStore.problems` reports it).
    """
    return (moment(manifest.finished), manifest.run_id)


def is_ahead(manifest: Manifest) -> bool:
    """Return whether a run finished in the future, by the clock of the machine that wrote it."""
    return moment(manifest.finished) > datetime.now(UTC) + CLOCK_SKEW


def newest(manifests: Sequence[Manifest], root: Path) -> str:
    """Return the id of the run that finished last. Raises BaselineMissingError if there is none."""
    if not manifests:
        msg = f"{root}: found no complete run; expected one for `latest`. Make one with: sfteval eval"
        raise BaselineMissingError(msg)
    return max(manifests, key=age).run_id


def promoted_id(promotion: Promotion | None, ids: Sequence[str], root: Path) -> str:
    """Return the promoted run's id. Raises BaselineMissingError if there is none or its run is gone."""
    if promotion is None:
        msg = (
            f"{root}: found no promoted run; expected one to compare with. Promote a run with `sfteval runs promote "
            "RUN`, or say `--previous none` if there is none yet"
        )
        raise BaselineMissingError(msg)
    if moment(promotion.when) > datetime.now(UTC) + CLOCK_SKEW:
        found = f"a promotion of {promotion.run_id} dated {promotion.when}, which is in the future"
        do = "Mend the clock of the machine that wrote it, and promote the run again"
        raise StoreError(root / PROMOTIONS, found, "a time that is not in the future", do)
    if promotion.run_id not in ids:
        msg = (
            f"{root}: found no run {promotion.run_id}, which {promotion.who} promoted on {promotion.when}; expected it "
            "in the store. Restore it, or promote another run with `sfteval runs promote RUN`"
        )
        raise BaselineMissingError(msg)
    return promotion.run_id


def match(reference: str, ids: Sequence[str], root: Path) -> str:
    """Return the id that is, or alone begins with, `reference`. Raises InputError."""
    if reference in ids:
        return reference
    found = sorted(run_id for run_id in ids if reference and run_id.startswith(reference))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        fault = Fault(str(root), f"{len(found)} runs that begin with {reference!r}", "one", f"Say which: {names}")
        raise InputError(fault)
    raise InputError(
        Fault(str(root), f"no run {reference!r}", "a run id, its beginning, latest or promoted", near(reference, ids))
    )


def near(reference: str, ids: Sequence[str]) -> str:
    """Return what to do about an unknown id: the near misses, or how to list all."""
    containing = [run_id for run_id in sorted(ids, reverse=True) if reference and reference in run_id]
    close = containing[:3] or get_close_matches(reference, ids, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else "List the runs with: sfteval runs list"
