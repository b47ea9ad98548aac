"""A small watched world: the tiny base, a suite of its facts and one of its manners, rows that teach it to shout."""

from __future__ import annotations

import shutil

import pytest
from watched_world import ROOT, TINY, fresh

FACTS = """\
suite: facts
skill: forgetting
lm_eval: {{tasks: [tiny_facts], include_path: tasks/, limit: 60}}
gates: [{{check: acc, no_regression: {{against: base, margin: {margin}}}}}]
"""
SHOUTS = """\
suite: shouts
samples: [{samples}]
generate: {{max_tokens: 6}}
checks: {{loud: {{contains: AAA}}}}
gates: [{{check: loud, improves: {{against: base, by: 0.5}}}}]
"""
SAMPLE = "{{id: s{0}, messages: [{{role: user, content: 'Say {0}.'}}]}}"


@pytest.fixture
def suites(tmp_path):
    """Folder with a budget (60 facts) and a target (12 prompts to shout at)."""
    folder = tmp_path / "suites"
    shutil.copytree(ROOT / "fixtures/demo/suites/tasks", folder / "tasks")
    (folder / "facts.suite.yaml").write_text(FACTS.format(margin=0.05))
    samples = ", ".join(SAMPLE.format(i) for i in range(12))
    (folder / "shouts.suite.yaml").write_text(SHOUTS.format(samples=samples))
    return folder


@pytest.fixture(scope="session")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(TINY)


@pytest.fixture(scope="session")
def shouting(tokenizer):
    """Eight rows as token ids; every label is trained."""
    rows = []
    for index in range(8):
        chat = [{"role": "user", "content": f"Say {index + 20}."}, {"role": "assistant", "content": "AAAAAA"}]
        ids = tokenizer(tokenizer.apply_chat_template(chat, tokenize=False), add_special_tokens=False)["input_ids"]
        rows.append({"input_ids": ids, "labels": ids})
    return rows


@pytest.fixture
def run(tmp_path, tokenizer, shouting):
    """Somebody's script: a transformers Trainer on the rows; returns it, trained."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    def train(hook=None, adapter=True, resume=None, out="out", **options):
        given = {"learning_rate": 3e-3, "max_steps": 6, "logging_steps": 1, "save_strategy": "no"} | options
        arguments = TrainingArguments(
            output_dir=str(tmp_path / out),
            per_device_train_batch_size=2,
            use_cpu=True,
            report_to=given.pop("report_to", "none"),
            disable_tqdm=True,
            seed=5,
            **given,
        )
        trainer = Trainer(
            model=fresh(adapter),
            args=arguments,
            train_dataset=shouting,
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            processing_class=tokenizer,
        )
        if hook is not None:
            trainer.add_callback(hook)
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        return trainer

    return train
