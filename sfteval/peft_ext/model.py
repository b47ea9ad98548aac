"""The tuner: finds the blocks of a model and wraps them.

Comes in: a causal language model of transformers and a `BottleneckConfig`. Goes out: the model with its attention
blocks and MLPs (Houlsby), or its MLPs (Pfeiffer, parallel), wrapped in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peft.tuners.tuners_utils import BaseTuner

from sfteval.peft_ext.layer import BottleneckLayer

if TYPE_CHECKING:
    from torch import nn

    from sfteval.peft_ext.config import BottleneckConfig

ATTENTION = frozenset({"self_attn", "attn", "attention", "self_attention"})
MLP = frozenset({"mlp", "feed_forward", "ffn"})


class BottleneckModel(BaseTuner):  # type: ignore[misc]  # peft is untyped
    """Bottleneck adapters on a model; made by `get_peft_model`."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012  (peft's own class attribute)

    def _prepare_adapter_config(self, peft_config: BottleneckConfig, model_config: Any) -> BottleneckConfig:
        if peft_config.target_modules is None:
            wanted = ATTENTION | MLP if peft_config.style == "houlsby" else MLP
            peft_config.target_modules = sorted(wanted & _block_names(self.model))
        if not peft_config.target_modules:
            raise ValueError("no attention blocks or MLPs by the names that are known; give target_modules")
        return peft_config

    def _create_and_replace(
        self,
        peft_config: BottleneckConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **kwargs: Any,
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.update_layer(adapter_name, peft_config)
            return
        wrapped = BottleneckLayer(target, self.model.config.get_text_config().hidden_size)
        wrapped.__dict__["_active_adapter"] = adapter_name
        wrapped.update_layer(adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            wrapped.requires_grad_(False)
        self._replace_module(parent, target_name, wrapped, target)

    def _check_merge_allowed(self) -> None:
        raise ValueError("bottleneck adapters are nonlinear and cannot be merged into the base's weights")


def _block_names(model: nn.Module) -> set[str]:
    """Return the last names of modules that sit in numbered layers, such as `mlp` of `model.layers.3.mlp`."""
    names = (name.split(".") for name, _ in model.named_modules())
    return {parts[-1] for parts in names if len(parts) > 1 and parts[-2].isdigit()}
