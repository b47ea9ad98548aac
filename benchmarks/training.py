"""Training speed against TRL, side by side: the same rows in the same optimiser steps from the same start.

    python benchmarks/training.py --model ~/.cache/sfteval/models/smollm2 --data ../shared/data
    python benchmarks/training.py --quick --json
    python benchmarks/training.py --model DIR --work full --steps 2 --results training.jsonl

300 real chats (Open Assistant threads and Dolly rows of at most 512 tokens), labels by sfteval's mask engine for both
sides, eight rows per optimiser step (TRL's default), one seed. Each arm is a process of its own, one after the other,
and reports the time of its optimiser steps, the loss of each, and its peak memory. With more than one step the first is
not timed: it touches its memory (TRL's: 10 GB) for the first time and would flatter us. `--results FILE` keeps each arm
as soon as it is there; the same line again runs what is missing. An arm that fails, or takes longer than `--minutes`,
is named, and the others go on (exit code 1):

- `sfteval`: packs, labelled positions only;
- `trl_default`: `SFTTrainer` as it comes, `use_cpu=True` (bf16 autocast, activation checkpointing);
- `trl_tuned`: the same set by hand for a CPU: fp32, no checkpointing.

Tokens are counted without padding. `gemm_share`: FLOPs that the model's linear layers need for these tokens (forward,
gradient of the inputs, and of the weights that are trained), over seconds, against the rate of a plain matrix product.
Works: `lora` (r=8, all linear layers), `full`, `pack` (rows of exactly 512 tokens, LoRA).
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARMS = ("sfteval", "trl_tuned", "trl_default")
ROWS, BATCH, LONGEST, SEED, RATE = 300, 8, 512, 7, 2e-4


def threads(tree: dict[str, Any]) -> list[list[dict[str, str]]]:
    """Return the first thread of a message tree, ending with an assistant's turn."""
    turns, node = [], tree["prompt"]
    while node:
        turns.append({"role": "user" if node["role"] == "prompter" else "assistant", "content": node["text"].strip()})
        node = next((reply for reply in node.get("replies", []) if not reply.get("deleted")), None)
    turns = turns[: len(turns) - len(turns) % 2]
    return [turns] if turns else []


def chats(data: Path) -> list[list[dict[str, str]]]:
    """Return real conversations from the shared data."""
    with gzip.open(data / "oasst_sample/en_100_tree.jsonl.gz", "rt", encoding="utf-8") as file:
        found = [chat for line in file for chat in threads(json.loads(line))]
    with gzip.open(data / "dolly_hhrlhf_small/dolly_hhrlhf_train_small.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            question = row["prompt"].partition("### Instruction:\n")[2].partition("\n\n### Response:")[0].strip()
            if question and row["response"].strip():
                turns = [("user", question), ("assistant", row["response"].strip())]
                found.append([{"role": role, "content": content} for role, content in turns])
    return found


def made_up(count: int) -> list[list[dict[str, str]]]:
    """Return conversations for --quick, where no data is at hand."""
    chance = random.Random(SEED)
    words = ["the", "cat", "sat", "on", "a", "red", "mat", "and", "saw", "two", "big", "dogs", "run", "home"]
    return [
        [
            {"role": "user", "content": " ".join(chance.choices(words, k=chance.randint(3, 20)))},
            {"role": "assistant", "content": " ".join(chance.choices(words, k=chance.randint(3, 40)))},
        ]
        for _ in range(count)
    ]


def encoded(options: argparse.Namespace, tokenizer: Any) -> list[Any]:
    """Return the rows with labels, by the mask engine; what cannot be masked or is too long is left out."""
    from sfteval.train.masks import Encoded, MaskError, encode
    from sfteval.train.rows import Turn
    from sfteval.train.template import chat_template

    template = chat_template(tokenizer, options.model)
    given = made_up(60) if options.quick else chats(Path(options.data))
    random.Random(SEED).shuffle(given)
    rows: list[Any] = []
    for chat in given:
        if len(rows) == ROWS:
            break
        try:
            row = encode([Turn(turn["role"], turn["content"]) for turn in chat], template)
        except MaskError:
            continue
        if len(row.ids) <= LONGEST:
            rows.append(row)
    if options.work != "pack":
        return rows
    ids = [token for row in rows for token in row.ids]
    labels = [label for row in rows for label in row.labels]
    size = 64 if options.quick else LONGEST
    cuts = range(0, len(ids) - size + 1, size)
    return [Encoded(tuple(ids[a : a + size]), tuple(labels[a : a + size]), ((1, size),), "prefixes") for a in cuts]


def arm(options: argparse.Namespace) -> dict[str, Any]:
    """Train one arm in this process."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    rows = encoded(options, tokenizer)
    batch = 4 if options.work == "pack" else BATCH
    steps = [list(range(start, start + batch)) for start in range(0, len(rows) - batch + 1, batch)][: options.steps]
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    trainer, losses = (ours if options.arm == "sfteval" else theirs)(options, model, tokenizer, rows, steps)
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    clock: list[float] = []
    stamp(trainer, clock)
    trainer.train()
    tokens = [sum(len(rows[row].ids) for row in step) for step in steps]
    status = Path("/proc/self/status").read_text() if Path("/proc/self/status").exists() else ""
    peak = next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), None)
    seconds = [end - start for start, end in itertools.pairwise(clock)]
    warm = min(1, len(steps) - 1)
    timed, spent = sum(tokens[warm:]), sum(seconds[warm:])
    return {
        "arm": options.arm,
        "tokens": sum(tokens),
        "labels": sum(sum(label >= 0 for label in rows[row].labels[1:]) for step in steps for row in step),
        "rows": len(rows),
        "seconds": spent,
        "step_seconds": seconds,
        "tokens_per_second": timed / spent,
        "losses": losses(),
        "peak_mb": peak,
        "flops": timed * flops_per_token(trainer.model),
    }


def stamp(trainer: Any, clock: list[float]) -> None:
    """Note when the training begins and when each optimiser step ends."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.append(time.perf_counter())

    trainer.add_callback(Clock())


def flops_per_token(model: Any) -> float:
    """Return a token's cost in the linear layers, head included: forward, backward, trained weights' gradients."""
    import torch

    total = 0.0
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            total += module.weight.numel() * (6 if module.weight.requires_grad else 4)
    return total


def adapted(options: argparse.Namespace, model: Any) -> Any:
    """Return the model with the adapter of the work, the same for every arm."""
    import torch
    from peft import LoraConfig, get_peft_model

    if options.work == "full":
        return model
    torch.manual_seed(SEED)
    return get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))


