"""A training from config to checkpoint, top to bottom.

Comes in: `TrainingConfig` and a `ModelSource`. Goes out: `Trained`. Cheap to import: torch, transformers, trl and peft
(seconds) are imported when a training starts.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError
from sfteval.keys import content_key
from sfteval.train.audit import warnings_of
from sfteval.train.audit.watching import watching
from sfteval.train.checkpoint import check_checkpoint, save_checkpoint
from sfteval.train.dataset import Prepared, prepare
from sfteval.train.loading import ModelSource, load_model, load_tokenizer
from sfteval.train.manifest import config_entries, data_entries, machine_entries, parent_entries, write_manifest
from sfteval.train.methods import check_parent
from sfteval.train.processes import in_the_first, join_processes
from sfteval.train.rates import rate_warning
from sfteval.train.sharding import check_sharding, gather, sharding
from sfteval.train.template import chat_template
from sfteval.train.trained import Trained
from sfteval.train.unfinished import clear_checkpoints, newest_checkpoint, training_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfteval.train.audit import Protected
    from sfteval.train.config import TrainingConfig
    from sfteval.train.loop import StepTrainer
    from sfteval.train.suite_callback import Watch
    from sfteval.train.template import ChatTemplate
    from sfteval.train.unfinished import Resumed


def train(
    config: TrainingConfig,
    model: ModelSource,
    *,
    progress: bool = False,
    watch: Watch | None = None,
    protected: Protected | None = None,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda warning: None,
) -> Trained:
    """Train and save.

    Args:
        config: What to do, with absolute paths.
        model: What to start from, already resolved to local files.
        progress: Show a live bar if the terminal is one.
        watch: Runs the config's `hooks` on the live model.
        protected: Samples of suites and benchmarks that no row may hold.
        cache: Where token ids are kept, so that the same rows are tokenised once.
        say: Is told, before step 1, each thing that is probably a mistake.

    Raises:
        AuditError: The rows break a budget: too long, or overlapping with what the model will be judged by.
        InputError: Broken rows, rows that cannot be masked, targets that the model does not have.
        ModelError: Tokenizer, template or weights cannot be used.
        TrainingError: A pre-flight check, the loss or an end check names a defect; nothing is left behind.
        StoreError: The output cannot be written.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    if config.hooks is not None and watch is None:
        found = "hooks, and nobody who runs them"
        raise InputError(
            Fault(f"{config.file or 'config'}: hooks", found, "a watch", "Use sfteval train, or pass watch")
        )
    check_parent(config.method, model)
    check_sharding(config)
    join_processes()
    tokenizer = load_tokenizer(model)
    if config.new_tokens:
        from sfteval.train.new_tokens import add_tokens

        add_tokens(tokenizer, config.new_tokens)
    template = chat_template(tokenizer, model.name)
    with watching(live=progress) as reading:
        data = prepare(config, template, protected, reading, cache=cache)
    described = data_entries(config, data)
    with training_folder(Path(config.output), config.name, _key(config, model, described)) as (folder, final):
        trainer = _prepared(config, model, data, folder)
        for warning in trainer.doubts:
            say(warning)
        held_out = _fit(trainer, config, model, data, folder, progress=progress, watch=watch)
        watched: dict[str, Any] = (watch.result if watch else None) or {}
        warnings = (*trainer.doubts, *watched.get("warnings", ()))
        seconds = time.monotonic() - clock
        entries = config_entries(config) | machine_entries() | _outcome(trainer, held_out)
        entries |= {"data": described, "parent": parent_entries(model), "warnings": list(warnings)}
        entries |= {"started": started.isoformat(), "seconds": seconds, "hooks": watched or None}
        in_the_first(lambda: _write(trainer.finished, template, model, data, folder, entries))
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
        looks_share=watched.get("share"),
    )


def _write(
    model: Any, template: ChatTemplate, source: ModelSource, data: Prepared, folder: Path, entries: dict[str, Any]
) -> None:
    """Write checkpoint and manifest, and only then remove what was needed to go on: the disk may be full until then."""
    save_checkpoint(model, template, source, folder / "checkpoint")
    check_checkpoint(folder / "checkpoint", template, data.split.train[:PROVEN])
    write_manifest(folder / "training.json", entries)
    clear_checkpoints(folder)


def _key(config: TrainingConfig, source: ModelSource, described: dict[str, Any]) -> str:
    """Return the hash of everything that decides a training's result; when it is saved decides nothing."""
    parent = parent_entries(source)
    versions = machine_entries()["versions"]
    settings = config.model_dump(mode="json", exclude={"checkpoints", "output"})
    rows = {name: value for name, value in described.items() if name != "audit"}
    return content_key(settings, rows, parent, versions, os.environ.get("WORLD_SIZE", "1"))


# Rows whose prompts are rendered again from the saved tokenizer.
PROVEN = 100
Pair = tuple[float | None, float | None]


def _prepared(config: TrainingConfig, source: ModelSource, data: Prepared, folder: Path) -> StepTrainer:
    """Run the pre-flight; return a trainer that may take step 1, and knows what is probably a mistake."""
    trainer = _trainer(config, source, data, folder)
    _try(trainer, config, data)
    rate = rate_warning(config.method, config.optimizer.learning_rate)
    trainer.doubts = [*([rate] if rate else []), *warnings_of(data.audit), *trainer.doubts]
    return trainer


