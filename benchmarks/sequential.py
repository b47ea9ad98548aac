"""Sequential suites: how many samples they need, and how often they disagree with the whole suite.

    python benchmarks/sequential.py [--quick] [--json]

Simulated releases: a suite of 1,000 samples, 12 % discordant pairs, margin 2 points, true changes from -10 to +5.
Each release is drawn in the product's blocks and judged by the product's own evidence after every block; the verdict
of the whole suite is known when all is answered. Beside it: what the median stop has to be, and a plain mixture of
constant stakes as the issue measured it. Then real paired data (SmolLM2 under two prompts; see paired_scores.py): what
is saved, and what base's stored log-likelihood margins add where discordant pairs can be foreseen.
"""

from __future__ import annotations

import argparse
import json
import sys
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from paired_scores import load

from sfteval.stats.finite import SETTLED, Bets

SIZE, DISCORDANT, MARGIN, BLOCK = 1000, 0.12, 0.02, 5
AIMS = {-0.10: (15, 16), -0.06: (42, 45), 0.0: (78, 84), 0.02: (44, 47), 0.05: (18, 19), -0.02: (None, None)}


def stop(differences: np.ndarray, margin: float, block: int) -> tuple[float, bool]:
    """Return the share answered when "drop larger than margin?" is settled, and whether the answer was right."""
    size = len(differences)
    excluded = Bets(np.array([-margin]), size, -1.0, 1.0)
    certain = Bets(np.array([margin]), size, -1.0, 1.0)
    dropped = float(differences.mean()) < -margin - 1e-12
    for start in range(0, size - block, block):
        part = differences[start : start + block]
        excluded.place(part)
        certain.place(-part)
        if max(excluded.best[0], certain.best[0]) >= log(1 / SETTLED):
            return (start + block) / size, bool(excluded.best[0] >= certain.best[0]) != dropped
    return 1.0, True


def simulated(releases: int) -> list[dict[str, Any]]:
    """Judge simulated releases at each true change."""
    rows = []
    for number, (change, (aim, plain)) in enumerate(AIMS.items()):
        rng = np.random.default_rng([7, number])
        shares, right = [], []
        for _ in range(releases):
            rates = [(DISCORDANT + change) / 2, (DISCORDANT - change) / 2, 1 - DISCORDANT]
            share, agrees = stop(rng.choice([1.0, -1.0, 0.0], p=rates, size=SIZE), MARGIN, BLOCK)
            shares.append(share)
            right.append(agrees)
        wrong = releases - sum(right)
        median = 100 * float(np.median(shares))
        rows.append(
            {
                "change_points": 100 * change,
                "releases": releases,
                "median_percent": median,
                "mean_percent": 100 * float(np.mean(shares)),
                "aim_percent": aim,
                "plain_mixture_percent": plain,
                "disagree": wrong / releases,
                "disagree_high": upper(wrong, releases),
                "ok": (aim is None or median <= aim) and wrong / releases <= 0.01,
            }
        )
    return rows


def upper(events: int, trials: int) -> float:
    """Return the upper 95 % bound of a rate (Clopper and Pearson)."""
    from scipy.stats import beta

    return 1.0 if events == trials else float(beta.ppf(0.95, events + 1, trials - events))


