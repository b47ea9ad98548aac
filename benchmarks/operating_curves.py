"""Operating curves: how often the shipped suite set blocks an unchanged model, and how often it finds a drop.

    python benchmarks/operating_curves.py [--quick] [--releases 2000] [--only unchanged,drops,coverage,real] [--json]

1. Releases of the shipped set's shape (its gates, samples and families) are simulated and judged by the product's own
   `compare` statistics and `gate.judge`; rates come with their 95 % interval (Clopper and Pearson).
2. Coverage of every interval at n = 10, 30, 100, 1000 and p = 0.02 to 0.98: paired binary and single proportions by
   enumeration of the tables, other bounded scores and families by simulation.
3. Real paired data (SmolLM2 on five benchmarks under two prompts; see paired_scores.py), resampled: unchanged (which of
   the two prompts is "candidate" is drawn per document) and as measured.
Beside the verdicts: the rules that people use today, on the same data.
"""

from __future__ import annotations

import argparse
import json
import sys
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from paired_scores import load
from scipy.stats import beta, binom

from sfteval import stats
from sfteval.compare.figures import POWER
from sfteval.gate import judge
from sfteval.pipeline.planning import load_files
from sfteval.records import Comparison, Gate, Suite
from sfteval.stats.binary import PairedBinaryTest

ROOT = Path(__file__).resolve().parent.parent
NOMINAL, DISCORDANT = 0.95, 0.08
RULES = ("candidate mean lower", "drop above 1 point", "two unpaired standard errors")
PARTS = ("unchanged", "drops", "coverage", "real")
RATES = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)


@dataclass(frozen=True)
class Shape:
    """The gates of a suite set and how many samples each judges."""

    gates: tuple[Gate, ...]
    sizes: dict[str, int]

    @property
    def comparative(self) -> list[Gate]:
        """Single no-regression gates."""
        return [gate for gate in self.gates if gate.demand == "no_regression" and not gate.members]

    @property
    def families(self) -> list[Gate]:
        """Family gates."""
        return [gate for gate in self.gates if gate.members]


def shipped() -> Shape:
    """Return the shape of `suites/`."""
    files = load_files([ROOT / "suites"], ROOT)
    sizes = {}
    for file in files:
        if isinstance(file.suite, Suite):
            limit = file.suite.lm_eval.limit if file.suite.lm_eval else len(file.suite.samples or ())
            sizes[file.suite.suite] = limit or 1000
    return Shape(tuple(gate for file in files for gate in file.gates), sizes)


def pairs(rng: np.random.Generator, n: int, change: float, discordant: float) -> tuple[np.ndarray, np.ndarray]:
    """Return binary scores (candidate, reference) with a true change and share of discordant pairs."""
    discordant = max(discordant, abs(change))
    kind = rng.random(n)
    gains, losses = (discordant + change) / 2, (discordant - change) / 2
    same = (rng.random(n) < 0.6).astype(float)
    candidate = np.where(kind < gains, 1.0, np.where(kind < gains + losses, 0.0, same))
    reference = np.where(kind < gains, 0.0, np.where(kind < gains + losses, 1.0, same))
    return candidate, reference


def judged(shape: Shape, scores: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, bool]:
    """Return whether the release has a FAIL, an open family, and what today's rules would say."""
    plan = len(shape.comparative) + len(shape.families)
    found = [compared(gate, *scores[gate.node]) for gate in shape.comparative]
    found += [pooled(gate, scores) for gate in shape.families]
    verdicts = judge(found, gates_in_plan=plan)
    return {
        "fail": any(v.kind == "FAIL" for v in verdicts),
        "open": any(v.kind == "INCONCLUSIVE" and v.blocks for v in verdicts),
        "blocked": any(v.blocks for v in verdicts),
        **{rule: any(todays(rule, *scores[gate.node]) for gate in shape.comparative) for rule in RULES},
    }


