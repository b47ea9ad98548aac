"""The models that checks ask beside the one that is evaluated: base, and judges.

Comes in: `Inquiry.of` and the suite's folder. Goes out: a backend, opened once; or, for a base that is not there, the
failure that its samples end with. A judge that cannot be opened is a mistake in the suite and is raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.backends import open_backend
from sfteval.errors import BaselineMissingError, ModelError, StoreError
from sfteval.keys import model_fingerprint
from sfteval.records import BASE, BackendFailure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sfteval.backends import WeightsPool
    from sfteval.protocols import Backend
    from sfteval.store import RunStore


class Others:
    """Opens each other model at its first question."""

    def __init__(self, base: Callable[[], Backend | str], store: RunStore, weights: WeightsPool) -> None:
        """Take how base is found (a backend, or the id of a stored run), the store, and where weights are shared."""
        self._base = base
        self._store = store
        self._weights = weights
        self._found: dict[tuple[str, Path | None], Backend | BackendFailure] = {}

    def find(self, of: str, folder: Path) -> Backend | BackendFailure:
        """Return the model that is asked.

        Args:
            of: `BASE`, or a judge's model reference.
            folder: The suite's folder, where relative paths of judges start.

        Raises:
            ModelError: a judge's reference names no model.
        """
        key = (of, None if of == BASE else folder)
        if key not in self._found:
            self._found[key] = self._open_base() if of == BASE else self._open(of, folder)
        return self._found[key]

    def _open(self, reference: str, folder: Path) -> Backend:
        return open_backend(reference, weights=self._weights, relative_to=folder)

    def _open_base(self) -> Backend | BackendFailure:
        try:
            found = self._base()
            return self._of_run(found) if isinstance(found, str) else found
        except BaselineMissingError as error:
            return BackendFailure("base_missing", str(error))
        except (ModelError, StoreError) as error:
            return BackendFailure("base_unusable", str(error))

    def _of_run(self, run_id: str) -> Backend | BackendFailure:
        """Open the model that made a stored run, if its weights are still there."""
        manifest = self._store.load(run_id).manifest
        backend = open_backend(manifest.model.reference, weights=self._weights)
        if model_fingerprint(backend.identity) == manifest.fingerprint:
            return backend
        found = f"other weights under {manifest.model.reference} than those that made run {run_id}"
        return BackendFailure("base_changed", f"{found}; put them back, or give --base MODEL")
