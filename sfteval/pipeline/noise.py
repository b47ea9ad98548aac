"""How much a model's scores move when it is asked the same again: `sfteval noise`.

Comes in: a model, suites, a number of repetitions. Goes out: per metric the spread of its mean over repetitions and the
share of samples whose score differs between two of them; stored beside the runs, where the plan's power warnings read
the shares. Greedy answers are computed anew as well: that the same model twice gives no difference is measured.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from sfteval.compare import Comparer
from sfteval.errors import Fault, InputError
from sfteval.gate import judge
from sfteval.pipeline.commands import load_given, metric_gates
from sfteval.pipeline.evaluate import Evaluation, silent
from sfteval.pipeline.models import Models
from sfteval.pipeline.planning import plan_files
from sfteval.store import RunStore, read_noise, write_noise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.pipeline.evaluate import Watch
    from sfteval.records import Gate, Run

FEWEST = 2


def measure_noise(
    reference: str, suites: Sequence[Path], runs_dir: Path, repetitions: int, watch: Watch = silent
) -> dict[str, Any]:
    """Ask one model the same several times and store how much its scores move.

    Args:
        reference: Model reference.
        suites: Suite files or folders.
        runs_dir: Folder of the run store.
        repetitions: Runs to make, at least 2.
        watch: Is told how far the work is.

    Returns:
        `runs`, `metrics` (one row each) and `differences` (verdicts other than "no difference" between any two runs).

    Raises:
        InputError: fewer than 2 repetitions, or mistakes in the suites.
    """
    if repetitions < FEWEST:
        raise InputError(Fault("-k", str(repetitions), f"at least {FEWEST} repetitions"))
    planned, store = plan_files(load_given(suites)), RunStore(runs_dir)
    with Models(reference, None, store) as models:
        backend = models.find("candidate")
        if isinstance(backend, str):
            raise InputError(Fault(reference, "a stored run", "a model to ask"))
        runs = [
            Evaluation(planned, backend, store, watch, models.others(), again=k).run(label=f"{k} of {repetitions}").run
            for k in range(1, repetitions + 1)
        ]
    gates = metric_gates(runs[0], runs[0], margin=0.0)
    rows = [_row(gate, runs) for gate in gates]
    write_noise(runs_dir, {f"{row['suite']}/{row['task']}/{row['check']}": row for row in rows})
    names = [run.manifest.run_id for run in runs]
    return {"runs": names, "metrics": rows, "differences": _differences(gates, runs)}


def discordances(runs_dir: Path) -> dict[str, float]:
    """Return the measured share of differing samples by "suite/task/check"; empty where nothing was measured."""
    return {place: float(row["discordance"]) for place, row in read_noise(runs_dir).items()}


def _row(gate: Gate, runs: Sequence[Run]) -> dict[str, Any]:
    place = (gate.suite, gate.task)
    mine = [[s.scores.get(gate.check, np.nan) for s in run.samples if (s.suite, s.task) == place] for run in runs]
    scores = np.array(mine)
    scores = scores[:, ~np.isnan(scores).any(axis=0)]
    n = scores.shape[1]
    means = scores.mean(axis=1) if n else np.array([np.nan] * len(runs))
    within = float(scores.var(axis=0, ddof=1).mean()) if n else 0.0
    pairs = [float(np.mean(a != b)) for a, b in combinations(scores, 2)] if n else [0.0]
    return {
        "suite": gate.suite,
        "task": gate.task,
        "check": gate.check,
        "n": n,
        "repetitions": len(runs),
        "mean": float(means.mean()),
        "sd_of_mean": float(means.std(ddof=1)),
        "within_variance": within,
        "discordance": float(np.mean(pairs)),
    }


def _differences(gates: Sequence[Gate], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return what two runs of the same model are found to differ in: each FAIL of "no drop at all", Holm over all."""
    pairs = list(combinations(runs, 2))
    compared = [(a, b, Comparer(b, a).compare(gate)) for a, b in pairs for gate in gates]
    verdicts = judge([comparison for _, _, comparison in compared], gates_in_plan=len(compared))
    return [
        {"runs": [a.manifest.run_id, b.manifest.run_id], "gate": v.gate.node, "reasons": list(v.reasons)}
        for (a, b, _), v in zip(compared, verdicts, strict=True)
        if v.kind in ("FAIL", "NOT_COMPARABLE")
    ]