def compared(gate: Gate, candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    """Compare one gate as `sfteval.compare` does."""
    low, high, p_value = answers(table(candidate, reference), gate.alpha, gate.threshold)
    return Comparison(gate, len(candidate), low=low, high=high, p_value=p_value)


def table(candidate: np.ndarray, reference: np.ndarray) -> tuple[int, int, int]:
    """Return pairs, gains and losses: all that the paired binary answers depend on."""
    return len(candidate), int(np.sum(candidate > reference)), int(np.sum(candidate < reference))


@cache
def answers(table: tuple[int, int, int], alpha: float, margin: float) -> tuple[float, float, float]:
    """Return both bounds and the p-value of a drop, by the product's own calls; simulations meet most tables often."""
    n, gains, losses = table
    candidate, reference = np.repeat([1.0, 0.0, 1.0], [gains, losses, n - gains - losses]), np.ones(n)
    reference[:gains] = 0.0
    paired = stats.Paired(candidate, reference)
    estimate = paired.difference(alpha)
    return estimate.low, estimate.high, paired.drop_pvalue(margin)


def pooled(gate: Gate, scores: dict[str, tuple[np.ndarray, np.ndarray]]) -> Comparison:
    """Compare one family as `sfteval.compare` does."""
    named = [(scores[member.node], (member.suite, member.task)) for member in gate.members]
    strata = [stats.Stratum(*sides, np.arange(len(sides[0])), place) for sides, place in named]
    family = stats.Family(strata)
    estimate = family.difference(gate.alpha)
    p_value = family.drop_pvalue(gate.threshold)
    return Comparison(gate, estimate.n, low=estimate.low, high=estimate.high, p_value=p_value)


def todays(rule: str, candidate: np.ndarray, reference: np.ndarray) -> bool:
    """Return whether a rule of today says "regression"."""
    drop = float(reference.mean() - candidate.mean())
    if rule == RULES[0]:
        return drop > 0
    if rule == RULES[1]:
        return drop > 0.01
    errors = [float(side.std(ddof=1)) / sqrt(len(side)) for side in (candidate, reference)]
    return drop > 2 * sqrt(errors[0] ** 2 + errors[1] ** 2)


def rate(events: list[bool]) -> dict[str, float]:
    """Return a rate with its 95 % interval."""
    k, n = sum(events), len(events)
    low = 0.0 if k == 0 else float(beta.ppf(0.025, k, n - k + 1))
    return {"rate": k / n, "low": low, "high": 1.0 if k == n else float(beta.ppf(0.975, k + 1, n - k))}


def releases(
    shape: Shape, count: int, seed: int, changes: dict[str, float], *, alike: bool = False
) -> dict[str, dict[str, float]]:
    """Simulate releases with a true change per gate (0 where none is given).

    The checks of a suite know nothing of each other, or (`alike`) all say the same of an answer.
    """
    rng = np.random.default_rng(seed)
    outcomes = []
    for _ in range(count):
        scores = {
            gate.node: pairs(rng, shape.sizes[gate.suite], changes.get(gate.node, 0.0), DISCORDANT)
            for gate in shape.comparative
        }
        if alike:
            first = {(gate.suite, gate.task): gate.node for gate in reversed(shape.comparative)}
            scores = {gate.node: scores[first[gate.suite, gate.task]] for gate in shape.comparative}
        outcomes.append(judged(shape, scores))
    return {name: rate([outcome[name] for outcome in outcomes]) for name in outcomes[0]}


def unchanged(shape: Shape, count: int) -> list[dict[str, Any]]:
    """Return how often the shipped set blocks a model that did not change."""
    rows = [{"what": "unchanged model", "drop": 0.0, **releases(shape, count, 1, {})}]
    rows.append(
        {"what": "unchanged, checks of a suite alike", "drop": 0.0, **releases(shape, count, 2, {}, alike=True)}
    )
    for row in rows:
        row["ok"] = row["blocked"]["rate"] <= 0.10 and max(row[k]["rate"] for k in ("fail", "open")) <= 0.05
    return rows


def dropped(shape: Shape, count: int) -> list[dict[str, Any]]:
    """Return how often the shipped set finds a drop in one gate of each suite, or spread over each family."""
    plan = len(shape.comparative) + len(shape.families)
    rows = []
    # Scores in units of their own (bits, perplexity) have margins that no pair of 0 and 1 reaches.
    one_per_suite = {gate.suite: gate for gate in shape.comparative if gate.threshold < 1}
    for number, gate in enumerate(one_per_suite.values()):
        drop = stats.smallest_detectable_drop(
            shape.sizes[gate.suite], discordance=DISCORDANT, alpha=0.05 / plan, power=POWER, margin=gate.threshold
        )
        found = releases(shape, count, 100 + number, {gate.node: -drop})
        rows.append({"what": f"detectable drop in {gate.suite}", "drop": drop, **found})
    for number, family in enumerate(shape.families):
        spread = {member.node: -family.threshold for member in family.members}
        found = releases(shape, count, 200 + number, spread)
        rows.append({"what": f"family {family.check}: margin lost everywhere", "drop": family.threshold, **found})
    for row in rows:
        row["ok"] = row["blocked"]["rate"] >= 0.90
    return rows


def paired_coverage(n: int, p: float) -> float:
    """Return the smaller coverage of both bounds of the paired binary difference, over all tables.

    For each number of gains the losses whose bound holds are those on one side of an edge, which is searched: n =
    1,000 has tens of thousands of likely tables.
    """
    discordant = 2 * p * (1 - p) * 0.6
    gains, losses = discordant * 0.4, discordant * 0.6
    return min(edge_coverage(n, gains, losses), edge_coverage(n, losses, gains))


def edge_coverage(n: int, gains: float, losses: float) -> float:
    """Return the share of tables whose upper bound of gains - losses is not below it."""
    covered = total = 0.0
    for g in likely(n, gains):
        rest, rate = n - g, losses / (1 - gains)

        def holds(count: int, g: int = g) -> bool:
            return PairedBinaryTest(n, g, count)._tail(gains - losses) > 1 - NOMINAL

        counts = likely(rest, rate)
        # The bound falls with each loss: it holds up to some number of them.
        edge = bisect_left(counts, True, key=lambda count: not holds(count)) if counts else 0
        mass = binom.pmf(g, n, gains)
        total += mass * float(binom.pmf(counts, rest, rate).sum())
        covered += mass * float(binom.pmf(counts[:edge], rest, rate).sum())
    return covered / total


def likely(n: int, rate: float) -> list[int]:
    """Return the counts of a binomial but for a millionth of its mass."""
    low, high = binom.interval(1 - 1e-6, n, rate)
    return list(range(int(low), int(high) + 1))


def single_coverage(n: int, p: float) -> float:
    """Return the smaller coverage of both bounds of one proportion, over all counts."""
    low = high = 0.0
    for k in range(n + 1):
        mass = float(binom.pmf(k, n, p))
        if mass > 1e-9:
            found = stats.mean_bounds(np.repeat([1.0, 0.0], [k, n - k]))
            low += mass * (found.low <= p)
            high += mass * (found.high >= p)
    return min(low, high)


def bounded_coverage(n: int, p: float, repeats: int, seed: int) -> dict[str, float]:
    """Return the coverage of both bounds of a difference of scores in [0, 1], at least and with its interval."""
    rng = np.random.default_rng(seed)
    lows, highs = [], []
    for _ in range(repeats):
        reference = rng.beta(2 * p, 2 * (1 - p), n)
        candidate = np.where(rng.random(n) < 0.3, rng.beta(2 * p, 2 * (1 - p), n), reference)
        found = stats.paired_difference(candidate, reference)
        lows.append(found.low <= 0)
        highs.append(found.high >= 0)
    return min((rate(lows), rate(highs)), key=lambda found: found["rate"])


def coverage(repeats: int, *, quick: bool) -> list[dict[str, Any]]:
    """Return the coverage of every interval."""
    rows = []
    for n in (10, 30, 100) if quick else (10, 30, 100, 1000):
        rates = RATES[::3] if quick else RATES
        for p in rates:
            exact = {"paired binary": paired_coverage(n, p), "proportion": single_coverage(n, p)}
            rows += [{"interval": k, "n": n, "p": p, "coverage": v, "high": v} for k, v in exact.items()]
            found = bounded_coverage(n, p, repeats, n)
            rows.append({"interval": "bounded", "n": n, "p": p, "coverage": found["rate"], "high": found["high"]})
    for row in rows:
        row["ok"] = row["high"] >= NOMINAL - 0.005
    return rows


def real(count: int, n: int = 200) -> list[dict[str, Any]]:
    """Judge resampled real pairs, one gate per benchmark with margin 0.03, and count false and true alarms."""
    rows = []
    rng = np.random.default_rng(5)
    for name, styles in load().items():
        if {"plain", "terse"} - set(styles):
            continue
        first, second = (np.array(styles[style]["acc"]) for style in ("plain", "terse"))
        truth = float((second - first).mean())
        outcomes: dict[str, list[bool]] = {}
        for _ in range(count):
            at = rng.integers(len(first), size=n)
            swap = rng.random(n) < 0.5
            a, b = first[at], second[at]
            null = np.where(swap, a, b), np.where(swap, b, a)
            low, high, p_value = answers(table(b, a), 0.05, 0.0)
            seen = {
                "false FAIL": answers(table(*null), 0.05, 0.0)[2] <= 0.05,
                "covered low": low <= truth,
                "covered high": high >= truth,
                "found": p_value <= 0.05,
                **{f"false: {rule}": todays(rule, *null) for rule in RULES},
                **{f"found: {rule}": todays(rule, b, a) for rule in RULES},
            }
            for key, value in seen.items():
                outcomes.setdefault(key, []).append(bool(value))
        row = {"benchmark": name, "documents": len(first), "n": n, "change": truth}
        rows.append(row | {key: rate(values) for key, values in outcomes.items()})
        covered = min(rows[-1]["covered low"]["high"], rows[-1]["covered high"]["high"])
        rows[-1]["ok"] = rows[-1]["false FAIL"]["low"] <= 0.05 and covered >= NOMINAL - 0.005
    return rows


def percent(found: dict[str, float]) -> str:
    """Return a rate with its interval as text."""
    return f"{100 * found['rate']:5.1f} [{100 * found['low']:4.1f}, {100 * found['high']:5.1f}]"


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    if found["curves"]:
        print(f"shipped set: {found['gates']} comparative gates, {found['discordant']:.0%} discordant; % of releases")
        print(f"{'':<44}{'blocked':>20}{'FAIL':>20}{'open family':>20}   today: " + ", ".join(RULES))
    for row in found["curves"]:
        today = "  ".join(f"{100 * row[rule]['rate']:5.1f}" for rule in RULES)
        what = f"{row['what']} (-{100 * row['drop']:.1f})" if row["drop"] else row["what"]
        cells = "".join(f"{percent(row[k]):>20}" for k in ("blocked", "fail", "open"))
        print(f"{what:<44}{cells}   {today}{'' if row['ok'] else '   MISSED'}")
    if found["coverage"]:
        print("\ncoverage of one-sided 95 % bounds, smallest over p (paired binary and proportion: by enumeration)")
    for kind, n in sorted({(row["interval"], row["n"]) for row in found["coverage"]}):
        mine = [row for row in found["coverage"] if (row["interval"], row["n"]) == (kind, n)]
        worst = min(mine, key=lambda row: row["coverage"])
        missed = "" if all(row["ok"] for row in mine) else "   MISSED"
        print(f"{kind:<14} n = {n:<5} {100 * worst['coverage']:.2f} % at p = {worst['p']}{missed}")
    if found["real"]:
        print("\nreal pairs, n = 200 resampled: false alarms on unchanged | share that finds the measured change")
    for row in found["real"]:
        false = "  ".join(f"{100 * row[f'false: {rule}']['rate']:5.1f}" for rule in RULES)
        true = "  ".join(f"{100 * row[f'found: {rule}']['rate']:5.1f}" for rule in RULES)
        print(
            f"{row['benchmark']:<15} change {100 * row['change']:+5.1f}: sfteval {percent(row['false FAIL'])}, today "
            f"{false} | sfteval {percent(row['found'])}, today {true}{'' if row['ok'] else '   MISSED'}"
        )


def main() -> int:
    """Simulate, print, and fail where a level is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--releases", type=int, help="unchanged releases; rows with a drop get a tenth, at least 200")
    parser.add_argument("--only", default=",".join(PARTS), help="which of the parts, with commas between")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts, count = options.only.split(","), options.releases or (200 if options.quick else 2000)
    if not {*parts} <= {*PARTS}:
        parser.error(f"found --only {options.only}; expected some of {','.join(PARTS)}")
    shape = shipped()
    curves = unchanged(shape, count) if "unchanged" in parts else []
    curves += dropped(shape, max(200, count // 10)) if "drops" in parts else []
    found: dict[str, Any] = {
        "gates": len(shape.comparative) + len(shape.families),
        "discordant": DISCORDANT,
        "curves": curves,
        "coverage": coverage(300 if options.quick else 1500, quick=options.quick) if "coverage" in parts else [],
        "real": [],
    }
    try:
        found["real"] = real(count) if "real" in parts else []
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
    if options.json:
        print(json.dumps(found))
    else:
        show(found)
    return 0 if all(row["ok"] for part in ("curves", "coverage", "real") for row in found[part]) else 1


if __name__ == "__main__":
    sys.exit(main())
