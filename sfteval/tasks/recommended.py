"""What a checkpoint's generation_config says to requests that say nothing, as `generate` takes it.

Comes in: a transformers `GenerationConfig`. Goes out: settings by lm-eval's names, or a refusal of those that
`generate` would heed and the engine cannot. Read in transformers 5.23 `generation/utils.py`,
`_prepare_generation_config` and `_get_logits_processor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

# By name, with what stands where the checkpoint says nothing either (transformers' own 50 of top_k).
KNOWN: Mapping[str, Any] = {"repetition_penalty": None, "min_new_tokens": None}
KNOWN_SAMPLING: Mapping[str, Any] = {"top_p": None, "top_k": 50}
# By name, with the values that change nothing.
UNKNOWN: Mapping[str, tuple[Any, ...]] = {
    "no_repeat_ngram_size": (None, 0),
    "bad_words_ids": (None, []),
    "suppress_tokens": (None, []),
    "begin_suppress_tokens": (None, []),
    "sequence_bias": (None, {}),
    "forced_eos_token_id": (None,),
    "exponential_decay_length_penalty": (None,),
    "guidance_scale": (None, 1.0),
    "min_length": (None, 0),
    "num_beams": (None, 1),
}
UNKNOWN_SAMPLING: Mapping[str, tuple[Any, ...]] = {
    "min_p": (None, 0.0),
    "typical_p": (None, 1.0),
    "epsilon_cutoff": (None, 0.0),
    "eta_cutoff": (None, 0.0),
}


def recommended(config: Any, *, sampling: bool) -> dict[str, Any]:
    """Return what a generation config sets where a request says nothing.

    Args:
        config: The model's.
        sampling: Whether tokens are drawn; settings of the draw are left out otherwise.

    Raises:
        InputError: A setting that would change answers and that the engine does not know.
    """
    for name, neutral in {**UNKNOWN, **(UNKNOWN_SAMPLING if sampling else {})}.items():
        if (value := getattr(config, name, None)) not in neutral:
            do = "Take it out of the model's generation_config.json."
            raise InputError(Fault("generation_config", f"{name}={value!r}", "settings that the engine knows", do))
    defaults = {**KNOWN, **(KNOWN_SAMPLING if sampling else {})}
    said = {name: getattr(config, name, None) for name in defaults}
    found = {name: default if said[name] is None else said[name] for name, default in defaults.items()}
    return {name: value for name, value in found.items() if value is not None}
