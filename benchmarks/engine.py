"""The engine against lm-eval's own `HFLM`, side by side in one process: wall-clock, FLOPs, agreement, memory.

    python benchmarks/engine.py --model ~/.cache/sfteval/models/smollm2 --data ../shared/data
    python benchmarks/engine.py --model DIR --quick --only arc_easy_0shot --json
    python benchmarks/engine.py --model DIR --pairs 1 --json --out rows.jsonl   # again: goes on where it was ended

Each workload is run by both on the same token ids, in interleaved pairs; lm-eval takes the fastest of its batch sizes
1, 8 and 32 on 20 documents. Ratios above 1 mean that the engine is faster; FLOPs are counted by
`torch.utils.flop_counter` in a run that is not timed, attention by one rule on both sides: the pairs of query and key
that may see each other (of lm-eval's n tokens of a row, padding included, n·(n+1)/2), whatever a kernel computes beside
them. For scores, tokenization is outside the timing on both sides. `gemm_share` is the share of the machine's own rate
at the model's linear layers: FLOP/s while scoring, tokens per second of the linear layers alone at batch 64 while
generating.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from engine_flops import Shapes, counting
from engine_work import ROLLING_WINDOW, SEED, WORKS, Source, Work, rows_of

from sfteval.engine import Engine, EngineStats, ModelLimits
from sfteval.records import Generate, Response, Score

BATCH_SIZES = (1, 8, 32)
LONG_PAIR_SECONDS = 300
DECODE_BATCH = 64
SCORE_ROWS = 2048


def seconds_of(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextlib.contextmanager
def peak_memory() -> Iterator[dict[str, float | None]]:
    """Measure the largest resident size inside, in MB (Linux; None elsewhere)."""
    found: dict[str, float | None] = {"mb": None}
    clear, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    with contextlib.suppress(OSError):
        clear.write_text("5")
    yield found
    if status.exists():
        peak = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM")), "")
        found["mb"] = int(peak.split()[1]) / 1024 if peak else None


class Peer:
    """lm-eval's HFLM on the same model object."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        from lm_eval.models.huggingface import HFLM

        self.lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=model_length(model))

    def run(self, work: Work, batch_size: int) -> list[Any]:
        """Return (log-likelihood, greedy) per request, or texts."""
        self.lm.batch_size_per_gpu = batch_size
        requests = [request for document in work.documents for request in document]
        if not work.generates:
            given = [(("", ""), list(r.prefix), list(r.continuation)) for r in requests if isinstance(r, Score)]
            scored: list[Any] = self.lm._loglikelihood_tokens(given, disable_tqdm=True)
            return scored
        from lm_eval.api.instance import Instance

        settings = [r.generation for r in requests if isinstance(r, Generate)]
        given = [
            Instance("generate_until", {}, (text, arguments(one)), i)
            for i, (text, one) in enumerate(zip(work.texts, settings, strict=True))
        ]
        texts: list[Any] = self.lm.generate_until(given, disable_tqdm=True)
        return texts

    def best_batch_size(self, work: Work, sizes: tuple[int, ...], documents: int) -> int:
        """Return the batch size that is fastest on the first documents."""
        trial = work.first(documents)
        return min(sizes, key=lambda size: seconds_of(lambda: self.run(trial, size)))


def arguments(generation: Any) -> dict[str, Any]:
    least = {"min_new_tokens": generation.min_tokens} if generation.min_tokens else {}
    return {"until": list(generation.stop), "max_gen_toks": generation.max_tokens, "do_sample": False, **least}


def model_length(model: Any) -> int:
    return min(int(model.config.max_position_embeddings), 4 * ROLLING_WINDOW)


