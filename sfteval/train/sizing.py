"""What each method would train and need, without weights.

Comes in: a model's configuration, methods, and the largest micro-batch. Goes out: one `MethodSize` each: exact counts,
and the bytes of one step in float32 as this trainer takes it. Deep models are traced at two small depths: memory and
parameters are linear in the number of equal layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfteval.errors import SftevalError
from sfteval.train.blueprint import Added, Counts, build, count, shallow
from sfteval.train.method_config import Method, PeftOptions, Qlora
from sfteval.train.tracing import Shape, Trace, trace_step

if TYPE_CHECKING:
    from collections.abc import Callable

FLOAT = 4
# AdamW keeps two numbers per trained parameter.
STATES = 2
# Bits per weight of NF4 or FP4 with 64 weights a block: a float32 scale each, or 8 bits and a scale per 256 blocks.
QUANTISED = {False: 4 + 32 / 64, True: 4 + 8 / 64 + 32 / (64 * 256)}
DEPTHS = (2, 4)
TRACED = 6


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by part; their sum is the peak.

    Attributes:
        weights: The base and the method's own parameters.
        gradients: One number per trained parameter.
        optimiser: AdamW's states.
        activations: What the step needs on top of the three at its highest moment.
    """

    weights: int
    gradients: int
    optimiser: int
    activations: int

    @property
    def total(self) -> int:
        """The peak."""
        return self.weights + self.gradients + self.optimiser + self.activations


@dataclass(frozen=True, slots=True)
class MethodSize:
    """One method on one model; `memory` is None where the step cannot be traced, `note` says why or what to know."""

    method: Method
    trainable: int
    total: int
    memory: Memory | None
    note: str = ""


def size(
    config: Any, method: Method, shape: Shape, options: PeftOptions | None = None, added: Added | None = None
) -> MethodSize:
    """Return what a method trains and needs.

    Args:
        config: The model's transformers configuration.
        method: The method with its options.
        shape: The largest micro-batch of the training.
        options: The `peft` block, for `method: peft`.
        added: New tokens, for `full` and `lora`.

    Raises:
        InputError: The method does not fit the model.
        ModelError: The configuration makes no causal language model.
    """

    def built(layers: int | None = None) -> Any:
        return build(shallow(config, layers) if layers else config, method, options, added)

    model = built()
    counts = count(model)
    try:
        trace = _trace(built, model, counts, getattr(config.get_text_config(), "num_hidden_layers", 0), shape)
    except SftevalError:
        raise
    except Exception as error:  # noqa: BLE001  (any model's own code runs here: the counts stay exact, and this is said)
        reason = " ".join(str(error).split())[:160]
        return MethodSize(method, counts.trainable, counts.total, None, f"memory cannot be traced: {reason}")
    weights, note = FLOAT * counts.total, ""
    if isinstance(method, Qlora):
        weights += int(counts.linear * (QUANTISED[method.double_quant] / 8 - FLOAT))
        note = "planned for only, training refuses it; activations counted in float32"
    gradients = FLOAT * counts.trainable
    activations = max(0, trace.peak - gradients)
    memory = Memory(weights, gradients, STATES * FLOAT * counts.trainable, activations)
    return MethodSize(method, counts.trainable, counts.total, memory, note)


def _trace(built: Callable[[int], Any], model: Any, counts: Counts, layers: int, shape: Shape) -> Trace:
    if layers <= TRACED:
        return trace_step(model, shape)
    models = [built(depth) for depth in DEPTHS]
    found = [count(one) for one in models]
    steps = (layers - DEPTHS[1]) / (DEPTHS[1] - DEPTHS[0])

    def onward(first: int, second: int) -> int:
        return round(second + (second - first) * steps)

    if (onward(found[0].total, found[1].total), onward(found[0].trainable, found[1].trainable)) != (
        counts.total,
        counts.trainable,
    ):
        return trace_step(model, shape)  # its layers are not all alike
    one, other = (trace_step(each, shape) for each in models)
    return Trace(
        start=onward(one.start, other.start),
        early=onward(one.early, other.early),
        gradients=onward(one.gradients, other.gradients),
        end=other.end,
    )
