"""A plain TRL training with sfteval's suites inside: python trl_script.py MODEL ROWS.jsonl SUITES OUTPUT.

Only the three lines marked with + are new. The run stops when a forgetting budget of the suites is proven broken, and
ends with the best checkpoint inside every budget.
"""

import sys

from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from sfteval.hooks import SuiteCallback  # +

model_name, rows, suites, output = sys.argv[1:5]
steps = int(sys.argv[5]) if len(sys.argv) > 5 else 200

trainer = SFTTrainer(
    model=AutoModelForCausalLM.from_pretrained(model_name),
    processing_class=AutoTokenizer.from_pretrained(model_name),
    train_dataset=load_dataset("json", data_files=rows, split="train").select_columns(["messages"]),
    peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    args=SFTConfig(
        output_dir=output, max_steps=steps, learning_rate=2e-4, logging_steps=10, report_to=[], use_cpu=True
    ),
)
watch = SuiteCallback(suites, every=max(1, steps // 4), runs_dir=f"{output}/runs")  # +
trainer.add_callback(watch)  # +
trainer.train()
trainer.save_model(output)