def ours(options: argparse.Namespace, model: Any, tokenizer: Any, rows: Any, steps: Any) -> Any:
    """Return sfteval's trainer on these steps."""
    from sfteval.train.batches import StepBatches
    from sfteval.train.config import Optimizer
    from sfteval.train.loop import build_trainer
    from sfteval.train.trial import try_model

    settings = Optimizer(learning_rate=RATE, schedule="linear", warmup=0.0)
    batches = StepBatches(rows, [[step] for step in steps], tokenizer.pad_token_id or 0)
    trainer = build_trainer(
        adapted(options, model), tokenizer, batches, settings=settings, seed=SEED, scratch=Path(options.scratch)
    )
    trial = try_model(trainer.model, rows[:64], batches.pad_id, packing=True, backward=trainer.accelerator.backward)
    batches.lay_out([len(row.ids) for row in rows], packed=trial.packed)
    return trainer, lambda: [point.loss for point in trainer.curve]


def theirs(options: argparse.Namespace, model: Any, tokenizer: Any, rows: Any, steps: Any) -> Any:
    """Return TRL's trainer on the same rows, read in the same order."""
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    found: list[float] = []

    class InOrder(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def training_step(self, *given: Any, **named: Any) -> Any:
            loss = super().training_step(*given, **named)
            found.append(float(loss))
            return loss

        def _send_telemetry(self) -> None:
            """Send nothing."""

    order = [row for step in steps for row in step]
    dataset = Dataset.from_dict(
        {"input_ids": [list(rows[row].ids) for row in order], "labels": [list(rows[row].labels) for row in order]}
    )
    tuned = {"bf16": False, "activation_checkpointing": False} if options.arm == "trl_tuned" else {}
    arguments = SFTConfig(
        output_dir=options.scratch,
        use_cpu=True,
        per_device_train_batch_size=len(steps[0]),
        num_train_epochs=1,
        learning_rate=RATE,
        seed=SEED,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
        dataset_kwargs={"skip_prepare_dataset": True},
        **tuned,
    )
    trainer = InOrder(model=adapted(options, model), args=arguments, train_dataset=dataset, processing_class=tokenizer)
    return trainer, lambda: found


def gemm_rate() -> float:
    """Return the FLOP/s of a plain fp32 matrix product, the best within two seconds (a busy moment halves it)."""
    import torch

    first, second = torch.randn(2048, 1024), torch.randn(1024, 2048)
    best, end = float("inf"), time.perf_counter() + 2
    while time.perf_counter() < end:
        start = time.perf_counter()
        torch.mm(first, second)
        best = min(best, time.perf_counter() - start)
    return 2.0 * 2048 * 1024 * 2048 / best


def run_arm(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Run one arm as a process and return its figures, or why there are none."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, "--arm", name, "--scratch", scratch, "--model", options.model]
        command += ["--data", options.data, "--steps", str(options.steps), "--work", options.work]
        command += ["--quick"] if options.quick else []
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        most = 60 * options.minutes
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=most)
        except subprocess.TimeoutExpired:
            return {"arm": name, "failed": f"not finished after {options.minutes:g} minutes"}
    if done.returncode:
        return {"arm": name, "failed": done.stderr.strip()[-3000:] or f"exit code {done.returncode}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def known_arms(options: argparse.Namespace, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what an earlier run kept under the same settings."""
    if options.results is None or not options.results.exists():
        return {}
    lines = [json.loads(line) for line in options.results.read_text(encoding="utf-8").splitlines()]
    return {one["arm"]: one for one in lines if one["settings"] == settings and "failed" not in one}


def arms(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return every arm's figures; each is kept when it is there, with the GEMM rate measured just before it."""
    settings = {"model": options.model, "work": options.work, "steps": options.steps, "quick": options.quick}
    found = known_arms(options, settings)
    for name in options.arms.split(","):
        if name not in found:
            rate = gemm_rate()
            found[name] = run_arm(options, name) | {"gemm_gflops": rate / 1e9, "settings": settings}
            if options.results is not None:
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found[name]) + "\n")
        said = found[name].get("failed") or (
            f"{found[name]['tokens_per_second']:.1f} tokens/s, {found[name]['seconds']:.1f} s"
        )
        print(f"{name}: {said}", file=sys.stderr, flush=True)
    return {name: found[name] for name in options.arms.split(",")}


def compared(options: argparse.Namespace) -> dict[str, Any]:
    """Run all arms and put them side by side."""
    found = arms(options)
    mine = found.get("sfteval", {"failed": "not run"})
    for figures in found.values():
        if "failed" in figures:
            continue
        figures["gemm_share"] = figures["flops"] / figures["seconds"] / figures["gemm_gflops"] / 1e9
        if "failed" not in mine:
            figures["times_faster"] = mine["tokens_per_second"] / figures["tokens_per_second"]
            apart = [abs(a - b) for a, b in zip(mine["losses"], figures["losses"], strict=True)]
            figures["largest_loss_difference"] = max(apart)
    return {"work": options.work, "steps": options.steps, "arms": found}


def table(result: dict[str, Any]) -> str:
    """Return the table."""
    whole = [row for row in result["arms"].values() if "failed" not in row]
    lines = []
    if whole:
        first = whole[0]
        lines.append(
            f"{result['work']}: {result['steps']} optimiser steps, {first['tokens']} tokens, {first['labels']} labels, "
            f"{first['rows']} rows in all; mean loss {statistics.fmean(first['losses']):.4f}"
        )
    lines.append(
        f"{'arm':>12} {'tokens/s':>9} {'sfteval is':>11} {'peak MB':>8} {'GFLOP/s':>8} {'GEMM share':>11} "
        f"{'loss differs by':>16}"
    )
    for name, row in result["arms"].items():
        if "failed" in row:
            lines.append(f"{name:>12} failed: {row['failed'].splitlines()[-1]}")
            continue
        peak = "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
        faster, apart = row.get("times_faster", math.nan), row.get("largest_loss_difference", math.nan)
        lines.append(
            f"{name:>12} {row['tokens_per_second']:9.1f} {faster:10.2f}x {peak:>8} "
            f"{row['flops'] / row['seconds'] / 1e9:8.0f} {row['gemm_share']:11.0%} {apart:16.1e}"
        )
    return "\n".join(lines)


def main() -> int:
    """Run everything, or one arm for the parent process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "fixtures" / "tiny_base"))
    parser.add_argument("--data", default=str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--work", choices=("lora", "full", "pack"), default="lora")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--quick", action="store_true", help="made-up rows, two steps: does it run?")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--results", type=Path, help="JSONL: arms are appended, and not run again")
    parser.add_argument("--minutes", type=float, default=20.0, help="the most that one arm may take")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.model = str(Path(options.model).expanduser())
    if options.quick:
        options.steps = 2
    if options.arm:
        print(json.dumps(arm(options)))
        return 0
    result = compared(options)
    print(json.dumps(result) if options.json else table(result))
    return 1 if any("failed" in row for row in result["arms"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