def real(draws: int) -> list[dict[str, Any]]:
    """Stop on real paired data in random order, and in an order that prefers what base was unsure of."""
    rows = []
    for number, (name, styles) in enumerate(load().items()):
        if {"plain", "terse"} - set(styles):
            continue
        base, candidate = (np.array(styles[style]["acc"]) for style in ("plain", "terse"))
        margins = np.abs(np.array(styles["plain"]["margin"]))
        rng = np.random.default_rng([11, number])
        differences = candidate - base
        found = [stop(rng.permutation(differences), MARGIN, max(1, len(base) // 200)) for _ in range(draws)]
        weighted = [weighted_stop(differences, margins, rng) for _ in range(draws)]
        rows.append(
            {
                "benchmark": name,
                "n": len(base),
                "change_points": 100 * float(differences.mean()),
                "discordant": float(np.mean(differences != 0)),
                "median_percent": 100 * float(np.median([share for share, _ in found])),
                "disagree": 1 - float(np.mean([agrees for _, agrees in found])),
                "weighted_median_percent": 100 * float(np.median([share for share, _ in weighted])),
                "weighted_disagree": 1 - float(np.mean([agrees for _, agrees in weighted])),
            }
        )
    return rows


def weighted_stop(differences: np.ndarray, margins: np.ndarray, rng: np.random.Generator) -> tuple[float, bool]:
    """Sample what base was unsure of more often, still valid: each draw is judged by its importance-weighted total.

    A draw i from what is left has probability proportional to its weight w_i; (rest's weight) x / w_i then has the
    mean of what the rest adds up to, so the same bets hold (Waudby-Smith, Stark and Ramdas 2021, RiLACS), with x / w
    in place of x. Weights: 0.25 + the chance that a margin of this size flips, fitted to nothing but base's margins.
    """
    size = len(differences)
    weights = 0.25 + np.exp(-margins / np.median(margins))
    order = np.argsort(rng.exponential(size=size) / weights)  # successive sampling without replacement
    left_weight = float(weights.sum()) - np.concatenate([[0.0], np.cumsum(weights[order])[:-1]])
    seen = np.concatenate([[0.0], np.cumsum(differences[order])[:-1]])
    dropped = float(differences.mean()) < -MARGIN - 1e-12
    evidence = [0.0, 0.0]
    totals = np.zeros((2, len(ENDS)))
    for at in range(size):
        value, weight = differences[order[at]], weights[order[at]]
        spread = left_weight[at] / 0.25  # no estimate of the rest's total lies further out
        for side, sign in enumerate((1.0, -1.0)):
            rest = sign * (-MARGIN) * size - sign * seen[at]
            estimate = sign * value * left_weight[at] / weight
            gain = ENDS * sqrt(DISCORDANT * size)
            variance = left_weight[at] * float(size - at) * DISCORDANT / 1.0
            stakes = np.minimum(gain / (variance + gain**2), 0.9 / max(spread + rest, 1e-9))
            totals[side] += np.log1p(stakes * (estimate - rest)) if spread > -rest else 0.0
            evidence[side] = max(evidence[side], float(np.logaddexp.reduce(totals[side]) - log(len(ENDS))))
        if max(evidence) >= log(1 / SETTLED):
            return (at + 1) / size, (evidence[0] >= evidence[1]) != dropped
    return 1.0, True


ENDS = np.array([1.5, 3.0, 6.0, 9.0])


def main() -> int:
    """Simulate, print, and fail where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 releases instead of 2,000")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {"simulated": simulated(200 if options.quick else 2000), "real": []}
    try:
        found["real"] = real(100 if options.quick else 400)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
    if options.json:
        print(json.dumps(found))
    else:
        print("change  median %  aim  plain mixture  mean %  disagrees (upper 95 %)")
        for row in found["simulated"]:
            aim = "-" if row["aim_percent"] is None else row["aim_percent"]
            plain = "-" if row["plain_mixture_percent"] is None else row["plain_mixture_percent"]
            wrong = f"{100 * row['disagree']:.2f} % ({100 * row['disagree_high']:.2f} %)"
            print(
                f"{row['change_points']:+6.0f} {row['median_percent']:8.1f} {aim:>5} {plain:>10} "
                f"{row['mean_percent']:11.1f}   {wrong}{'' if row['ok'] else '   MISSED'}"
            )
        print(
            "\nreal pairs        n   change  discordant  median %  disagrees   by base's margins: median %  disagrees"
        )
        for row in found["real"]:
            print(
                f"{row['benchmark']:<15} {row['n']:>4} {row['change_points']:+7.1f} {100 * row['discordant']:>9.1f} %"
                f" {row['median_percent']:>9.1f} {100 * row['disagree']:>8.1f} %"
                f" {row['weighted_median_percent']:>27.1f} {100 * row['weighted_disagree']:>8.1f} %"
            )
    return 0 if all(row["ok"] for row in found["simulated"]) else 1


if __name__ == "__main__":
    sys.exit(main())
