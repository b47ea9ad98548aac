"""Every method on the real model: trained, reloaded in a new process, judged.

    python benchmarks/methods.py --results methods.jsonl [--methods lora adapter] [--steps 40] [--json]

Rows are real instructions and answers (short ones, so that 40 steps are minutes). Per method: trainable parameters,
peak resident memory, tokens per second of the optimiser steps, loss on held-out rows before and after (target gain,
nats per label token), loss of general text before and after (forgetting, nats per token), and whether a new process
that reloads the checkpoint by PEFT writes the same greedy text as the trained model did. Each method's result is
appended to `--results` as soon as it is there; what stands there under the same settings is not trained again. A method
that fails is named, and the others go on. Exit code 1 if one failed or writes another text.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
METHODS = {
    "full": ("full", "2e-5"),
    "lora": ("{name: lora, rank: 8}", "3e-4"),
    "dora": ("{name: lora, rank: 8, dora: true}", "3e-4"),
    "prefix": ("{name: prefix, tokens: 16}", "1e-2"),
    "prompt": ("{name: prompt, tokens: 16}", "1e-2"),
    "houlsby": ("{name: adapter, style: houlsby, width: 32}", "3e-4"),
    "pfeiffer": ("{name: adapter, width: 32}", "3e-4"),
    "parallel": ("{name: adapter, style: parallel, width: 32}", "3e-4"),
    "ia3": ("peft\npeft: {type: IA3}", "3e-3"),
}
TOKENS, ROWS = 192, 240


def rows_of(folder: Path, count: int) -> list[str]:
    """Return short rows of a folder of parquet, JSON or JSONL files (.gz too), as our own messages."""
    from sfteval.train.data_config import Source
    from sfteval.train.reading import READERS, read_records

    file = next(path for path in sorted(folder.rglob("*")) if path.suffix in {*READERS, ".jsonl", ".gz"})
    found = []
    for _, row in read_records(Source(path=str(file)), lambda kind, fault: sys.exit(str(fault))):
        asked = row.get("prompt") or row.get("instruction") or ""
        answer = row.get("response") or row.get("output") or ""
        if "### Instruction:" in asked:
            asked = asked.split("### Instruction:")[1].split("### Response:")[0]
        asked, answer = asked.strip(), answer.strip()
        if 10 < len(asked) < 160 and 10 < len(answer) < 240 and not row.get("input"):
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
            found.append(json.dumps({"messages": messages}))
    return found[:count]


def greedy(model: Any, checkpoint: str) -> str:
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    prompt = [{"role": "user", "content": "Name three fruits and one colour."}]
    given = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        out = model.eval().generate(**given, max_new_tokens=24, do_sample=False)
    return tokenizer.decode(out[0])


def general_loss(model: Any, checkpoint: str, text: Path) -> float:
    import torch
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(checkpoint)(text.read_text(encoding="utf-8")[:4000])["input_ids"][:512]
    given = torch.tensor([ids])
    with torch.no_grad():
        logits = model.eval()(input_ids=given).logits[0, -len(ids) :]
    return float(torch.nn.functional.cross_entropy(logits[:-1], given[0, 1:]))


def reload(base: str, checkpoint: str) -> Any:
    from transformers import AutoModelForCausalLM

    import sfteval.peft_ext  # noqa: F401

    if not (Path(checkpoint) / "adapter_config.json").is_file():
        return AutoModelForCausalLM.from_pretrained(checkpoint)
    from peft import PeftModel

    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), checkpoint)


def exactly(path: Path, steps: int) -> None:
    """Write the share of an epoch that is this many steps into a config."""
    from sfteval.backends import resolve
    from sfteval.train import load_config
    from sfteval.train.batches import plan_steps
    from sfteval.train.dataset import prepare
    from sfteval.train.loading import ModelSource, load_tokenizer
    from sfteval.train.template import chat_template

    config = load_config(path)
    tokenizer = load_tokenizer(ModelSource(resolve(config.model).path))
    data = prepare(config, chat_template(tokenizer, config.model))
    epoch = len(plan_steps([len(row.ids) for row in data.train], config.optimizer.batch_tokens, 1, config.seed))
    text = path.read_text(encoding="utf-8").replace("epochs: 1", f"epochs: {steps / epoch}")
    path.write_text(text, encoding="utf-8")


def train_one(config: Path, text: Path, steps: int) -> None:
    """Train in this process; print what is known, with the text that the model in memory writes."""
    import resource

    from transformers import Trainer, TrainerCallback

    import sfteval.train.run as running
    from sfteval.backends import resolve
    from sfteval.pipeline.training import train_from
    from sfteval.train import load_config

    exactly(config, steps)
    kept: dict[str, Any] = {"clock": []}
    save, train = running.save_checkpoint, Trainer.train

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            kept["clock"].append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            kept["clock"].append(time.perf_counter())

    def watched(trainer: Any, *arguments: Any, **more: Any) -> Any:
        trainer.add_callback(Clock())
        return train(trainer, *arguments, **more)

    def saved(model: Any, *arguments: Any, **more: Any) -> None:
        kept["model"] = model
        save(model, *arguments, **more)

    running.save_checkpoint, Trainer.train = saved, watched
    done = train_from(config, progress=False)
    manifest = json.loads(done.manifest.read_text(encoding="utf-8"))
    base = str(resolve(load_config(config).model).path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    before = general_loss(reload(base, base), base, text)
    seconds = sum(end - start for start, end in itertools.pairwise(kept["clock"]))
    result = {
        "base": base,
        "checkpoint": str(done.checkpoint),
        "trainable": manifest["parameters"]["trainable"],
        "peak_mb": peak,
        "seconds": seconds,
        "tokens_per_second": sum(point["tokens"] for point in manifest["curve"]) / seconds,
        "steps": done.steps,
        "gain": done.holdout_before - done.holdout_after,
        "forgetting": general_loss(kept["model"], str(done.checkpoint), text) - before,
        "text": greedy(kept["model"], str(done.checkpoint)),
    }
    print(json.dumps(result))


def child(*arguments: str) -> Any:
    """Run this file in a new process; return what its last line says. Raises RuntimeError with its own last words."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-W", "ignore", __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def judged(given: argparse.Namespace, method: str, folder: Path) -> dict[str, Any]:
    """Train one method and reload it, in a process each."""
    block, rate = METHODS[method]
    config = folder / f"{method}.yaml"
    config.write_text(
        f"model: {given.model}\ndata: {{train: [{{path: rows.jsonl}}], max_length: 256, holdout: 0.1}}\n"
        f"method: {block}\noptimizer: {{batch_tokens: {TOKENS}, learning_rate: {rate}, epochs: 1}}\n"
        f"output: {folder / 'out'}\n",
        encoding="utf-8",
    )
    found = child("--train", str(config), "--text", str(given.text), "--steps", str(given.steps))
    again = child("--again", found["checkpoint"], "--base", found["base"])
    return {name: value for name, value in found.items() if name not in ("base", "checkpoint")} | {
        "same_text": again == found["text"]
    }


