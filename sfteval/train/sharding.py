"""Models cut over several GPUs by FSDP or DeepSpeed, as `accelerate launch --config_file` asks for.

Comes in: what the launcher put into the environment; Accelerate and transformers read the same and do the cutting. Goes
out: a refusal of what could not be computed or saved, the step's loss through the wrapper, and the whole weights at the
end, in a plain model of the first process, so that every end check and the checkpoint are those of one process.

Known gap: a training that was killed begins again, since checkpoints of cut models are not sealed.
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from sfteval.train.batches import Micro
    from sfteval.train.config import TrainingConfig

LAUNCHERS = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}
ONE_STEP = (1, "1", "auto", None)
ACCUMULATION, GATHERS = "gradient_accumulation_steps", "stage3_gather_16bit_weights_on_model_save"


def sharding() -> str:
    """Return what cuts the model: FSDP, DeepSpeed, or "" if each process holds it whole."""
    asked = (name for name in LAUNCHERS if os.environ.get(name, "false").lower() in ("true", "1"))
    return LAUNCHERS[found] if (found := next(asked, None)) else ""


def check_sharding(config: TrainingConfig) -> None:
    """Refuse before anything is loaded.

    Raises:
        InputError: No GPU; a field of the config that needs the whole model in each process; a DeepSpeed file that
            cannot be read, or one with which the weights could not be saved or the steps would be others.
    """
    kind = sharding()
    if not kind:
        return
    import torch

    faults = []
    if not torch.cuda.is_available():
        do = "Accelerate cuts nothing on CPUs; launch without it: each process then holds the whole model"
        faults.append(Fault("accelerate launch", f"{kind} on a machine without a GPU", "GPUs", do))
    for name, why in (("hooks", "suites run on a whole model"), ("checkpoints", "cut models begin again when killed")):
        if name in config.model_fields_set and getattr(config, name) is not None:
            faults.append(Fault(f"{config.file or 'config'}: {name}", f"{name} under {kind}", f"no {name}: {why}"))
    if kind == "DeepSpeed":
        faults += _deepspeed_faults()
    if faults:
        raise InputError(faults)


def _deepspeed_faults() -> list[Fault]:
    """Return what is wrong with DeepSpeed's settings, of its own file or of Accelerate's."""
    faults = []
    if find_spec("deepspeed") is None:
        faults.append(Fault("accelerate launch", "DeepSpeed, which is not installed", "pip install deepspeed"))
    place = os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    if place in ("none", ""):
        stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
        saves = os.environ.get("ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL", "false").lower() == "true"
        steps = os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS")
        names = "accelerate's config", "gradient_accumulation_steps", "zero3_save_16bit_model"
    else:
        try:
            given = json.loads(Path(place).read_text(encoding="utf-8"))
            zero = given.get("zero_optimization", {})
            stage, saves, steps = str(zero.get("stage", 0)), zero.get(GATHERS) is True, given.get(ACCUMULATION)
        except (OSError, ValueError, AttributeError) as error:
            return [*faults, Fault(place, f"an unreadable file ({error})", "DeepSpeed's configuration as JSON")]
        names = place, ACCUMULATION, GATHERS
    where, accumulation, gathers = names
    if stage == "3" and not saves:
        faults.append(Fault(where, f"ZeRO stage 3 without {gathers}", f"{gathers}: true, or no weights can be saved"))
    if steps not in ONE_STEP:
        do = "optimizer.batch_tokens of the training config decides how much makes a step"
        faults.append(Fault(where, f"{accumulation}: {steps}", "1, or auto", do))
    return faults


def shares(micros: Sequence[Micro], rank: int, count: int) -> list[tuple[Micro, bool]]:
    """Return a process's micro-batches and whether each counts: all processes take equally many, or they would wait."""
    rounds = -(-len(micros) // count)
    mine = [(micro, True) for micro in micros[rank::count]]
    return mine + [(micros[0], False)] * (rounds - len(mine))


def accumulate_sharded(
    model: Any,
    mine: Sequence[tuple[Micro, bool]],
    scale: float,
    backward: Callable[[torch.Tensor], None],
    last: Callable[[bool], None],
) -> torch.Tensor:
    """Run forward and backward of a step's micro-batches through the wrapper; return their part of its mean loss.

    Args:
        model: The wrapped model.
        mine: Micro-batches on the device, and whether each counts.
        scale: Processes over labels of the step: the wrapper averages gradients over processes, a step is a sum.
        backward: Starts a backward pass.
        last: Is told before each one whether it ends the step.
    """
    import torch

    from sfteval.train.heads import label_nll, take_whole
    from sfteval.train.processes import world

    take_whole(model)
    total = torch.zeros((), device=mine[0][0]["input_ids"].device)
    for number, (micro, counts) in enumerate(mine, 1):
        last(number == len(mine))
        loss = label_nll(model, micro) * (scale if counts else 0.0)
        backward(loss)
        total += loss.detach() / world()[1]
    return total


def gather(trainer: Any, plain: Callable[[], Any]) -> None:
    """Put the whole trained weights into a plain model of the first process: `trainer.gathered`.

    Args:
        trainer: After training; all processes call this.
        plain: Makes the model as it was before it was cut.

    Raises:
        TrainingError: Not all weights came back.
    """
    from sfteval.train.processes import in_the_first

    try:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    except (ValueError, RuntimeError, ImportError) as error:
        raise TrainingError(f"the weights cannot be gathered for saving: {error}") from error

    def fill() -> None:
        model = plain()
        own = {name: value.data_ptr() for name, value in model.state_dict().items()}
        present = {own[name] for name in own if name in state}
        lost = [name for name, place in own.items() if place not in present]
        unknown = [name for name in state if name not in own]
        if lost or unknown:
            raise TrainingError(
                f"the gathered weights are not the model's: {len(lost)} missing, {len(unknown)} unknown "
                f"({(lost + unknown)[0]})"
            )
        model.load_state_dict(state, strict=False)
        trainer.gathered = model

    in_the_first(fill)