class Ours:
    """The engine on the same model object."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        limits = ModelLimits(len(tokenizer), model_length(model), frozenset({tokenizer.eos_token_id}))
        self.engine = Engine(model, limits=limits, decode=lambda ids: tokenizer.decode(ids, skip_special_tokens=True))

    def run(self, work: Work) -> tuple[dict[str, Response], EngineStats]:
        """Return the responses by key, and what was computed."""
        got: dict[str, Response] = {}
        requests = [request for document in work.documents for request in document]
        return got, self.engine.run(requests, lambda batch: got.update({one.key: one for one in batch}))


def linear_flops_and_seconds(model: Any, rows: int) -> tuple[float, float]:
    """Run the linear layers alone, head included, on `rows` rows; return their FLOPs and the best of three times."""
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    inputs = {width: torch.randn(rows, width) for width in {layer.in_features for layer in layers}}

    def run() -> None:
        for layer in layers:
            torch.nn.functional.linear(inputs[layer.in_features], layer.weight)

    with torch.no_grad():
        run()
        best = min(seconds_of(run) for _ in range(3))
    return float(sum(2 * rows * layer.weight.numel() for layer in layers)), best


def agreement(work: Work, ours: dict[str, Response], theirs: list[Any]) -> tuple[float, int]:
    """Return the largest difference of log-likelihoods and the greedy flags, or texts, that differ."""
    requests = [request for document in work.documents for request in document]
    pairs = list(zip([ours[request.key] for request in requests], theirs, strict=True))
    if work.generates:
        return math.nan, sum(mine.text != other for mine, other in pairs)
    worst = max(abs((mine.loglikelihood or math.nan) - other[0]) for mine, other in pairs)
    return worst, sum(mine.is_greedy != other[1] for mine, other in pairs)


def measure(work: Work, peer: Peer, ours: Ours, options: argparse.Namespace, model: Any) -> dict[str, Any]:
    """Return one row of the table."""
    size = peer.best_batch_size(work, options.sizes, options.trial)
    # The probe at first use belongs to no workload.
    ours.run(work.first(1))
    with counting() as ours_flops, peak_memory() as peak:
        got, stats = ours.run(work)
    shapes, pairs = Shapes(model), list[tuple[float, float]]()
    with shapes.recorded():
        start = time.perf_counter()
        theirs = peer.run(work, size)
        seconds = time.perf_counter() - start
    pairs.append((seconds, seconds_of(lambda: ours.run(work))))
    while len(pairs) < (min(3, options.pairs) if sum(pairs[0]) > LONG_PAIR_SECONDS else options.pairs):
        pairs.append((seconds_of(lambda: peer.run(work, size)), seconds_of(lambda: ours.run(work))))
    worst, mismatches = agreement(work, got, theirs)
    theirs_flops = math.nan if work.generates else shapes.flops()
    # lm-eval runs base and candidate; the engine has the base's answers in the store.
    times = 2 if work.adapter else 1
    seconds = statistics.median(mine for _, mine in pairs)
    return {
        "work": work.name,
        "documents": len(work.documents),
        "batch_size": size,
        "pairs": len(pairs),
        "seconds_lm_eval": round(statistics.median(other for other, _ in pairs), 3),
        "seconds": round(seconds, 3),
        "ratio_wall": round(statistics.median(times * other / mine for other, mine in pairs), 2),
        "ratio_flops": None if work.generates else round(ours_flops.get_total_flops() / (times * theirs_flops), 4),
        "tokens_forwarded": stats.tokens_forwarded,
        "tokens_distinct": stats.tokens_distinct,
        "gemm_share": round(share(work, stats, seconds, ours_flops.get_total_flops(), model, options.score_rows), 3),
        "max_abs_diff": None if math.isnan(worst) else float(f"{worst:.2e}"),
        "greedy_mismatches": mismatches,
        "near_ties": stats.near_ties,
        "peak_mb": None if peak["mb"] is None else round(peak["mb"]),
    }


def share(work: Work, stats: EngineStats, seconds: float, flops: float, model: Any, rows: int) -> float:
    """Return the share of the linear layers' own rate: FLOP/s while scoring, tokens/s at batch 64 while generating."""
    if work.generates:
        _, best = linear_flops_and_seconds(model, DECODE_BATCH)
        return (stats.tokens_generated / seconds) / (DECODE_BATCH / best)
    counted, best = linear_flops_and_seconds(model, rows)
    return (flops / seconds) / (counted / best)


