"""One function from a model reference to a model that answers.

Comes in: a reference as a person wrote it. Goes out: a `Backend` that knows its template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sfteval.backends.references import Kind, ModelReference, resolve
from sfteval.backends.scripted import ScriptedBackend
from sfteval.backends.served import ServedBackend
from sfteval.protocols import Backend

if TYPE_CHECKING:
    from pathlib import Path

    from sfteval.backends.weights import WeightsPool


class LoadedBackend(Backend, Protocol):
    """A `Backend` with the chat template that it renders with, None if it has none."""

    template: str | None


def open_backend(
    reference: str | ModelReference,
    *,
    template: str | None = None,
    weights: WeightsPool | None = None,
    relative_to: Path | None = None,
) -> LoadedBackend:
    """Return the backend for a model reference; no weights are loaded yet.

    Args:
        reference: As a person wrote it, or already resolved.
        template: Chat template for a model that has none of its own (the candidate's, for a base).
        weights: Pool through which an adapter and its base share one model in memory.
        relative_to: Folder that relative paths start at, the working directory if left out.

    Raises:
        ModelError: The reference names no whole model.
    """
    resolved = reference if isinstance(reference, ModelReference) else resolve(reference, relative_to=relative_to)
    if resolved.kind is Kind.SCRIPTED:
        return ScriptedBackend.from_file(resolved.path, reference=resolved.reference)
    if resolved.kind is Kind.SERVED:
        return ServedBackend(resolved.reference)
    from sfteval.backends.local import LocalBackend

    return LocalBackend(resolved, template=template, weights=weights)
