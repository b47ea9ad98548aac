"""Any method of PEFT by its name: the `peft` block to PEFT's own configuration.

Comes in: `PeftOptions` (a type and that type's fields). Goes out: a `PeftConfig`, or every fault with the near miss.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sfteval.train.method_config import PeftOptions

# What a training decides itself, or what only says where things are.
OURS = frozenset(
    {"peft_type", "task_type", "inference_mode", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"}
)


def any_peft_config(options: PeftOptions) -> Any:
    """Return the configuration of the PEFT method that `options.type` names.

    Raises:
        InputError: No such type, unknown fields, or values that PEFT refuses.
    """
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    kinds = {kind.value: made for kind, made in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    made = kinds.get(options.type.upper())
    if made is None:
        raise InputError(_unknown("peft.type", options.type, kinds, upper=True))
    given = options.model_extra or {}
    known = {field.name for field in dataclasses.fields(made) if field.init} - OURS
    faults = [_unknown(f"peft.{name}", name, known) for name in given if name not in known]
    if faults:
        raise InputError(faults)
    try:
        return made(task_type="CAUSAL_LM", **given)
    except (ValueError, TypeError, KeyError) as error:
        found = f"fields that PEFT refuses ({' '.join(str(error).split())[:300]})"
        raise InputError(Fault("peft", found, f"a configuration of {options.type}")) from error


def _unknown(where: str, name: str, known: Iterable[str], *, upper: bool = False) -> Fault:
    names = sorted(known)
    near = difflib.get_close_matches(name.upper() if upper else name, names, n=1)
    return Fault(where, repr(name), f"one of {', '.join(names)}", f"Did you mean {near[0]!r}?" if near else "")
