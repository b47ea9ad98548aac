"""Models for ordinary tests: roles to live models, and the samples that tests are parametrised with.

Comes in: the settings of the session. Goes out: one `LiveModel` per role, which answers all known samples at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sfteval.backends import open_backend
from sfteval.errors import Fault, InputError, ModelError
from sfteval.keys import model_fingerprint
from sfteval.pipeline.live import LiveModel, chat_ask
from sfteval.pipeline.models import Models
from sfteval.pipeline.settings import NO_PREVIOUS, no_candidate
from sfteval.records import Message, SampleRow
from sfteval.store import RunStore
from sfteval.yamlfile import Located, Mark, read_jsonl, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.pipeline.settings import Settings
    from sfteval.records import Role


class Talk:
    """Opens each role's model once."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; nothing is opened yet."""
        self._settings = settings
        self._store = RunStore(settings.runs_dir)
        self._models: Models | None = None

    def model(self, role: str) -> LiveModel | None:
        """Return a role's model, None for a `previous` that is declared not to be there.

        Raises:
            InputError: no candidate was named.
            ModelError: the model cannot be found, or is another one than the run says.
            BaselineMissingError: there is no base, or no promoted run.
        """
        if role == "previous":
            return None if self._settings.previous == NO_PREVIOUS else self._previous()
        if self._settings.candidate is None:
            raise InputError(no_candidate())
        if self._models is None:
            self._models = Models(self._settings.candidate, self._settings.base, self._store)
            self._models.find("candidate")
        found = self._models.find(cast("Role", role))
        return self._of_run(found) if isinstance(found, str) else LiveModel(found)

    def _previous(self) -> LiveModel:
        return self._of_run(self._store.resolve(self._settings.previous))

    def _of_run(self, run_id: str) -> LiveModel:
        """Open the model that made a run, and refuse another one in its place."""
        manifest = self._store.load(run_id).manifest
        backend = open_backend(manifest.model.reference)
        if model_fingerprint(backend.identity) != manifest.fingerprint:
            found = f"other weights under {manifest.model.reference}"
            do = "Put them back, or name another run."
            raise ModelError(Fault(f"run {run_id}", found, "the weights that made the run", do))
        return LiveModel(backend)


def prefetch(model: LiveModel, rows: Sequence[tuple[SampleRow, dict[str, Any]]]) -> None:
    """Let a model answer the samples of all selected tests together."""
    model.prefetch(chat_ask(row.messages, generation) for row, generation in rows)


def read_samples(
    source: str | Path | Sequence[dict[str, Any]], folder: Path, system: str | None
) -> tuple[SampleRow, ...]:
    """Return validated rows; `system` is put before conversations that have no system message.

    Args:
        source: A JSONL file inside `folder`, or the rows.
        folder: Where the test is.
        system: System message, None for none.

    Raises:
        InputError: with every fault: an unreadable file, one outside the folder, rows that are wrong or share an id.
    """
    faults: list[Fault] = []
    if isinstance(source, (str, Path)):
        path = (folder / source).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise InputError(Fault(str(source), "a file outside the test's folder", f"one inside {folder}"))
        located = list(read_jsonl(path, str(source), faults))
        placed = [(each, ()) for each in located]
    else:
        document = Located("samples", list(source), {(): Mark(0, 0)})
        placed = [(document, (index,)) for index in range(len(document.data))]  # type: ignore[misc]
    rows = [validate(SampleRow, document, path, faults) for document, path in placed]
    ids = [row.id for row in rows if row is not None]
    faults += [
        Fault(str(source), f"the id {name!r} twice", "ids of their own")
        for name in {i for i in ids if ids.count(i) > 1}
    ]
    if not rows and not faults:
        faults.append(Fault(str(source), "no rows", "at least one sample"))
    if faults:
        raise InputError(faults)
    return tuple(_with_system(row, system) for row in rows if row is not None)


def _with_system(row: SampleRow, system: str | None) -> SampleRow:
    if not system or row.messages[0].role == "system":
        return row
    return row.model_copy(update={"messages": (Message(role="system", content=system), *row.messages)})
