"""Bottleneck adapters as a PEFT method: import this, and PEFT knows `peft_type: BOTTLENECK`.

Comes in: nothing. Goes out: `BottleneckConfig` for `get_peft_model`, and `PeftModel.from_pretrained` that reads what
was saved with it. PEFT 0.21 has no bottleneck adapters, and no other library does on transformers 5.
"""

from sfteval.peft_ext.config import BottleneckConfig
from sfteval.peft_ext.layer import BottleneckLayer
from sfteval.peft_ext.model import BottleneckModel
from sfteval.peft_ext.registration import register

register(BottleneckConfig, BottleneckModel)

__all__ = ["BottleneckConfig", "BottleneckLayer", "BottleneckModel"]
