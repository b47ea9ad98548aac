"""Train from a configuration: the joint of backends (which model) and train (what is done to it)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.backends import Kind, identify, load_base, load_tokenizer, resolve
from sfteval.errors import Fault, InputError
from sfteval.pipeline.audit import encodings_folder, protected_by
from sfteval.report.looks import show_look
from sfteval.train import ModelSource, load_config, train

if TYPE_CHECKING:
    from sfteval.backends import ModelReference
    from sfteval.pipeline.watching import SuiteWatch
    from sfteval.train import Trained, TrainingConfig


def train_from(path: Path, *, output: Path | None = None, progress: bool = True) -> Trained:
    """Load a training configuration, resolve its model, and train.

    Args:
        path: The YAML file; its own paths are relative to it.
        output: Overrides the configuration's `output`.
        progress: Draw bars where a person looks.

    Raises:
        InputError: mistakes in the configuration, its data or its model reference.
        AuditError: the rows break a budget of the configuration.
        TrainingError: a pre-flight check refused, naming the defect.
    """
    config = load_config(path)
    if config.sweep is not None:
        do = "Run sfteval train --sweep, or remove the block"
        raise InputError(Fault(str(path), "a 'sweep' that a single training would ignore", "no sweep", do))
    reference = resolve(config.model, relative_to=path.parent)
    source = _source(config.model, reference)
    watch = _watch(config, source, output or Path(config.output), live=progress)
    protected = protected_by(config)
    return train(
        config, source, output=output, progress=progress, watch=watch, protected=protected, cache=encodings_folder()
    )


def speaks() -> bool:
    """Tell whether this process is the one that prints, of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def _watch(config: TrainingConfig, source: ModelSource, runs: Path, *, live: bool) -> SuiteWatch | None:
    """Load the suites of `hooks:` before anything else, so that a broken one costs no time."""
    if config.hooks is None:
        return None
    from sfteval.pipeline.watching import SuiteWatch

    show = show_look if live else None
    return SuiteWatch(config.hooks, name=config.name, base=source.identity, runs_dir=runs, show=show)


def _source(name: str, reference: ModelReference) -> ModelSource:
    """Let training read the model exactly as serving does."""
    model = reference.base or reference
    return ModelSource(
        model.path,
        reference.path if reference.kind is Kind.ADAPTER else None,
        name,
        identify(reference),
        open_tokenizer=lambda: load_tokenizer(reference.tokenizer),
        open_model=lambda: load_base(model),
    )


def trained_row(trained: Trained) -> dict[str, Any]:
    """Return what a training made as plain data."""
    return {
        "checkpoint": str(trained.checkpoint),
        "manifest": str(trained.manifest),
        "steps": trained.steps,
        "loss": trained.loss,
        "holdout_before": trained.holdout_before,
        "holdout_after": trained.holdout_after,
        "seconds": trained.seconds,
        "warnings": list(trained.warnings),
        "kept_step": trained.kept_step,
        "stopped": trained.stopped,
    }
