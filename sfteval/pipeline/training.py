"""Train from a configuration: the joint of backends (which model) and train (what is done to it)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.backends import Kind, identify, load_base, load_tokenizer, resolve
from sfteval.backends.cache import encodings_dir
from sfteval.errors import Fault, InputError
from sfteval.pipeline.audit import protected_by
from sfteval.report.looks import show_look
from sfteval.train import ModelSource, load_config, train
from sfteval.train.method_config import Full

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfteval.backends import ModelReference
    from sfteval.pipeline.watching import SuiteWatch
    from sfteval.train import Trained, TrainingConfig


def train_from(
    path: Path, *, output: Path | None = None, progress: bool = True, say: Callable[[str], None] = lambda warning: None
) -> Trained:
    """Load a training configuration, resolve its model, and train.

    Args:
        path: The YAML file; its own paths are relative to it.
        output: Overrides the configuration's `output`.
        progress: Draw bars where a person looks.
        say: Is told, before step 1, each thing that is probably a mistake.

    Raises:
        InputError: mistakes in the configuration, its data or its model reference.
        AuditError: the rows break a budget of the configuration.
        TrainingError: a pre-flight check refused, naming the defect.
    """
    config = load_config(path)
    if config.sweep is not None:
        do = "Run sfteval train --sweep, or remove the block"
        raise InputError(Fault(str(path), "a 'sweep' that a single training would ignore", "no sweep", do))
    if output is not None:
        config = config.model_copy(update={"output": str(output)})
    source = source_of(config, resolve(config.model, relative_to=path.parent))
    watch = _watch(config, source, live=progress, say=say)
    protected, cache = protected_by(config), encodings_dir()
    return train(config, source, progress=progress, watch=watch, protected=protected, cache=cache, say=say)


def speaks() -> bool:
    """Tell whether this process is the one that prints, of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def _watch(config: TrainingConfig, source: ModelSource, *, live: bool, say: Callable[[str], None]) -> SuiteWatch | None:
    """Load the suites of `hooks:` before anything else, so that a broken one costs no time."""
    if config.hooks is None:
        return None
    from sfteval.pipeline.watching import SuiteWatch

    return SuiteWatch(
        config.hooks,
        name=config.name,
        base=source.identity,
        runs_dir=Path(config.output),
        show=show_look if live else None,
        say=say,
    )


def source_of(config: TrainingConfig, reference: ModelReference) -> ModelSource:
    """Let training read the config's model exactly as serving does.

    Raises:
        ModelError: Full fine-tuning from an adapter that cannot be merged into its base.
    """
    model, adapter = reference.base or reference, reference.kind is Kind.ADAPTER
    if adapter and isinstance(config.method, Full):
        from sfteval.backends.merging import check_mergeable

        check_mergeable(reference)

    def opened() -> Any:
        from sfteval.backends.loading import resize_for

        base = load_base(model)
        if adapter:
            resize_for(base, reference)
        return base

    return ModelSource(
        model.path,
        reference.path if adapter else None,
        config.model,
        identify(reference),
        open_tokenizer=lambda: load_tokenizer(reference.tokenizer),
        open_model=opened,
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
        "looks_share": trained.looks_share,
    }
