"""The one place that adds a member to PEFT's enum of methods.

Comes in: configuration and tuner. Goes out: PEFT that knows them. `register_peft_method` refuses every name that is no
member of `PeftType`, and Python's enums are closed; so the member is made as `EnumType` makes one, and only for the
versions of PEFT that this was tested with. What it made is checked before anybody relies on it.
"""

from __future__ import annotations

from typing import Any

import peft
from peft.utils.peft_types import PeftType, register_peft_method

TESTED = ("0.21.",)
NAME = "BOTTLENECK"


def add_member(name: str) -> PeftType:
    """Return `PeftType[name]`, added if it is not there.

    Raises:
        ImportError: PEFT is of a version that this was not tested with, or the enum did not take the member.
    """
    if name in PeftType.__members__:
        return PeftType[name]
    if not peft.__version__.startswith(TESTED):
        msg = f"bottleneck adapters: found peft {peft.__version__}; expected {', '.join(TESTED)}x; install that version"
        raise ImportError(msg)
    member: Any = str.__new__(PeftType, name)
    member._name_ = member._value_ = name
    member._sort_order_ = len(PeftType._member_names_)
    PeftType._member_names_.append(name)
    PeftType._member_map_[name] = member
    PeftType._value2member_map_[name] = member
    type.__setattr__(PeftType, name, member)
    found = (PeftType(name), PeftType[name], getattr(PeftType, name), list(PeftType)[-1])
    if any(one is not member for one in found) or member != name:
        msg = f"bottleneck adapters: PeftType did not take the member {name}; peft {peft.__version__} is not supported"
        raise ImportError(msg)
    return PeftType[name]


def register(config: type, model: type) -> None:
    """Tell PEFT about the method; a second call changes nothing."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    member = add_member(NAME)
    if member not in PEFT_TYPE_TO_CONFIG_MAPPING:
        register_peft_method(name=NAME.lower(), config_cls=config, model_cls=model)
