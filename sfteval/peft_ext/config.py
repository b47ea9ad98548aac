"""The configuration of bottleneck adapters, as PEFT saves it in `adapter_config.json`."""

from __future__ import annotations

from dataclasses import dataclass, field

from peft.config import PeftConfig

from sfteval.peft_ext.registration import NAME, add_member

STYLES = ("houlsby", "pfeiffer", "parallel")
ACTIVATIONS = ("relu", "gelu", "silu")


@dataclass
class BottleneckConfig(PeftConfig):  # type: ignore[misc]  # peft is untyped
    """Where the narrow layers stand, and how wide they are.

    Attributes:
        style: `houlsby` after attention and MLP, `pfeiffer` after the MLP, `parallel` beside the MLP.
        width: Size of the bottleneck.
        activation: Between the two projections: relu, gelu or silu.
        dropout: On the narrow side, while training.
        scale: Factor on what the adapter adds.
        target_modules: Names of the blocks, found in the model if left out.
        modules_to_save: Other modules that are trained and saved whole.
    """

    style: str = field(default="pfeiffer")
    width: int = field(default=64)
    activation: str = field(default="relu")
    dropout: float = field(default=0.0)
    scale: float = field(default=1.0)
    target_modules: list[str] | None = field(default=None)
    exclude_modules: list[str] | None = field(default=None)
    modules_to_save: list[str] | None = field(default=None)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: A style or activation that does not exist, or a size that makes no layer.
        """
        super().__post_init__()
        self.peft_type = add_member(NAME)
        if self.style not in STYLES:
            raise ValueError(f"style: found {self.style!r}; expected one of {', '.join(STYLES)}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: found {self.activation!r}; expected one of {', '.join(ACTIVATIONS)}")
        if self.width < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"width {self.width}, dropout {self.dropout}: expected width ≥ 1 and 0 ≤ dropout < 1")
