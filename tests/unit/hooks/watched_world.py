"""The model of the hook tests."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]
TINY = ROOT / "fixtures" / "tiny_base"


def fresh(adapter=False):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    if not adapter:
        return model
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    return get_peft_model(model, LoraConfig(r=4, lora_dropout=0.3, target_modules="all-linear", task_type="CAUSAL_LM"))
