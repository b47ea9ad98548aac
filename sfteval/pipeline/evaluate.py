"""One model against one plan: requests, engine, samples, store. Nothing that is stored is computed again."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from sfteval.keys import model_fingerprint
from sfteval.pipeline.follow_ups import FollowUps
from sfteval.records import Manifest, Suite
from sfteval.requests import continued, requests_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sfteval.pipeline.others import Others
    from sfteval.pipeline.planning import Grader, Planned
    from sfteval.protocols import Backend
    from sfteval.records import Item, Request, Response, Run, Sample
    from sfteval.requests import Asked
    from sfteval.store import RunStore, RunWriter

ROUNDS = 4
"""Most times that checks may ask again: base's answer, its score, two orders of a judge, and one to spare."""

_PACKAGES = ("sfteval", "torch", "transformers", "peft", "lm-eval", "tokenizers")


Watch = Callable[[str, int, int], None]
"""Is told (label, requests answered, requests in all): a progress bar, or nothing."""


def silent(_label: str, _done: int, _total: int) -> None:
    """Watch nothing."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A run with what this process did for it: requests computed here, and reused from the store."""

    run: Run
    computed: int
    reused: int
    resumed: bool


class Evaluation:
    """Evaluates one backend on a plan, suite by suite, each under its lease in the store."""

    def __init__(
        self,
        planned: Planned,
        backend: Backend,
        store: RunStore,
        watch: Watch = silent,
        others: Others | None = None,
    ) -> None:
        """Prepare; nothing is read or computed yet. `others` opens base and judges where checks ask them."""
        self._planned = planned
        self._backend = backend
        self._store = store
        self._watch = watch
        self._others = others
        self._fingerprint = model_fingerprint(backend.identity)
        self._answers: dict[str, Response] = {}
        self._computed = 0
        self._reused = 0

    def run(self, run_id: str | None = None, label: str = "") -> Evaluated:
        """Evaluate what is not done yet and finish the run.

        Args:
            run_id: The run to write; other processes may be writing it too (one lease per suite). None: resume the
                newest unfinished run of this model and plan, or begin one.
            label: What the progress shows, such as "candidate".
        """
        started, clock = datetime.now(UTC), time.monotonic()
        with self._store.begin(self._backend.identity, self._planned.plan.fingerprint, run_id=run_id) as writer:
            self._answers = {**self._store.responses(self._fingerprint), **writer.known()}
            waiting = [suite for suite in self._planned.suite_names if not self._try(writer, suite, label, wait=False)]
            for suite in waiting:
                self._try(writer, suite, label, wait=True)
            manifest = self._manifest(writer, started, time.monotonic() - clock)
            run = writer.finish(manifest)
            return Evaluated(run, self._computed, self._reused, writer.resumed)

    def _try(self, writer: RunWriter, suite: str, label: str, *, wait: bool) -> bool:
        with writer.lease(suite, wait=wait) as held:
            if held and not writer.done(suite):
                writer.put_samples(suite, self._samples(writer, suite, label), self._metrics(suite))
            return writer.done(suite)

    def _metrics(self, suite: str) -> Mapping[str, Any]:
        prefix = f"{suite}/"
        return {k.removeprefix(prefix): info for k, info in self._planned.metrics.items() if k.startswith(prefix)}

    def _samples(self, writer: RunWriter, suite: str, label: str) -> list[Sample]:
        items = self._planned.items(suite)
        grader = self._planned.graders[suite]
        asked = [
            tuple(grader.watched(one) for one in requests_for(item, self._backend.text, self._fingerprint))
            for item in items
        ]
        name = f"{label} {suite}".strip()
        spoken = self._through_turns(writer, items, asked, grader, name)
        asks = FollowUps(items, spoken, grader, self._others)
        for _ in range(ROUNDS):
            wanted = asks.wanted(self._answers, self._backend)
            if not wanted:
                break
            for backend, more in wanted:
                if backend is not self._backend:
                    self._answers |= self._store.find({one.key for one in more} - self._answers.keys())
                self._respond(writer, backend, more, f"{name} ({backend.identity.reference})")
        return grader.together(asks.samples(self._answers))

    def _through_turns(
        self, writer: RunWriter, items: Sequence[Item], asked: Sequence[Sequence[Asked]], grader: Grader, label: str
    ) -> Sequence[Sequence[Asked]]:
        """Ask everything, and dialogues turn by turn: all first turns together, then all second ones."""
        seen: set[str] = set()
        while True:
            requests = [r for many in asked for one in many for r in one.requests if r.key not in seen]
            if not requests:
                return asked
            seen |= {request.key for request in requests}
            self._respond(writer, self._backend, requests, label)
            asked = [self._continued(item, many, grader) for item, many in zip(items, asked, strict=True)]

    def _continued(self, item: Item, asked: Sequence[Asked], grader: Grader) -> tuple[Asked, ...]:
        """Return an item's asks, its dialogues with their next turn."""
        text, model = self._backend.text, self._fingerprint
        further = [(one, continued(one, item, text, model, self._answers)) for one in asked]
        return tuple(one if more is None else grader.watched(more) for one, more in further)

    def _respond(self, writer: RunWriter, backend: Backend, requests: Sequence[Request], label: str) -> None:
        """Let a model answer what is not stored yet."""
        wanted = {request.key: request for request in requests}
        pending = [request for key, request in wanted.items() if key not in self._answers]
        self._reused += len(wanted) - len(pending)
        self._computed += len(pending)
        if not pending:
            return
        done = 0
        self._watch(label, 0, len(pending))

        def on_batch(responses: Sequence[Response]) -> None:
            nonlocal done
            writer.record(responses)
            self._answers.update((response.key, response) for response in responses)
            done += len(responses)
            self._watch(label, done, len(pending))

        backend.respond(pending, on_batch)

    def _manifest(self, writer: RunWriter, started: datetime, seconds: float) -> Manifest:
        samples = [sample for suite in self._planned.suite_names for sample in writer.samples(suite)]
        suites = [file for file in self._planned.plan.suites if isinstance(file.suite, Suite)]
        return Manifest(
            run_id=writer.run_id,
            fingerprint=self._fingerprint,
            model=self._backend.identity,
            plan=self._planned.plan.fingerprint,
            suites={file.suite.suite: file.fingerprint for file in suites},  # type: ignore[union-attr]
            metrics=self._planned.metrics,
            counts=_counts(samples) | {"computed": len(writer.known())},
            versions=_versions(),
            hardware=_hardware(),
            started=started.isoformat(),
            finished=datetime.now(UTC).isoformat(),
            seconds=seconds,
            extra={
                "max_errored": {f.suite.suite: f.suite.max_errored for f in suites},  # type: ignore[union-attr]
                "skills": {f.suite.suite: f.suite.skill for f in suites},  # type: ignore[union-attr]
                "warnings": list(self._planned.plan.warnings),
            },
        )


def _counts(samples: Sequence[Sample]) -> dict[str, int]:
    counts = Counter(sample.status.value for sample in samples)
    totals = {name: sum(getattr(s, name) for s in samples) for name in ("prompt_tokens", "output_tokens", "truncated")}
    return {"samples": len(samples), **counts, **totals}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _hardware() -> dict[str, Any]:
    import os

    return {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count() or 0}