def _fit(
    trainer: StepTrainer,
    config: TrainingConfig,
    source: ModelSource,
    data: Prepared,
    folder: Path,
    *,
    progress: bool,
    watch: Watch | None,
) -> Pair:
    """Train and check; return the held-out loss before and after."""
    from sfteval.train.adapting import adapt
    from sfteval.train.movement import Movement
    from sfteval.train.saving import Saving
    from sfteval.train.suite_callback import WatchCallback

    pad = trainer.batches.pad_id
    movement = Movement(trainer.model)
    before = _held_out_loss(trainer.model, data, pad)
    if watch is not None:
        trainer.add_callback(WatchCallback(watch, trainer.curve))
    if not sharding():
        trainer.add_callback(Saving(config.checkpoints, trainer.curve))
    resumed = newest_checkpoint(folder)
    clear_checkpoints(folder, keep=resumed.path if resumed else None)
    _run(trainer, config.name, resumed, progress=progress)
    if sharding():
        gather(trainer, lambda: adapt(load_model(source), config, data.template.tokenizer))
    kept = (watch.result or {}).get("kept") if watch else None

    def checked() -> float | None:
        movement.check(trainer.finished, sum(point.rate > 0 for point in trainer.curve[:kept]))
        return _held_out_loss(trainer.finished, data, pad)

    return before, in_the_first(checked)


def _trainer(config: TrainingConfig, source: ModelSource, data: Prepared, folder: Path) -> StepTrainer:
    """Check the labels, load the model, and return the trainer of all steps."""
    from functools import partial

    from sfteval.train.adapting import adapt
    from sfteval.train.batches import StepBatches, collate, plan_steps
    from sfteval.train.loop import build_trainer
    from sfteval.train.precision import choose
    from sfteval.train.preflight import check_labels

    tokenizer, optimizer = data.template.tokenizer, config.optimizer
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else data.template.stop_ids[0]
    check_labels(data.split.train, data.train, partial(collate, pad_id=pad), data.template, config.data.loss_on)
    model = load_model(source)
    lengths = [len(row.ids) for row in data.train]
    _check_length(config, model, max(lengths))
    precision = in_the_first(lambda: choose(optimizer.precision if not sharding() else "fp32", model, folder))
    trainer = build_trainer(
        adapt(model, config, tokenizer),
        tokenizer,
        StepBatches(data.train, plan_steps(lengths, optimizer.batch_tokens, optimizer.epochs, config.seed), pad),
        settings=optimizer,
        seed=config.seed,
        scratch=folder,
        bf16=precision.name == "bf16",
    )
    trainer.precision = dataclasses.asdict(precision)
    return trainer


def _try(trainer: StepTrainer, config: TrainingConfig, data: Prepared) -> None:
    """Run the pre-flight that needs weights, and lay the rows out as it allows."""
    import torch

    from sfteval.train.checkpoint import generation_config
    from sfteval.train.preflight import check_packs
    from sfteval.train.trial import check_stops, doubts, own_loss, try_model

    batches, optimizer = trainer.batches, config.optimizer
    # DeepSpeed's own way begins with its engine, which there is not yet.
    backward = torch.autograd.backward if sharding() else trainer.accelerator.backward
    trial = try_model(trainer.model, data.train, batches.pad_id, packing=optimizer.packing, backward=backward)
    shortest = min(data.train, key=lambda row: len(row.ids))
    prompt = shortest.ids[: shortest.spans[0][0]] or shortest.ids[:1]
    check_stops(trainer.model, data.template, generation_config(trainer.model, data.template), prompt)
    batches.lay_out([len(row.ids) for row in data.train], packed=trial.packed)
    if trial.packed:
        check_packs(batches)
    trainer.own_loss = own_loss(trainer.model, batches[0]["micro"])
    trainer.doubts = doubts(data.distinct, optimizer.epochs * len(data.train) / data.distinct, trainer.own_loss)
    trainer.packing = dataclasses.asdict(trial)


def _run(trainer: StepTrainer, name: str, resumed: Resumed | None, *, progress: bool) -> None:
    from sfteval.train.progress import ProgressBar

    if not progress:
        trainer.resume_or_begin(resumed)
        return
    bar = ProgressBar(trainer.curve, name)
    trainer.add_callback(bar)
    try:
        trainer.resume_or_begin(resumed)
    finally:
        bar.close()


def _held_out_loss(model: Any, data: Prepared, pad: int) -> float | None:
    from sfteval.train.batches import collate, plan_steps
    from sfteval.train.loop import mean_nll

    if not data.held_out:
        return None
    steps = plan_steps([len(row.ids) for row in data.held_out], 4096, 1, seed=0)
    micros = (collate([data.held_out[row] for row in rows], pad) for step in steps for rows in step)
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
    parameters = list(trainer.finished.parameters())
    return {
        "curve": [dataclasses.asdict(point) for point in trainer.curve],
        "steps": len(trainer.curve),
        "holdout_loss": {"before": held_out[0], "after": held_out[1]},
        "parameters": {
            "trainable": sum(value.numel() for value in parameters if value.requires_grad),
            "total": sum(value.numel() for value in parameters),
        },
        "clip": trainer.args.max_grad_norm,
        "precision": trainer.precision,
        "preflight": {"own_loss": trainer.own_loss, **trainer.packing},
    }
