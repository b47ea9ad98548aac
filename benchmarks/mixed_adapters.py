"""A base and LoRA adapters on it, the same prompts to each: one decoding batch for all against one model after another.

    python benchmarks/mixed_adapters.py --model ~/.cache/sfteval/models/smollm2 --prompts 8 32 64 --json

Greedy, 48 new tokens, prompts of random ids (24 to 96 tokens), adapters of random weights (rank 8, all linear layers);
both ways run in interleaved pairs on the same loaded weights, and must say the same.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

SEED = 1234
NEW_TOKENS = 48


def save_adapter(base: Path, folder: Path, seed: int) -> Path:
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=8, target_modules="all-linear", init_lora_weights=False)
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config).save_pretrained(folder)
    return folder


def run(models: list[Any], prompts: list[tuple[int, ...]], together: bool) -> tuple[float, dict[str, str | None], int]:
    """Ask every model every prompt; return seconds, texts by key, forward passes."""
    from sfteval.backends import Question, respond_together
    from sfteval.records import Generate, Generation

    texts: dict[str, str | None] = {}
    settings = Generation(max_tokens=NEW_TOKENS)
    questions = [
        Question(
            model,
            [Generate(f"{number}-{i}", prompt, settings) for i, prompt in enumerate(prompts)],
            lambda batch: texts.update({one.key: one.text for one in batch}),
        )
        for number, model in enumerate(models)
    ]
    passes = 0
    start = time.perf_counter()
    for asked in [questions] if together else [[one] for one in questions]:
        respond_together(asked)
        passes += asked[0].backend.stats.batches  # type: ignore[attr-defined]
    return time.perf_counter() - start, texts, passes


def main(argv: list[str] | None = None) -> int:
    """Print one row per number of prompts; 1 if any text differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--adapters", type=int, default=1)
    parser.add_argument("--prompts", type=int, nargs="+", default=[8, 32, 64], help="prompts per model")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one object per line (the only form)")
    options = parser.parse_args(argv)
    import torch

    from sfteval.backends import WeightsPool, open_backend

    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", FutureWarning)
    pool, rng, differ = WeightsPool(), random.Random(SEED), 0
    with tempfile.TemporaryDirectory() as folder:
        adapters = [save_adapter(options.model, Path(folder) / f"a{n}", SEED + n) for n in range(options.adapters)]
        models = [open_backend(str(one), weights=pool) for one in (options.model, *adapters)]
        run(models, [(5, 6, 7)] * 2, together=True)
        for count in options.prompts:
            prompts = [tuple(rng.randrange(1000, 40000) for _ in range(rng.randrange(24, 97))) for _ in range(count)]
            seconds: dict[bool, list[float]] = {True: [], False: []}
            said: dict[bool, Any] = {}
            passes: dict[bool, int] = {}
            for _ in range(options.pairs):
                for way in (False, True):
                    taken, said[way], passes[way] = run(models, prompts, way)
                    seconds[way].append(taken)
            mismatches = sum(said[True][key] != text for key, text in said[False].items())
            differ += mismatches
            row = {
                "models": len(models),
                "prompts_each": count,
                "pairs": options.pairs,
                "seconds_apart": round(statistics.median(seconds[False]), 2),
                "seconds_together": round(statistics.median(seconds[True]), 2),
                "ratio": round(statistics.median(a / b for a, b in zip(*seconds.values(), strict=True)) ** -1, 2),
                "passes_apart": passes[False],
                "passes_together": passes[True],
                "texts_that_differ": mismatches,
                "loads": pool.loads,
            }
            print(json.dumps(row), flush=True)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