def line(result: dict[str, Any]) -> str:
    """Return a method's row of the table."""
    if "failed" in result:
        return f"| {result['method']} | failed: {result['failed'].strip().splitlines()[-1]} |"
    cells = [
        result["method"],
        f"{result['trainable']:,}",
        str(result["steps"]),
        f"{result['peak_mb']:.0f}",
        f"{result['tokens_per_second']:.0f}",
        f"{result['gain']:+.3f}",
        f"{result['forgetting']:+.3f}",
        "yes" if result["same_text"] else "NO",
    ]
    return "| " + " | ".join(cells) + " |"


def measured(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return every method's result, those of an earlier run too; each is written when it is there."""
    settings = {"model": given.model, "steps": given.steps, "tokens": TOKENS, "data": given.data.name}
    known = []
    if given.results and given.results.exists():
        lines = given.results.read_text(encoding="utf-8").splitlines()
        known = [found for found in map(json.loads, lines) if found["settings"] == settings and "failed" not in found]
    results = []
    for method in given.methods:
        result = next((found for found in known if found["method"] == method), None)
        if result is None:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                (folder / "rows.jsonl").write_text("\n".join(rows_of(given.data, ROWS)), encoding="utf-8")
                result = {"method": method, "settings": settings}
                try:
                    result |= judged(given, method, folder)
                except RuntimeError as error:
                    result |= {"failed": str(error)}
            if given.results:
                with given.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(result) + "\n")
        results.append(result)
        if not given.json:
            print(line(result), flush=True)
    return results


def main() -> None:
    """Train all, or do one process's part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/dolly_hhrlhf_small")
    parser.add_argument("--text", type=Path, default=ROOT / "docs/verdicts.md", help="general text, for forgetting")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--results", type=Path, help="JSONL: results are appended, and not made again")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--again", help=argparse.SUPPRESS)
    parser.add_argument("--base", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        train_one(given.train, given.text, given.steps)
        return
    if given.again:
        print(json.dumps(greedy(reload(given.base, given.again), given.again)))
        return
    if Path(given.model).exists():
        given.model = str(Path(given.model).resolve())
    if not given.json:
        print("| method | trainable | steps | peak MB | tokens/s | target gain | forgetting | same text reloaded |")
        print("|---|---|---|---|---|---|---|---|")
    results = measured(given)
    if given.json:
        print(json.dumps(results))
    raise SystemExit(0 if all(result.get("same_text") for result in results) else 1)


if __name__ == "__main__":
    main()
