"""Learning rates that suit another method: a warning, since methods differ tenfold and more in what they bear.

Comes in: method and rate. Goes out: a sentence, or "". The bands are wide: outside of them a run most likely learns
nothing or forgets (defect: LoRA trained at the rate meant for full fine-tuning, or the reverse).
"""

from __future__ import annotations

from typing import NamedTuple

from sfteval.train.method_config import Adapter, Full, Lora, Method, Prefix, Prompt, Qlora


class Band(NamedTuple):
    """Rates between which nothing is said, with the words for what lies outside."""

    low: float
    high: float
    below: str
    above: str


_LORA = Band(
    3e-5,
    5e-2,
    "suits full fine-tuning; LoRA usually needs ten times more (1e-4 to 5e-4)",
    "is far above what LoRA usually bears (1e-4 to 5e-4)",
)
_VIRTUAL = "suits LoRA; trained {} usually need ten times more (1e-3 to 1e-1)"
BANDS: dict[type, Band] = {
    Full: Band(
        1e-7,
        1e-4,
        "is so small that float32 weights hardly move; full fine-tuning usually takes 1e-5 to 5e-5",
        "suits LoRA; full fine-tuning usually needs ten times less (1e-5 to 5e-5)",
    ),
    Lora: _LORA,
    Qlora: _LORA,
    Adapter: Band(
        3e-5,
        5e-2,
        "suits full fine-tuning; bottleneck adapters usually need ten times more (1e-4 to 1e-3)",
        "is far above what bottleneck adapters usually bear (1e-4 to 1e-3)",
    ),
    Prefix: Band(3e-4, 5e-1, _VIRTUAL.format("prefixes"), "is far above what trained prefixes bear (1e-3 to 1e-1)"),
    Prompt: Band(3e-4, 1.0, _VIRTUAL.format("prompts"), "is far above what trained prompts bear (1e-3 to 3e-1)"),
}


def rate_warning(method: Method, rate: float) -> str:
    """Return a warning when the learning rate suits another method; "" if it does not, or if nobody knows (`peft`)."""
    band = BANDS.get(type(method))
    if band is None or band.low <= rate <= band.high:
        return ""
    return f"learning_rate {rate:g} {band.below if rate < band.low else band.above}"
