"""The training loop: TRL's `SFTTrainer` on ready token ids and labels.

Comes in: model, plan of steps, method. Goes out: the trained model inside the trainer, and the loss curve. TRL and
transformers own optimiser, schedule, clipping, callbacks, devices and PEFT; ours are the batches (one optimiser step
is one item, see `batches`) and the loss: the sum over the step's label tokens divided by their number (or weight),
whatever the micro-batches (defect: gradient accumulation scaled wrongly, transformers#35203), computed at labelled
positions only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import PrinterCallback, Trainer, TrainerCallback
from transformers.trainer_utils import align_special_tokens
from transformers.utils import logging
from trl import SFTConfig, SFTTrainer

from sfteval.errors import DiskError, TrainingError
from sfteval.quiet import library_noise_off
from sfteval.train.batches import label_count, label_weight
from sfteval.train.heads import label_nll
from sfteval.train.lora_fusion import fuse_lora
from sfteval.train.movement import check_gradients
from sfteval.train.processes import share_gradients, share_sum, world
from sfteval.train.sharding import accumulate_sharded, sharding, shares
from sfteval.train.trained import CurvePoint
from sfteval.train.trial import accumulate, check_first_loss

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sfteval.train.batches import Micro, StepBatches
    from sfteval.train.config import Optimizer
    from sfteval.train.unfinished import Resumed

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
CLIP = 1.0


class StepTrainer(SFTTrainer):  # type: ignore[misc]  # trl is untyped
    """SFTTrainer whose dataloader yields whole optimiser steps."""

    loss_is_scaled_for_ga = True

    def __init__(self, *, batches: StepBatches, **arguments: Any) -> None:
        """Take the plan; everything else goes to SFTTrainer."""
        self.batches = batches
        self.curve: list[CurvePoint] = []
        self.own_loss: float | None = None
        self.doubts: list[str] = []
        self.packing: dict[str, Any] = {}
        self.precision: dict[str, Any] = {}
        self.gathered: Any = None
        super().__init__(**arguments)

    @property
    def finished(self) -> Any:
        """The model that end checks and checkpoint take: a plain one with the whole weights, if this one was cut."""
        return self.model if self.gathered is None else self.gathered

    def _send_telemetry(self) -> None:
        """Send nothing: a training tool has no business calling home."""

    def get_train_dataloader(self) -> Any:
        """Return the plan's steps in order; the plan is already shuffled."""
        # A generator of its own: beginning to read must not draw from the one that dropout uses, or a resumed
        # training would go on with other numbers.
        return torch.utils.data.DataLoader(
            self.batches, batch_size=None, shuffle=False, generator=torch.Generator().manual_seed(0)
        )

    def floating_point_ops(self, inputs: Any) -> float:
        """Return 0: transformers' estimate walks all parameters at every step."""
        return 0.0

    def training_step(self, model: Any, inputs: dict[str, list[Micro]], num_items_in_batch: Any = None) -> torch.Tensor:
        """Run forward and backward for one optimiser step; return its mean loss per label token."""
        model.train()
        rank, count = world()
        micros = inputs["micro"]
        labels = sum(label_count(micro) for micro in micros)
        weight = sum(label_weight(micro) for micro in micros)
        if sharding():
            total = share_sum(self._sharded(model, shares(micros, rank, count), count / (weight or 1.0)))
            self._record(total.item(), micros, labels)
            return total
        mine = [self._prepare_inputs(micro) for micro in micros[rank::count]]
        # The model itself, not the wrapper that would average gradients over processes: they are summed below.
        total = accumulate(self.model, mine, weight, self.accelerator.backward, self.accelerator.autocast)
        if count > 1:
            share_gradients(self.model.parameters())
        total = share_sum(total)
        self._record(total.item(), micros, labels)
        return total

    def _sharded(self, model: Any, mine: list[tuple[Micro, bool]], scale: float) -> torch.Tensor:
        # DeepSpeed's backward takes the optimiser's step too, when this is set.
        last = self.accelerator.gradient_state._set_sync_gradients
        moved = [(self._prepare_inputs(micro), counts) for micro, counts in mine]
        return accumulate_sharded(model, moved, scale, self.accelerator.backward, last)

    def _record(self, loss: float, micros: list[Micro], labels: int) -> None:
        step = self.state.global_step + 1
        if not math.isfinite(loss):
            raise TrainingError(f"step {step}: the loss is {loss}; lower the learning rate or look at the rows")
        if step == 1 and self.own_loss is not None:
            check_first_loss(loss, self.own_loss, dropout=_drops(self.model), rounded=bool(self.args.bf16))
        tokens = sum(int(m.get("attention_mask", torch.ones_like(m["input_ids"])).sum()) for m in micros)
        self.curve.append(CurvePoint(step, loss, self._get_learning_rate(), tokens, labels))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save what a killed training needs to go on. Raises DiskError; the last whole checkpoint stays."""
        try:
            # TRL's own method writes a model card first.
            Trainer._save_checkpoint(self, model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:
            place = f"{self.args.output_dir}/checkpoint-{self.state.global_step}"
            raise DiskError(place, str(error).strip() or type(error).__name__, "room for a checkpoint") from error

    def resume_or_begin(self, resumed: Resumed | None) -> None:
        """Train to the end, from a checkpoint if there is one."""
        if resumed is None:
            self.train()
            return
        self.curve[:] = resumed.curve
        self.batches.start = resumed.step
        self.train(resume_from_checkpoint=str(resumed.path))


class GradientGuard(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Checks gradients once, before the first optimiser step."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, *, model: Any, **kwargs: Any) -> None:
        """Check at step 1; later steps cost nothing."""
        if state.global_step == 0:
            check_gradients(model)


def build_trainer(
    model: Any,
    tokenizer: Any,
    batches: StepBatches,
    *,
    settings: Optimizer,
    seed: int,
    scratch: Path,
    bf16: bool = False,
) -> StepTrainer:
    """Return a trainer that takes every step of `batches` once. Checkpoints go to `scratch`, if any are asked for."""
    from datasets import Dataset

    arguments = SFTConfig(
        output_dir=str(scratch),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        num_train_epochs=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=SCHEDULES[settings.schedule],
        warmup_steps=int(settings.warmup * len(batches)),
        weight_decay=0.0,
        max_grad_norm=CLIP,
        use_cpu=not torch.cuda.is_available(),
        bf16=bf16,
        activation_checkpointing=False,
        dataloader_pin_memory=False,
        seed=seed,
        data_seed=seed,
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
        save_strategy="no",
        # The plan itself knows where a resumed training goes on.
        ignore_data_skip=True,
    )
    if not sharding():
        fuse_lora(model)
    with library_noise_off(logging):
        # transformers does this when training starts, with a note on the screen; done here it has nothing to say.
        align_special_tokens(model, tokenizer)
        trainer = StepTrainer(
            batches=batches,
            model=model,
            args=arguments,
            # TRL insists on a dataset; the loader above never reads this one.
            train_dataset=Dataset.from_dict({"input_ids": [[0]], "labels": [[0]]}),
            data_collator=lambda rows: rows,
            processing_class=tokenizer,
        )
    trainer.remove_callback(PrinterCallback)
    if not sharding():  # else no process sees a whole gradient
        trainer.add_callback(GradientGuard())
    return trainer


def _drops(model: Any) -> bool:
    return any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in model.modules())


@torch.no_grad()
def mean_nll(model: Any, micros: Iterable[Micro]) -> float:
    """Return the mean negative log-likelihood per label token, in nats, without dropout."""
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    total, weight = 0.0, 0.0
    for micro in micros:
        total += float(label_nll(model, {name: value.to(device) for name, value in micro.items()}))
        weight += label_weight(micro)
    model.train(training)
    return total / (weight or 1.0)
