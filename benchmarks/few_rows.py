"""What one decoding step of a few rows costs in a model's linear layers: as torch multiplies, and the other way round.

    python benchmarks/few_rows.py --model ~/.cache/sfteval/models/smollm2 [--rows 1 2 4 8 16 32 64] [--threads 2]

Runs every linear layer, head included, on random rows, five times in turn, and takes the best of each. The other way
round, the rows are filled up to the number that the engine fills a step up to.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from sfteval.engine.few_rows import liked, swapped


def milliseconds(layers: list[torch.nn.Linear], product: Callable[..., torch.Tensor], rows: int) -> float:
    """Return the time of all layers on `rows` rows."""
    inputs = {width: torch.randn(rows, width) for width in {layer.in_features for layer in layers}}
    start = time.perf_counter()
    for layer in layers:
        product(inputs[layer.in_features], layer.weight, layer.bias)
    return 1000 * (time.perf_counter() - start)


def main() -> int:
    """Print a row per number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="model directory or hub id")
    parser.add_argument("--rows", nargs="*", type=int, default=[1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one object per line")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(Path(options.model).expanduser(), dtype=torch.float32)
    layers = [layer for layer in model.modules() if type(layer) is torch.nn.Linear]
    for rows in options.rows:
        with torch.no_grad():
            both = [
                [milliseconds(layers, torch.nn.functional.linear, rows), milliseconds(layers, swapped, liked(rows))]
                for _ in range(5)
            ]
        usual, quick = (min(times) for times in zip(*both, strict=True))
        ratio = round(usual / quick, 2)
        found = {"rows": rows, "linear_ms": round(usual, 1), "swapped_ms": round(quick, 1), "ratio": ratio}
        print(
            json.dumps(found)
            if options.json
            else f"{rows:3d} rows {usual:7.1f} ms {quick:7.1f} ms  {usual / quick:.2f}x"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
