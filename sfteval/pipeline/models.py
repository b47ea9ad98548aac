"""Roles to models: which backend (or stored run) plays candidate and base, sharing weights where they are equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sfteval.backends import WeightsPool, open_backend, resolve
from sfteval.errors import BaselineMissingError
from sfteval.pipeline.others import Others

if TYPE_CHECKING:
    from types import TracebackType

    from sfteval.protocols import Backend
    from sfteval.records import Role
    from sfteval.store import RunStore


class Models:
    """Opens each role's model once; a candidate that is an adapter on its base shares the base's weights."""

    def __init__(self, candidate: str, base: str | None, store: RunStore) -> None:
        """Take the references; nothing is opened yet."""
        self._references: dict[str, str | None] = {"candidate": candidate, "base": base}
        self._store = store
        self._weights = WeightsPool()
        self._template: str | None = None
        self._found: dict[Role, Backend | str] = {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free all weights."""
        self._weights.close()

    def find(self, role: Role) -> Backend | str:
        """Return the role's backend, or the id of the stored run that a reference names; ask for the candidate first.

        A base without a chat template of its own gets the candidate's.

        Raises:
            ModelError: the reference cannot be resolved.
            BaselineMissingError: no base was named and the candidate does not say which it has.
        """
        if role not in self._found:
            self._found[role] = self._find(role)
        return self._found[role]

    def others(self) -> Others:
        """Return who else may be asked while a role is evaluated: base (which is base's own) and judges."""
        return Others(lambda: self.find("base"), self._store, self._weights)

    def _find(self, role: Role) -> Backend | str:
        reference = self._references[role] or self._own_base()
        if self._store.has(reference):
            return self._store.resolve(reference)
        backend = open_backend(reference, template=self._template, weights=self._weights)
        if role == "candidate":
            self._template = backend.template
        return backend

    def _own_base(self) -> str:
        """Return the base that the candidate itself names: an adapter's, or the model it was trained from."""
        candidate = self._references["candidate"]
        assert candidate is not None
        if self._store.has(candidate):
            candidate = self._store.load(self._store.resolve(candidate)).manifest.model.reference
        parent = resolve(candidate).parent
        if parent is None:
            msg = (
                f"base: {candidate} does not say which model it was made from; found no adapter and no training "
                "manifest; expected a base to compare with. Give --base MODEL (or a run id)"
            )
            raise BaselineMissingError(msg)
        return parent
