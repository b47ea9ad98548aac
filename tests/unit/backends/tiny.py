"""Tiny random models, adapters and a small tokenizer, made on the spot."""

import json
import warnings
from pathlib import Path

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = ["The quick brown fox jumps over 12 lazy dogs.", "What is the capital of France? It is Paris.", "user system"]


def tokenizer(*, template=CHATML, bos=None, extra=()):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *([bos] if bos else []), *extra]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        WORDS * 3,
        trainers.BpeTrainer(vocab_size=320, special_tokens=specials, initial_alphabet=alphabet, show_progress=False),
    )
    if bos:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
        )
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>", bos_token=bos)
    fast.chat_template = template
    return fast


def llama(folder: Path, *, seed=0, vocabulary=None, text=None, shard=None, **config):
    """Save a random Llama of about 50k parameters with its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    text = text or tokenizer()
    torch.manual_seed(seed)
    settings = {
        "vocab_size": vocabulary or len(text),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": None,
        "eos_token_id": text.eos_token_id,
        "initializer_range": 0.3,
    }
    model = LlamaForCausalLM(LlamaConfig(**(settings | config)))
    model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    text.save_pretrained(folder)
    return folder


def adapter(folder: Path, base: Path, config, *, seed=1, named=None, rows=None):
    """Save a PEFT adapter with random weights on `base`."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if rows:
        model.resize_token_embeddings(rows, mean_resizing=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft 0.21 asks transformers 5.23 for a deprecated attribute
        adapted = get_peft_model(model, config)
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.normal_(std=0.3)
        adapted.save_pretrained(folder)
    rewrite(folder / "adapter_config.json", base_model_name_or_path=str(named or base))
    return folder


def rewrite(path: Path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def lora(**options):
    from peft import LoraConfig

    return LoraConfig(**({"r": 4, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | options))
