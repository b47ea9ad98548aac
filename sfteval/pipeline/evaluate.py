"""One model against one plan: requests, engine, samples, store. Nothing that is stored is computed again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sfteval.backends import Question, respond_together
from sfteval.compare import DRAWS
from sfteval.keys import content_key, model_fingerprint
from sfteval.pipeline.facts import counts, hardware, versions
from sfteval.pipeline.follow_ups import FollowUps
from sfteval.records import Generate, Item, Manifest, Run, Suite
from sfteval.requests import Asked, continued, requests_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sfteval.pipeline.drawing import Drawn
    from sfteval.pipeline.others import Others
    from sfteval.pipeline.planning import Grader, Planned
    from sfteval.pipeline.steering import Steering
    from sfteval.protocols import Backend, OnBatch
    from sfteval.records import Request, Response, Sample
    from sfteval.store import RunStore, RunWriter

ROUNDS = 4
"""Most times that checks may ask again: base's answer, its score, two orders of a judge, and one to spare."""

Watch = Callable[[str, int, int], None]
"""Is told (label, requests answered, requests in all): a progress bar, or nothing."""
Look = Callable[[Run, Sequence[Item]], set[str]]
"""Is asked after each batch of a sequential suite: (the run so far, the new items) → tasks whose gates are settled."""


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
        *,
        again: int = 0,
    ) -> None:
        """Prepare; nothing is read or computed yet.

        `others` opens base and judges where checks ask them. `again` above 0 asks the same once more: sampled answers
        get seeds of their own, and nothing that another run stored is reused, so that what differs is measured.
        """
        self._others = others
        self._again = again
        self._planned = planned
        self._backend = backend
        self._store = store
        self._watch = watch
        self._fingerprint = model_fingerprint(backend.identity)
        self._answers: dict[str, Response] = {}
        self._beside: Evaluation | None = None
        self._early: set[str] = set()
        self._computed = 0
        self._reused = 0
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        self._open: RunWriter | None = None

    def run(self, run_id: str | None = None, label: str = "", steering: Steering | None = None) -> Evaluated:
        """Evaluate what is not done yet and finish the run.

        Args:
            run_id: The run to write; other processes may be writing it too (one lease per suite). None: resume the
                newest unfinished run of this model and plan, or begin one.
            label: What the progress shows, such as "candidate".
            steering: What decides when a sequential suite stops; without it all of them are answered in full.
        """
        with self.opened(run_id):
            self.answer(self.suite_names, label, steering)
            return self.finish()

    @property
    def suite_names(self) -> tuple[str, ...]:
        """The plan's suites in order."""
        return self._planned.suite_names

    @contextmanager
    def opened(self, run_id: str | None = None) -> Iterator[None]:
        """Hold the run open, to be filled by `answer` or `put` and ended by `finish`; see `run`."""
        self._started, self._clock = datetime.now(UTC), time.monotonic()
        with self._store.begin(self._backend.identity, self.plan_key, run_id=run_id) as writer:
            self._open = writer
            stored = {} if self._again else self._store.responses(self._fingerprint)
            self._answers = {**stored, **writer.known()}
            yield
            self._open = None

    def answer(self, suites: Sequence[str], label: str, steering: Steering | None = None) -> None:
        """Evaluate suites that are not done; wait for those that other processes work on."""
        waiting = [suite for suite in suites if not self._try(suite, label, steering, wait=False)]
        for suite in waiting:
            self._try(suite, label, steering, wait=True)

    @property
    def is_open(self) -> bool:
        """Whether a run is held open."""
        return self._open is not None

    def shares_weights(self, other: Evaluation) -> bool:
        """Say whether both models are one base under different adapters, or none."""
        mine, theirs = self._backend.identity, other._backend.identity
        return bool(mine.weights) and mine.weights == theirs.weights and mine.adapter != theirs.adapter

    def let_speak_beside(self, other: Evaluation) -> None:
        """Let another open evaluation's generations share the batches of this one's, suite by suite."""
        self._beside = other

    def finish(self) -> Evaluated:
        """Make the run whole; every suite must be done."""
        manifest = self._manifest(time.monotonic() - self._clock)
        return Evaluated(self._writer.finish(manifest), self._computed, self._reused, self._writer.resumed)

    @contextmanager
    def leased(self, suite: str) -> Iterator[None]:
        """Be the only process that works on a suite."""
        with self._writer.lease(suite, wait=True):
            yield

    def put(self, suite: str, samples: Sequence[Sample]) -> None:
        """Store a suite's samples: it is done."""
        self._writer.put_samples(suite, samples, self._metrics(suite))

    def is_done(self, suite: str) -> bool:
        """Say whether a suite's samples are stored."""
        return self._writer.done(suite)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The samples of all suites that are done."""
        return tuple(s for name in self.suite_names if self.is_done(name) for s in self._writer.samples(name))

    def answer_items(self, suite: str, items: Sequence[Item], label: str) -> list[Sample]:
        """Return the samples of some items of a suite; what is stored is not computed again."""
        grader = self._planned.graders[suite]
        asked = self._asked(suite, items)
        name = f"{label} {suite}".strip()
        if self._beside is not None:
            self._speak_together(self._beside, suite, asked, name)
        spoken = self._through_turns(self._writer, items, asked, grader, name)
        asks = FollowUps(items, spoken, grader, self._others, self._repeated)
        for _ in range(ROUNDS):
            wanted = asks.wanted(self._answers, self._backend)
            if not wanted:
                break
            for backend, more in wanted:
                if backend is not self._backend and not self._again:
                    self._answers |= self._store.find({one.key for one in more} - self._answers.keys())
                self._respond(self._writer, backend, more, f"{name} ({backend.identity.reference})")
        return grader.together(asks.samples(self._answers))

    def so_far(self, suite: str, samples: Sequence[Sample]) -> Run:
        """Return a run that holds one suite's samples, to be looked at before it is stored."""
        manifest = self._manifest_of({suite: tuple(samples)}, 0.0)
        return Run(manifest, tuple(samples), self._writer.path)

    @property
    def plan_key(self) -> str:
        """The plan's fingerprint, and which repetition of it this is."""
        plan = self._planned.plan.fingerprint
        return content_key(plan, "again", self._again) if self._again else plan

    def _asked(self, suite: str, items: Sequence[Item]) -> list[tuple[Asked, ...]]:
        grader = self._planned.graders[suite]
        return [tuple(self._repeated(grader.watched(one)) for one in self._requests(item)) for item in items]

    def _speak_together(self, other: Evaluation, suite: str, asked: Sequence[Sequence[Asked]], label: str) -> None:
        """Answer the first turns of both models at once; whatever asks for them later finds them answered."""
        if suite not in other.suite_names or not self._unsaid(asked):
            return
        with other._writer.lease(suite, wait=False) as held:
            if not held or other._writer.done(suite):
                return
            theirs = other._unsaid(other._asked(suite, other._planned.items(suite)))
            if theirs:
                sides = [(self, self._unsaid(asked)), (other, theirs)]
                respond_together([side._question(requests, label) for side, requests in sides])

    def _unsaid(self, asked: Sequence[Sequence[Asked]]) -> list[Request]:
        """Return the generations that are not answered yet."""
        found = {r.key: r for many in asked for one in many for r in one.requests if isinstance(r, Generate)}
        return [request for key, request in found.items() if key not in self._answers]

    def _question(self, requests: Sequence[Request], label: str) -> Question:
        """Return what this model is asked ahead of its turn; the answers are stored as ever."""
        self._early |= {request.key for request in requests}
        self._computed += len(requests)
        return Question(self._backend, requests, self._receiver(self._writer, requests, label))

    def _requests(self, item: Item) -> tuple[Asked, ...]:
        return requests_for(item, self._backend.text, self._fingerprint)

    def _repeated(self, asked: Asked, before: Sequence[Request] = ()) -> Asked:
        """Return an ask whose sampled generations have this repetition's seeds and keys; `before` have them already."""
        if not self._again:
            return asked
        return replace(asked, requests=tuple(r if r in before else self._reseeded(r) for r in asked.requests))

    def _reseeded(self, request: Request) -> Request:
        if not isinstance(request, Generate) or request.generation.temperature == 0:
            return request
        seed = int(content_key(request.seed, self._again)[:8], 16)
        return replace(request, seed=seed, key=content_key(request.key, "again", self._again))

    @property
    def _writer(self) -> RunWriter:
        assert self._open is not None, "an evaluation is used inside `opened`"
        return self._open

    def _try(self, suite: str, label: str, steering: Steering | None, *, wait: bool) -> bool:
        writer = self._writer
        with writer.lease(suite, wait=wait) as held:
            if held and not writer.done(suite):
                drawn = self._planned.drawn(suite)
                if drawn and steering is not None:
                    with steering.suite(suite) as look:
                        samples = self._until_settled(suite, drawn, label, look)
                else:
                    blocks = [block for each in drawn.values() for block in each.blocks]
                    items = [item for block in blocks for item in block] if drawn else self._planned.items(suite)
                    samples = self.answer_items(suite, items, label)
                self.put(suite, samples)
            return writer.done(suite)

    def _until_settled(self, suite: str, drawn: Mapping[str, Drawn], label: str, look: Look) -> list[Sample]:
        """Answer batch after batch of every task until its gates are settled or it is all answered."""
        samples: dict[str, list[Sample]] = {task: [] for task in drawn}
        waiting = set(drawn)
        while waiting:
            done = {task: len(drawn[task].ends(len(samples[task]))) for task in waiting}
            items = [item for task in drawn if task in waiting for item in drawn[task].batch(done[task])]
            for sample in self.answer_items(suite, items, label):
                samples[sample.task].append(sample)
            found = [sample for task in drawn for sample in samples[task]]
            waiting -= look(self.so_far(suite, found), items)
            waiting -= {task for task in waiting if len(samples[task]) == drawn[task].population}
        return [sample for task in drawn for sample in samples[task]]

    def _metrics(self, suite: str) -> Mapping[str, Any]:
        prefix = f"{suite}/"
        return {k.removeprefix(prefix): info for k, info in self._planned.metrics.items() if k.startswith(prefix)}

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
        watched = [(one, None if more is None else grader.watched(more)) for one, more in further]
        return tuple(one if more is None else self._repeated(more, one.requests) for one, more in watched)

    def _respond(self, writer: RunWriter, backend: Backend, requests: Sequence[Request], label: str) -> None:
        """Let a model answer what is not stored yet."""
        wanted = {request.key: request for request in requests if request.key not in self._early}
        pending = [request for key, request in wanted.items() if key not in self._answers]
        self._reused += len(wanted) - len(pending)
        self._computed += len(pending)
        if pending:
            backend.respond(pending, self._receiver(writer, pending, label))

    def _receiver(self, writer: RunWriter, pending: Sequence[Request], label: str) -> OnBatch:
        done = 0
        self._watch(label, 0, len(pending))

        def on_batch(responses: Sequence[Response]) -> None:
            nonlocal done
            writer.record(responses)
            self._answers.update((response.key, response) for response in responses)
            done += len(responses)
            self._watch(label, done, len(pending))

        return on_batch

    def _manifest(self, seconds: float) -> Manifest:
        return self._manifest_of({suite: self._writer.samples(suite) for suite in self.suite_names}, seconds)

    def _manifest_of(self, samples: Mapping[str, Sequence[Sample]], seconds: float) -> Manifest:
        suites = [file for file in self._planned.plan.suites if isinstance(file.suite, Suite)]
        known = len(self._writer.known()) if len(samples) == len(self.suite_names) else 0
        return Manifest(
            run_id=self._writer.run_id,
            fingerprint=self._fingerprint,
            model=self._backend.identity,
            plan=self.plan_key,
            seed=self._again,
            suites={file.suite.suite: file.fingerprint for file in suites},  # type: ignore[union-attr]
            metrics=self._planned.metrics,
            counts=counts([sample for each in samples.values() for sample in each]) | {"computed": known},
            versions=versions(),
            hardware=hardware(),
            started=self._started.isoformat(),
            finished=datetime.now(UTC).isoformat(),
            seconds=seconds,
            extra={
                "max_errored": {f.suite.suite: f.suite.max_errored for f in suites},  # type: ignore[union-attr]
                "skills": {f.suite.suite: f.suite.skill for f in suites},  # type: ignore[union-attr]
                "warnings": list(self._planned.plan.warnings),
            }
            | self._draws(samples),
        )

    def _draws(self, samples: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
        """Return how far each task of the sequential suites was drawn."""
        draws = {}
        for suite, mine in samples.items():
            seen = Counter(sample.task for sample in mine)
            for task, drawn in self._planned.drawn(suite).items():
                draws[f"{suite}/{task}"] = {"population": drawn.population, "ends": drawn.ends(seen[task])}
        return {DRAWS: draws} if draws else {}
