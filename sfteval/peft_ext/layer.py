"""A block of a transformer with a bottleneck beside it.

Comes in: the block's hidden states, shape (batch, length, hidden). Goes out: what the block gives, plus
scale · up(activation(down(·))) of its output (or, parallel, of its input). Off, or without an active adapter, it is the
block itself, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from sfteval.peft_ext.config import BottleneckConfig

FUNCTIONS = {"relu": functional.relu, "gelu": functional.gelu, "silu": functional.silu}


class BottleneckLayer(nn.Module, BaseTunerLayer):  # type: ignore[misc]  # peft is untyped
    """An attention block or an MLP, and its adapters by name."""

    adapter_layer_names = ("bottleneck_down", "bottleneck_up")
    other_param_names = ("bottleneck_settings",)

    def __init__(self, base_layer: nn.Module, hidden: int) -> None:
        """Wrap a block; `hidden` is the width of what it takes and gives."""
        super().__init__()
        self.base_layer = base_layer
        self.hidden = hidden
        self.bottleneck_down = nn.ModuleDict()
        self.bottleneck_up = nn.ModuleDict()
        self.bottleneck_settings: dict[str, BottleneckConfig] = {}
        self._disable_adapters = False
        self.merged_adapters: list[str] = []

    def __getattr__(self, name: str) -> Any:
        """Answer for the block too: models read attributes of their own blocks."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":
                raise
            return getattr(self.base_layer, name)

    def update_layer(self, adapter_name: str, config: BottleneckConfig) -> None:
        """Add an adapter. Its second projection starts at zero, so that nothing changes before the first step."""
        like = next(self.base_layer.parameters())
        down, up = nn.Linear(self.hidden, config.width), nn.Linear(config.width, self.hidden)
        nn.init.zeros_(down.bias)  # a ReLU that starts below zero for every token would never learn
        nn.init.zeros_(up.weight)
        nn.init.zeros_(up.bias)
        dtype = like.dtype if like.dtype.is_floating_point else torch.float32
        if down.weight.device != torch.device("meta"):
            down, up = down.to(like.device, dtype), up.to(like.device, dtype)
        self.bottleneck_down[adapter_name] = down
        self.bottleneck_up[adapter_name] = up
        self.bottleneck_settings[adapter_name] = config
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the block and add what the active adapters make."""
        result = self.base_layer(*args, **kwargs)
        active = [name for name in self.active_adapters if name in self.bottleneck_down]
        if self.disable_adapters or not active:
            return result
        given = args[0] if args else kwargs["hidden_states"]
        out = result[0] if isinstance(result, tuple) else result
        for name in active:
            parallel = self.bottleneck_settings[name].style == "parallel"
            out = out + self._added(name, given if parallel else out)
        return (out, *result[1:]) if isinstance(result, tuple) else out

    def _added(self, name: str, hidden: torch.Tensor) -> torch.Tensor:
        settings = self.bottleneck_settings[name]
        down: Any = self.bottleneck_down[name]
        activation: Any = FUNCTIONS[settings.activation]
        narrow = activation(down(hidden.to(down.weight.dtype)))
        narrow = functional.dropout(narrow, settings.dropout, self.training)
        added: torch.Tensor = settings.scale * self.bottleneck_up[name](narrow)
        return added.to(hidden.dtype)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refuse: a narrow nonlinear layer is no change of any weight.

        Raises:
            ValueError: Always.
        """
        raise ValueError("bottleneck adapters are nonlinear and cannot be merged into the base's weights")

    def unmerge(self) -> None:
        """Do nothing: nothing is ever merged."""
