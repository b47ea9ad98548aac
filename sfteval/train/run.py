"""A training from config to checkpoint, top to bottom.

Comes in: `TrainingConfig` and a `ModelSource`. Goes out: `Trained`. Cheap to import: torch, transformers, trl and peft
(seconds) are imported when a training starts.
"""

from __future__ import annotations

import dataclasses
import math
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError
from sfteval.train.checkpoint import check_checkpoint, new_folder, save_checkpoint
from sfteval.train.dataset import Prepared, prepare
from sfteval.train.loading import ModelSource, load_model, load_tokenizer
from sfteval.train.manifest import config_entries, data_entries, machine_entries, parent_entries, write_manifest
from sfteval.train.methods import check_parent
from sfteval.train.rates import rate_warning
from sfteval.train.template import chat_template
from sfteval.train.trained import Trained

if TYPE_CHECKING:
    from sfteval.train.config import TrainingConfig
    from sfteval.train.loop import StepTrainer
    from sfteval.train.suite_callback import Watch


def train(
    config: TrainingConfig,
    model: ModelSource,
    *,
    output: Path | None = None,
    progress: bool = False,
    watch: Watch | None = None,
) -> Trained:
    """Train and save.

    Args:
        config: What to do, with absolute paths.
        model: What to start from, already resolved to local files.
        output: Where the run's folder goes, instead of the config's `output`.
        progress: Show a live bar if the terminal is one.
        watch: Runs the config's `hooks` on the live model.

    Raises:
        InputError: Broken rows, rows that cannot be masked, targets that the model does not have.
        ModelError: Tokenizer, template or weights cannot be used.
        TrainingError: A pre-flight check, the loss or an end check names a defect; nothing is left behind.
        StoreError: The output cannot be written.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    if config.hooks is not None and watch is None:
        found = "hooks, and nobody who runs them"
        raise InputError(Fault(f"{config.file or 'config'}: hooks", found, "a watch", "Use sfteval train, or pass watch"))
    check_parent(config.method, model)
    template = chat_template(load_tokenizer(model), model.name)
    data = prepare(config, template)
    with new_folder(output or Path(config.output), config.name) as (folder, final):
        trainer, held_out = _fit(config, model, data, folder, progress=progress, watch=watch)
        save_checkpoint(trainer.model, template, model, folder / "checkpoint")
        check_checkpoint(folder / "checkpoint", template, data.split.train[:PROVEN])
        watched: dict[str, Any] = (watch.result if watch else None) or {}
        warnings = tuple(filter(None, [rate_warning(config.method, config.optimizer.learning_rate)]))
        warnings += tuple(watched.get("warnings", ()))
        seconds = time.monotonic() - clock
        entries = config_entries(config) | machine_entries() | _outcome(trainer, held_out)
        entries |= {"data": data_entries(config, data), "parent": parent_entries(model), "warnings": list(warnings)}
        entries |= {"started": started.isoformat(), "seconds": seconds, "hooks": watched or None}
        write_manifest(folder / "training.json", entries)
    return Trained(
        checkpoint=final / "checkpoint",
        manifest=final / "training.json",
        loss=trainer.curve[-1].loss,
        holdout_before=held_out[0],
        holdout_after=held_out[1],
        steps=len(trainer.curve),
        seconds=seconds,
        warnings=warnings,
        kept_step=watched.get("kept", len(trainer.curve)),
        stopped=watched.get("why", ""),
    )


# Rows whose prompts are rendered again from the saved tokenizer.
PROVEN = 100
Pair = tuple[float | None, float | None]


def _fit(
    config: TrainingConfig, source: ModelSource, data: Prepared, folder: Path, *, progress: bool, watch: Watch | None
) -> tuple[StepTrainer, Pair]:
    """Check, train, check again; return the trainer and the held-out loss before and after."""
    from functools import partial

    from sfteval.train.adapting import adapt
    from sfteval.train.batches import StepBatches, collate, plan_steps
    from sfteval.train.loop import build_trainer
    from sfteval.train.movement import Movement
    from sfteval.train.preflight import check_labels
    from sfteval.train.suite_callback import WatchCallback

    tokenizer = data.template.tokenizer
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else data.template.stop_ids[0]
    check_labels(data.split.train, data.train, partial(collate, pad_id=pad), data.template, config.data.loss_on)
    model = load_model(source)
    optimizer = config.optimizer
    lengths = [len(row.ids) for row in data.train]
    _check_length(config, model, max(lengths))
    steps = plan_steps(lengths, optimizer.batch_tokens, optimizer.epochs, config.seed)
    trainer = build_trainer(
        adapt(model, config, tokenizer),
        tokenizer,
        StepBatches(data.train, steps, pad),
        settings=optimizer,
        seed=config.seed,
        scratch=folder,
    )
    movement = Movement(trainer.model)
    before = _held_out_loss(trainer.model, data, pad)
    if watch is not None:
        trainer.add_callback(WatchCallback(watch, trainer.curve))
    _run(trainer, config.name, progress=progress)
    kept = (watch.result or {}).get("kept") if watch else None
    movement.check(trainer.model, sum(point.rate > 0 for point in trainer.curve[:kept]))
    return trainer, (before, _held_out_loss(trainer.model, data, pad))


def _run(trainer: StepTrainer, name: str, *, progress: bool) -> None:
    from sfteval.train.progress import ProgressBar

    if not progress:
        trainer.train()
        return
    bar = ProgressBar(trainer.curve, name)
    trainer.add_callback(bar)
    try:
        trainer.train()
    finally:
        bar.close()


def _held_out_loss(model: Any, data: Prepared, pad: int) -> float | None:
    from sfteval.train.batches import collate, plan_steps
    from sfteval.train.loop import mean_nll

    if not data.held_out:
        return None
    steps = plan_steps([len(row.ids) for row in data.held_out], 4096, 1, seed=0)
    micros = [collate([data.held_out[row] for row in rows], pad) for step in steps for rows in step]
    return mean_nll(model, micros)


def _check_length(config: TrainingConfig, model: Any, longest: int) -> None:
    """Refuse what does not fit into the model's context; a default `max_length` above it is no fault by itself."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None) or math.inf
    asked = config.data.max_length if "max_length" in config.data.model_fields_set else 0
    if max(asked, longest) > limit:
        found = f"{asked}" if asked > limit else f"{config.data.max_length}, and a row of {longest} tokens"
        where = f"{config.file or 'config'}: data.max_length"
        raise InputError(Fault(where, found, f"at most {limit}", "That is the model's context"))


def _outcome(trainer: StepTrainer, held_out: Pair) -> dict[str, Any]:
    parameters = list(trainer.model.parameters())
    return {
        "curve": [dataclasses.asdict(point) for point in trainer.curve],
        "steps": len(trainer.curve),
        "holdout_loss": {"before": held_out[0], "after": held_out[1]},
        "parameters": {
            "trainable": sum(value.numel() for value in parameters if value.requires_grad),
            "total": sum(value.numel() for value in parameters),
        },
        "clip": trainer.args.max_grad_norm,
    }
