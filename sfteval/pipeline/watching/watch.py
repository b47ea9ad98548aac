"""A training under watch: base before step 1, a look now and then, the best checkpoint inside every budget at the end.

Comes in: `Hooks` and the live model. Goes out: `Decision`s, the restored model, a history in the run store.

The error rate: a look tests every budget once, each test at alpha / (looks x budgets), so that by the union bound a
training that never leaves its budgets is stopped with probability alpha at most. Where the number of looks is not known
beforehand, the k-th look spends 6 / (pi k)^2 of alpha, which sums to alpha over all looks there can be.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval._version import __version__
from sfteval.errors import BaselineMissingError, StoreError, TrainingError
from sfteval.pipeline.evaluate import Evaluation
from sfteval.pipeline.watching.looking import (
    answers,
    at_their_best,
    closing_warnings,
    gate_looks,
    held_out_verdicts,
    live_run,
    look_fields,
    part,
    undrawn,
    verdict_row,
)
from sfteval.pipeline.watching.progress import Progress
from sfteval.pipeline.watching.questions import questions
from sfteval.pipeline.watching.schedule import look_cost, looks
from sfteval.records import Look
from sfteval.store import HISTORY_FORMAT, RunStore, TrainingHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sfteval.backends import LivingModel
    from sfteval.records import GateLook, ModelIdentity, Run
    from sfteval.train.hook_config import Hooks
    from sfteval.train.kept import KeptWeights


@dataclass(frozen=True, slots=True)
class Decision:
    """A look and what follows from it. `why` says in words why the training stops, "" if it goes on."""

    look: Look
    stop: bool
    why: str


class SuiteWatch:
    """Watches one training."""

    def __init__(
        self,
        hooks: Hooks,
        *,
        name: str = "training",
        base: ModelIdentity | None = None,
        runs_dir: Path = Path("runs"),
        show: Callable[[Look], None] | None = None,
        say: Callable[[str], None] = lambda said: None,
    ) -> None:
        """Load the suites; a broken one is refused here, before anything is trained.

        Args:
            hooks: What is asked, when, and what follows.
            name: Of the history file.
            base: What the model is before step 1, if it came from files.
            runs_dir: Run store, unless the settings name one.
            show: Is handed every look.
            say: Is told before step 1 what is probably a mistake.

        Raises:
            InputError: Faults of the suites or of the settings.
        """
        self.hooks = hooks
        self.asked = questions(hooks)
        self._identity = base
        root = Path(hooks.runs_dir).expanduser() if hooks.runs_dir else runs_dir
        self._store = RunStore(root)
        self.history = TrainingHistory(root, name)
        self._name, self._show, self._say = name, show, say
        self._doubts: list[str] = []
        self.schedule: tuple[int, ...] = ()
        self._progress = Progress()
        self._clock: float | None = None
        self.result: dict[str, Any] | None = None

    def begin(
        self,
        model: Any,
        tokenizer: Any,
        output: Path,
        *,
        total: int | None = None,
        step_tokens: float = 0.0,
        step: int = 0,
        saved: dict[str, Any] | None = None,
    ) -> None:
        """Ask base everything and decide when to look.

        Args:
            model: The live model, before its first step (or as a checkpoint restored it).
            tokenizer: Its tokenizer.
            output: The training's output folder; the best weights so far are kept in it.
            total: Optimiser steps of the training; None when the caller decides when to look.
            step_tokens: Tokens that a step trains on, on average.
            step: Steps already taken, for a resumed training.
            saved: `state()` of the training that is resumed.

        Raises:
            SftevalError: The suites cannot be answered, graded or compared: before step 1, not after it.
        """
        from sfteval.backends import LivingModel
        from sfteval.train.kept import KeptWeights

        clock = time.monotonic()
        self._progress = Progress(**saved) if saved else Progress()
        self._living: LivingModel = LivingModel(model, tokenizer, base=self._identity)
        self._kept: KeptWeights = KeptWeights(output)
        self._require_best(saved is not None)
        self._base = undrawn(self._base_run(step))
        self._progress.base_run = self._base.manifest.run_id
        mine = part(self._base, self.asked.validation)
        self._validation = self.asked.only(self.asked.validation)
        for side in (part(self._base, self.asked.held_out), mine):
            found = gate_looks(self.asked, side, side, self.hooks.alpha)
        self._doubts = at_their_best(self.asked, found)
        for doubt in self._doubts:
            self._say(doubt)
        if total is not None:
            cost = look_cost(mine.samples)
            self.schedule = looks(total, self.hooks.every, self.hooks.share, cost, step_tokens)
        self._begun(step, resumed=saved is not None)
        self._progress.base_seconds += time.monotonic() - clock
        self._clock = time.monotonic()

    def due(self, step: int) -> bool:
        """Tell whether the model is looked at after this step."""
        return step in self.schedule

    def look(self, step: int, curve: Sequence[dict[str, Any]] = ()) -> Decision:
        """Evaluate the live model on the validation samples; keep it if it is the best so far.

        Raises:
            TrainingError: Something cannot be compared any more: the training must not go on unwatched.
        """
        clock = time.monotonic()
        samples = answers(self._validation, self._living.now(step))
        now = live_run(self._base, self._validation, samples, step)
        found = gate_looks(self.asked, now, part(self._base, self.asked.validation), self.level)
        look = self._weighed(step, found, clock)
        self._progress.done += 1
        self._progress.looks_seconds += look.seconds
        decision = self._decided(look)
        self.history.add("look", look_fields(look) | {"curve": list(curve), "why": decision.why})
        if self._show is not None:
            self._show(look)
        return decision

    @property
    def level(self) -> float:
        """Error rate of each single test of the next look."""
        budgets = max(1, len(self.asked.budgets))
        if self.schedule:
            return self.hooks.alpha / (len(self.schedule) * budgets)
        return self.hooks.alpha * 6 / (math.pi * (self._progress.done + 1)) ** 2 / budgets

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold for the watch to go on as if nothing had happened."""
        self._tick()
        return asdict(self._progress)

    def saved(self) -> None:
        """Take note that the training was saved; weights that no checkpoint points to any more are removed."""
        self._progress.saved()
        self._kept.forget(self._progress.wanted)

    def end(self, step: int) -> dict[str, Any]:
        """Restore the best checkpoint, judge it on the held-out samples, and say what happened.

        Returns:
            The history's `end` event: `kept` (None when no checkpoint is inside every budget), `held_out`, times.
        """
        self._tick()
        kept = self._progress.best if self.hooks.keep == "best" else step
        if kept is not None and kept != step:
            self._kept.restore(self._living.model, kept)
            self._check_restored(kept)
        judged = self.asked.only(self.asked.held_out)
        now = live_run(self._base, judged, answers(judged, self._living.now(step if kept is None else kept)), step)
        verdicts = held_out_verdicts(self.asked, now, part(self._base, self.asked.held_out))
        figures = self._progress
        self.result = {
            "steps": step,
            "kept": kept,
            "why": figures.why or "the training came to its end",
            "held_out": [verdict_row(verdict) for verdict in verdicts],
            "looks": figures.done,
            "looks_seconds": figures.looks_seconds,
            "base_seconds": figures.base_seconds,
            "training_seconds": figures.training_seconds,
            "share": figures.share,
            "warnings": [*self._doubts, *closing_warnings(self.hooks, figures, kept, verdicts)],
        }
        self.history.add("end", self.result)
        return self.result

    def _require_best(self, resumed: bool) -> None:
        """Refuse to resume what could not go back to its best step at the end."""
        best = self._progress.best
        if not resumed:
            return
        self._progress.saved()
        path = None if best is None or self.hooks.keep == "last" else self._kept.path(best)
        if path is not None and not path.is_file():
            do = "Resume from a newer checkpoint, or bring the file back"
            raise StoreError(path, "no file", f"the weights of step {best}, the best one of the resumed training", do)

    def _check_restored(self, step: int) -> None:
        """Look again at what was restored: it must score what it was chosen for, to the bit."""
        now = live_run(self._base, self._validation, answers(self._validation, self._living.now(step)), step)
        for gate in gate_looks(self.asked, now, part(self._base, self.asked.validation), self.hooks.alpha):
            chosen = self._progress.best_scores[gate.gate]
            if gate.now != chosen:
                raise TrainingError(
                    f"the restored checkpoint of step {step} scores {gate.now:.6g} on {gate.gate}; it was chosen with "
                    f"{chosen:.6g}: these are not the weights that were evaluated"
                )

    def _base_run(self, step: int) -> Run:
        """Return base's run: of the training that is resumed, else answered now by the model before step 1."""
        known = self._progress.base_run
        if known and self._store.has(known):
            run = self._store.load(known)
            if run.manifest.plan != self.asked.planned.plan.fingerprint:
                found = "suites that have changed since the training began"
                raise TrainingError(f"hooks.suites: found {found}; expected the same; restore them or start anew")
            return run
        if step and not self._living.adapted:
            raise BaselineMissingError(
                f"base: step {step} of a training whose run of base ({known or 'none was made'}) is not in "
                f"{self._store.root}; the model is no longer what it was before step 1. Call before step 1, or bring "
                "the run store back"
            )
        return Evaluation(self.asked.planned, self._living.base(), self._store).run(label="base").run

    def _begun(self, step: int, *, resumed: bool) -> None:
        if resumed:
            self.history.add("resumed", {"step": step})
            return
        self.history.add(
            "begin",
            {
                "sfteval": __version__,
                "format": HISTORY_FORMAT,
                "name": self._name,
                "base_run": self._progress.base_run,
                "schedule": list(self.schedule),
                "alpha": self.level,
                "budgets": [gate.node for gate in self.asked.budgets],
                "targets": [gate.node for gate in self.asked.targets],
                "validation": len(self.asked.validation),
                "held_out": len(self.asked.held_out),
            },
        )

    def _weighed(self, step: int, found: tuple[GateLook, ...], clock: float) -> Look:
        target, inside, best = self._progress.weigh(step, found)
        if best and self.hooks.keep == "best":
            self._kept.save(self._living.model, step)
            self._kept.forget(self._progress.wanted)
        return Look(step, found, target, inside, best, time.monotonic() - clock)

    def _decided(self, look: Look) -> Decision:
        why, patience, logs = "", self.hooks.patience, self.hooks.action == "log"
        impatient = patience is not None and self._progress.since_best >= patience
        if look.broken and not (logs and impatient):
            worst = min(look.broken, key=lambda gate: gate.high + gate.threshold)
            why = (
                f"step {look.step}: {worst.gate} is proven broken: a drop of at least {-worst.high:.3g} from base "
                f"(allowed: {worst.threshold:.3g}; {worst.n} samples)"
            )
        elif impatient:
            why = f"step {look.step}: no better checkpoint inside every budget in {patience} looks"
        self._progress.why = why or self._progress.why
        return Decision(look, impatient or bool(look.broken and not logs), why)

    def _tick(self) -> None:
        if self._clock is None:
            return
        now = time.monotonic()
        self._progress.training_seconds += now - self._clock
        self._clock = now
