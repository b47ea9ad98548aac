"""Every method on the real model: trained, reloaded in a new process, judged.

    python benchmarks/methods.py --data ../shared/data/dolly_hhrlhf_small [--methods lora adapter] [--steps 40]

Rows are real instructions and answers (short ones, so that 40 steps are minutes). Per method: trainable parameters,
peak resident memory, tokens per second, loss on held-out rows before and after (target gain, nats per label token),
loss of general text before and after (forgetting, nats per token), and whether a new process that reloads the
checkpoint by PEFT writes the same greedy text as the trained model did. Exit code 1 if one does not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

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
TOKENS = 160


def rows_of(folder: Path, count: int) -> list[str]:
    """Return short rows of a folder of parquet, JSON or JSONL files, as our own messages."""
    import pyarrow.parquet

    file = next(path for path in sorted(folder.rglob("*")) if path.suffix in {".parquet", ".jsonl", ".json"})
    if file.suffix == ".parquet":
        raw = pyarrow.parquet.read_table(file).to_pylist()
    elif file.suffix == ".jsonl":
        raw = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    else:
        raw = json.loads(file.read_text(encoding="utf-8"))
    found = []
    for row in raw:
        asked = row.get("prompt") or row.get("instruction") or ""
        answer = row.get("response") or row.get("output") or ""
        if "### Instruction:" in asked:
            asked = asked.split("### Instruction:")[1].split("### Response:")[0].strip()
        if 10 < len(asked) < 160 and 10 < len(answer) < 240 and not row.get("input"):
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
            found.append(json.dumps({"messages": messages}))
    return found[:count]


def greedy(model: object, checkpoint: str) -> str:
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    prompt = [{"role": "user", "content": "Name three fruits and one colour."}]
    given = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        out = model.eval().generate(**given, max_new_tokens=24, do_sample=False)
    return tokenizer.decode(out[0])


def general_loss(model: object, checkpoint: str, text: Path) -> float:
    import torch
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(checkpoint)(text.read_text(encoding="utf-8")[:4000])["input_ids"][:512]
    given = torch.tensor([ids])
    with torch.no_grad():
        logits = model.eval()(input_ids=given).logits[0, -len(ids) :]
    return float(torch.nn.functional.cross_entropy(logits[:-1], given[0, 1:]))


def reload(base: str, checkpoint: str) -> object:
    from transformers import AutoModelForCausalLM

    import sfteval.peft_ext  # noqa: F401

    if not (Path(checkpoint) / "adapter_config.json").is_file():
        return AutoModelForCausalLM.from_pretrained(checkpoint)
    from peft import PeftModel

    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), checkpoint)


def train_one(config: Path, text: Path) -> None:
    """Train in this process; print what is known, with the text that the model in memory writes."""
    import resource

    import sfteval.train.run as running
    from sfteval.backends import resolve
    from sfteval.pipeline.training import train_from

    kept = {}
    real = running.save_checkpoint

    def save(model: object, *arguments: object, **more: object) -> None:
        kept["model"] = model
        real(model, *arguments, **more)

    running.save_checkpoint = save
    done = train_from(config, progress=False)
    manifest = json.loads(done.manifest.read_text(encoding="utf-8"))
    base = str(resolve("smollm2").path)
    before = general_loss(reload(base, base), base, text)
    tokens = sum(point["tokens"] for point in manifest["curve"])
    result = {
        "checkpoint": str(done.checkpoint),
        "trainable": manifest["parameters"]["trainable"],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "seconds": done.seconds,
        "tokens_per_second": tokens / done.seconds,
        "steps": done.steps,
        "gain": done.holdout_before - done.holdout_after,
        "forgetting": general_loss(kept["model"], str(done.checkpoint), text) - before,
        "text": greedy(kept["model"], str(done.checkpoint)),
    }
    print(json.dumps(result))


def child(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/dolly_hhrlhf_small")
    parser.add_argument("--text", type=Path, default=ROOT / "docs/verdicts.md")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--again")
    given = parser.parse_args()
    if given.train:
        train_one(given.train, given.text)
        return
    if given.again:
        from sfteval.backends import resolve

        print(json.dumps(greedy(reload(str(resolve("smollm2").path), given.again), given.again)))
        return
    print("| method | trainable | steps | peak MB | tokens/s | target gain | forgetting | same text reloaded |")
    print("|---|---|---|---|---|---|---|---|")
    same = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rows.jsonl").write_text("\n".join(rows_of(given.data, 220)), encoding="utf-8")
        for method in given.methods:
            block, rate = METHODS[method]
            config = folder / f"{method}.yaml"
            config.write_text(
                "model: smollm2\ndata: {train: [{path: rows.jsonl}], max_length: 256, holdout: 0.1}\n"
                f"method: {block}\noptimizer: {{batch_tokens: {TOKENS}, learning_rate: {rate}, epochs: EPOCHS}}\n"
                f"output: {folder / 'out'}\n".replace("EPOCHS", str(given.steps / 100)),
                encoding="utf-8",
            )
            found = json.loads(child("--train", str(config), "--text", str(given.text)))
            again = json.loads(child("--again", found["checkpoint"])) == found["text"]
            same = same and again
            cells = [
                method,
                f"{found['trainable']:,}",
                str(found["steps"]),
                f"{found['peak_mb']:.0f}",
                f"{found['tokens_per_second']:.0f}",
                f"{found['gain']:+.3f}",
                f"{found['forgetting']:+.3f}",
                "yes" if again else "NO",
            ]
            print("| " + " | ".join(cells) + " |", flush=True)
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
