"""The arithmetic limits of `benchmarks/engine.py`'s scoring rows, from tokens alone: no model is run.

    python benchmarks/engine_limits.py --model ~/.cache/sfteval/models/smollm2 --data ../shared/data

lm-eval at batch size 1 (no padding) forwards every distinct (context, continuation without its last token) whole, with
the vocabulary head at every position; the engine forwards every distinct (prefix, token) once, and the head where a
token of a continuation is read. `matrix_products` is the ratio of the linear layers' FLOPs, `with_attention` adds the
pairs of query and key that may see each other, as `benchmarks/engine.py` counts them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from engine_work import WORKS, Source, Work

from sfteval.backends import resolve
from sfteval.backends.tokenization import HubTokenization
from sfteval.engine import trie
from sfteval.records import Score

GENERATING = {"gsm8k_5shot", "ifeval_greedy", "decode_64_rows"}


class Encoding:
    """A tokenizer under the names that lm-eval gives its calls."""

    def __init__(self, text: HubTokenization) -> None:
        self.tok_encode, self._encode_pair = text.encode, text.encode_pair
        self.prefix_token_id = text.prefix_token


class Cost:
    """FLOPs of a Llama-like model per token, head row, and query-key pair."""

    def __init__(self, model: Path) -> None:
        config: dict[str, Any] = json.loads((model / "config.json").read_text(encoding="utf-8"))
        width, layers, heads = config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"]
        head = config.get("head_dim") or width // heads
        projections = 2 * heads * head + 2 * config["num_key_value_heads"] * head
        self.token = 2 * layers * width * (projections + 3 * config["intermediate_size"])
        self.head = 2 * width * config["vocab_size"]
        self.pair = 4 * layers * heads * head


def limits(work: Work, cost: Cost) -> dict[str, Any]:
    """Return one row."""
    asked = [request for document in work.documents for request in document if isinstance(request, Score)]
    sequences = [np.asarray((one.prefix + one.continuation)[:-1], dtype=np.int64) for one in asked]
    lengths = list({tokens.tobytes(): len(tokens) for tokens in sequences}.values())
    tree = trie.build(sequences)
    reads = [
        trie.nodes(path, len(tokens) - len(one.continuation), len(tokens))
        for one, path, tokens in zip(asked, tree.paths, sequences, strict=True)
    ]
    heads = len(np.unique(np.concatenate(reads)))
    ours, theirs = len(tree.tokens) * cost.token + heads * cost.head, sum(lengths) * (cost.token + cost.head)
    our_pairs, their_pairs = int((tree.depths + 1).sum()), sum(n * (n + 1) // 2 for n in lengths)
    times = 2 if work.adapter else 1
    attended = (ours + our_pairs * cost.pair) / (theirs + their_pairs * cost.pair)
    return {
        "work": work.name,
        "tokens_lm_eval": sum(lengths),
        "tokens_distinct": len(tree.tokens),
        "head_rows": heads,
        "matrix_products": round(ours / theirs / times, 4),
        "with_attention": round(attended / times, 4),
    }


def main(argv: list[str] | None = None) -> int:
    """Print one row per scoring workload."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args(argv)
    encoding, cost = Encoding(HubTokenization(resolve(str(options.model)), template=None)), Cost(options.model)
    for name, make in WORKS.items():
        if name not in GENERATING:
            print(json.dumps(limits(make(Source(options.data, encoding, None, None)), cost)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