def load(path: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(path)


@contextlib.contextmanager
def with_lora(model: Any) -> Iterator[Any]:
    """Put a random LoRA on the model, and take it off again: one model in memory, as the engine holds them."""
    import peft

    torch.manual_seed(SEED)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False))
    try:
        yield adapted.eval()
    finally:
        adapted.unload()
        vars(model).pop("peft_config", None)


def options_of(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="model directory or hub id")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of published benchmark files")
    parser.add_argument("--only", action="append", choices=sorted(WORKS), help="this workload only (repeatable)")
    parser.add_argument("--quick", action="store_true", help="a few documents, one pair; proves that it runs")
    parser.add_argument("--documents", type=int, help="at most this many documents per workload")
    parser.add_argument("--pairs", type=int, default=5, help="interleaved pairs (at most 3 where one takes 5 minutes)")
    parser.add_argument("--out", type=Path, help="append each row here as soon as it is there; rows it has are not run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one object per line")
    options = parser.parse_args(argv)
    options.sizes, options.trial, options.new_tokens = BATCH_SIZES, 20, None
    options.score_rows = 256 if options.quick else SCORE_ROWS
    if options.quick:
        options.sizes, options.trial, options.pairs, options.new_tokens = (8,), 1, 1, 8
        options.documents = options.documents or 1
    return options


def header(options: argparse.Namespace) -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "lm-eval")}
    return {
        "versions": versions,
        "threads": options.threads,
        "seed": SEED,
        "data": options.data.name,
        "dtype": "float32",
    }


def report(row: dict[str, Any], as_json: bool) -> None:
    if as_json or "failed" in row:
        print(json.dumps(row), flush=True)
        return
    cells = (f"{name} {value}" for name, value in row.items() if name != "work")
    print(f"{row['work']:30s} " + "  ".join(cells), flush=True)


def known(out: Path | None, asked: dict[str, Any]) -> set[str]:
    """Return the workloads that the file has rows of, made with the same options."""
    rows = rows_of(out) if out is not None and out.exists() else []
    return {row["work"] for row in rows if row.get("asked") == asked and "failed" not in row}


def keep(out: Path | None, row: dict[str, Any]) -> None:
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def row_of(name: str, source: Source, peer: Peer, model: Any, tokenizer: Any, options: argparse.Namespace) -> Any:
    """Measure one workload; one that cannot be measured says why and costs the others nothing."""
    try:
        work = WORKS[name](source)
        with with_lora(model) if work.adapter else contextlib.nullcontext(model) as judged:
            its_peer = Peer(judged, tokenizer) if work.adapter else peer
            return measure(work, its_peer, Ours(judged, tokenizer), options, judged)
    except FileNotFoundError as missing:
        return {"work": name, "failed": f"no data at {missing.filename}"}
    except Exception as error:  # noqa: BLE001
        return {"work": name, "failed": f"{type(error).__name__}: {error}"}


def main(argv: list[str] | None = None) -> int:
    """Print the table; 0 if every workload ran, 1 if one did not."""
    options = options_of(argv)
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    model, tokenizer = load(options.model)
    peer = Peer(model, tokenizer)
    source = Source(options.data, peer.lm, options.documents, options.new_tokens)
    print(json.dumps(header(options)), flush=True)
    asked = {"documents": options.documents, "pairs": options.pairs, "new_tokens": options.new_tokens}
    done, failed = known(options.out, asked), 0
    for name in options.only or WORKS:
        if name in done:
            continue
        row = row_of(name, source, peer, model, tokenizer, options)
        failed += "failed" in row
        report(row, options.json)
        keep(options.out, row | {"asked": asked} | header(options))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
