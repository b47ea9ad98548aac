"""Any Hugging Face Trainer under watch: its events in, a watch's decisions out.

Comes in: the Trainer's events (transformers, TRL, and what is built on them). Goes out: calls of a `Watch`, and its
figures to the Trainer's own trackers. In several processes the first one evaluates and tells the others what it
decided, errors too, so that none waits for one that has stopped.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from sfteval.errors import Fault, InputError
from sfteval.train.processes import in_the_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.records import Look
    from sfteval.train.hook_config import Hooks
    from sfteval.train.trained import CurvePoint

TYPICAL_ROW = 512


class Decided(Protocol):
    """What a look led to."""

    @property
    def look(self) -> Look:
        """The figures."""
        ...

    @property
    def stop(self) -> bool:
        """True when the training ends here."""
        ...

    @property
    def why(self) -> str:
        """Why, in words."""
        ...


class Watch(Protocol):
    """Who is told what the Trainer does; see `sfteval.pipeline.watching.SuiteWatch`."""

    hooks: Hooks
    result: dict[str, Any] | None

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
        """Ask base everything."""
        ...

    def due(self, step: int) -> bool:
        """Tell whether this step is looked at."""
        ...

    def look(self, step: int, curve: list[dict[str, Any]]) -> Decided:
        """Evaluate."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        ...

    def saved(self) -> None:
        """Take note of a checkpoint."""
        ...

    def end(self, step: int) -> dict[str, Any]:
        """Restore, judge, report."""
        ...


class WatchCallback(TrainerCallback, ExportableState):  # type: ignore[misc]  # transformers is untyped
    """Hands a Trainer's events to a watch."""

    def __init__(self, watch: Watch, points: Sequence[CurvePoint] | None = None) -> None:
        """Take the watch; it is asked nothing before the training begins.

        Args:
            watch: Who is told.
            points: The growing curve of a training that keeps one itself; else what the Trainer logs is kept.
        """
        self.watch = watch
        self._trackers: list[Any] = []
        self._logged: list[dict[str, Any]] = []
        self._points = points
        self._shown = 0
        self._first, self._begun = True, False

    def state(self) -> dict[str, Any]:
        """Return what is saved with each checkpoint, as transformers wants it."""
        return {"args": self.arguments(), "attributes": {"resumed": self.watch.state() if self._begun else None}}

    def arguments(self) -> dict[str, Any]:
        """Return what another callback like this one is made from."""
        return self.watch.hooks.model_dump(mode="json")

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Ask base everything; whatever is broken stops the training here, before its first step."""
        model, tokenizer, loader = given["model"], given.get("processing_class"), given.get("train_dataloader")
        if tokenizer is None:
            found = "a Trainer without processing_class"
            raise InputError(Fault("SuiteCallback", found, "the tokenizer", "Pass processing_class=tokenizer to it"))
        stored = state.stateful_callbacks.get(type(self).__name__) or {}
        saved = stored.get("attributes", {}).get("resumed") if state.global_step else None
        # transformers reads this entry at each save, and a checkpoint from before the hook has none.
        state.stateful_callbacks.setdefault(type(self).__name__, self.state())
        self._first = state.is_world_process_zero

        def begin() -> None:
            self._trackers = _trackers(self.watch.hooks.report_to, args)
            self.watch.begin(
                model,
                tokenizer,
                Path(args.output_dir),
                total=state.max_steps,
                step_tokens=step_tokens(args, loader),
                step=state.global_step,
                saved=saved,
            )

        in_the_first(begin)
        self._shown = state.global_step
        self._begun = self._first
        for tracker in self._trackers:
            tracker.on_train_begin(args, state, control, model=model)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **given: Any) -> None:
        """Keep the training's own figures for the history."""
        if logs and "loss" in logs:
            kept = {name: logs[name] for name in ("loss", "learning_rate", "grad_norm") if name in logs}
            self._logged.append({"step": state.global_step} | kept)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
        """Look, if this step is looked at, and stop the training if a budget is proven broken."""
        if self._points:
            for tracker in self._trackers:
                point = self._points[-1]
                tracker.on_log(args, state, control, logs={"loss": point.loss, "learning_rate": point.rate})
        if not self.due(state.global_step):
            return control
        curve = self.curve(state)
        decided = in_the_first(lambda: self._looked(args, state, control, curve))
        if decided["stop"]:
            control.should_training_stop = True
        return control

    def due(self, step: int) -> bool:
        """Tell whether this step is looked at; every process knows by the first one's schedule."""
        return bool(in_the_first(lambda: self.watch.due(step)))

    def curve(self, state: Any) -> list[dict[str, Any]]:
        """Return the training's own figures since the last look."""
        if self._points is not None:
            fresh = [asdict(point) for point in self._points if self._shown < point.step <= state.global_step]
            self._shown = state.global_step
            return fresh
        curve, self._logged = self._logged, []
        return curve

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Let the watch tidy up what no checkpoint points to."""
        in_the_first(self.watch.saved)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Restore the best checkpoint and judge it."""
        in_the_first(lambda: self.watch.end(state.global_step))
        if torch.distributed.is_initialized():
            for value in given["model"].parameters():
                torch.distributed.broadcast(value.data, src=0)

    def _looked(self, args: Any, state: Any, control: Any, curve: list[dict[str, Any]]) -> dict[str, Any]:
        decision = self.watch.look(state.global_step, curve)
        for tracker in self._trackers:
            tracker.on_log(args, state, control, logs=figures(decision.look))
        return {"stop": decision.stop}


def figures(look: Look) -> dict[str, float]:
    """Return a look as flat names and numbers, for trackers."""
    named: dict[str, float] = {"sfteval/inside_every_budget": float(look.inside), "sfteval/seconds": look.seconds}
    if look.target is not None:
        named["sfteval/target"] = look.target
    for gate in look.gates:
        path, _, name = gate.gate.partition("::")
        place = f"sfteval/{Path(path).name.split('.')[0]}/{name}"
        for field in ("base", "now", "difference", "low", "high"):
            named[f"{place}/{field}"] = getattr(gate, field)
    return named


def step_tokens(args: Any, loader: Any) -> float:
    """Return the tokens that one optimiser step trains on, on average, as far as the data tells without being drawn."""
    dataset: Any = getattr(loader, "dataset", None)
    planned = getattr(dataset, "tokens_per_step", None)
    if planned is not None:
        return float(planned)
    rows = args.train_batch_size * args.gradient_accumulation_steps * max(1, args.world_size)
    mean = float(TYPICAL_ROW)
    if "input_ids" in (getattr(dataset, "column_names", None) or ()) and len(dataset):
        first = dataset[: min(64, len(dataset))]["input_ids"]
        mean = sum(map(len, first)) / len(first)
    return float(rows * mean)


def _trackers(named: tuple[str, ...] | None, args: Any) -> list[Any]:
    """Return transformers' own reporters, ours to call: a callback cannot reach those of its Trainer.

    Raises:
        InputError: One that does not exist, or is not installed.
    """
    from transformers.integrations.integration_utils import get_reporting_integration_callbacks

    chosen = (
        list(named) if named is not None else [args.report_to] if isinstance(args.report_to, str) else args.report_to
    )
    chosen = [name for name in chosen or [] if name != "none"]
    try:
        return [reporter() for reporter in get_reporting_integration_callbacks(chosen)]
    except (ValueError, RuntimeError, ImportError) as error:
        found = f"{', '.join(chosen)} ({' '.join(str(error).split())[:200]})"
        raise InputError(
            Fault("hooks.report_to", found, "trackers that transformers knows and that are installed")
        ) from None
