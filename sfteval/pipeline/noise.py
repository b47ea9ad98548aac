"""How much a model's scores move when it is asked the same again: `sfteval noise`.

Comes in: a model, suites, a number of repetitions. Goes out: per metric the spread of its mean over repetitions, how
samples and clusters differ between two of them, and whether two of them are proven to differ as a whole; stored beside
the runs, where the plan's power warnings read how much differs, and gates which metrics are not steady. Greedy answers
are computed anew as well: that the same model twice gives no difference is measured.
"""

from __future__ import annotations

from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from sfteval.compare import Comparer
from sfteval.errors import Fault, InputError
from sfteval.gate import judge
from sfteval.pipeline.commands import load_given, metric_gates
from sfteval.pipeline.evaluate import Evaluation, silent
from sfteval.pipeline.models import Models
from sfteval.pipeline.planning import plan_files
from sfteval.records import VerdictKind
from sfteval.stats.clusters import group
from sfteval.store import RunStore, write_noise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

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
    differences = _differences(gates, runs)
    shifted = {found["gate"]: found["runs"] for found in differences if found["verdict"] == VerdictKind.FAIL}
    rows = [_row(gate, runs) | {"shifted": shifted.get(gate.node, [])} for gate in gates]
    write_noise(runs_dir, {f"{row['suite']}/{row['task']}/{row['check']}": row for row in rows})
    names = [run.manifest.run_id for run in runs]
    return {"runs": names, "metrics": rows, "differences": differences}


def unsteady(gate: Gate, noise: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return why a comparison on a gate's metrics proves nothing: one model, asked twice, was proven to differ in them.

    Args:
        gate: A comparative gate, single or a family.
        noise: What `sfteval noise` stored, by "suite/task/check".
    """
    for member in gate.members or (gate,):
        row = noise.get(f"{member.suite}/{member.task}/{member.check}", {})
        if row.get("shifted"):
            where = f"{member.suite}/{member.task}" if member.task else member.suite
            runs = f"two runs of the same model ({row.get('model', '?')}: {' and '.join(row['shifted'])}) differ in it"
            return (
                f"{member.check!r} of {where} is not steady: {runs}, so that a difference between two models proves "
                "nothing. Find out what shifts (a judge, the engine), then measure again with: sfteval noise"
            )
    return None


def _row(gate: Gate, runs: Sequence[Run]) -> dict[str, Any]:
    place = (gate.suite, gate.task)
    mine = [[s for s in run.samples if (s.suite, s.task) == place] for run in runs]
    scores = np.array([[s.scores.get(gate.check, np.nan) for s in samples] for samples in mine])
    known = ~np.isnan(scores).any(axis=0)
    scores, names = scores[:, known], [s.cluster for s, kept in zip(mine[0], known, strict=True) if kept]
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
        **_clustered(scores, names),
        "model": runs[0].manifest.model.reference,
        "measured": runs[-1].manifest.finished,
    }


def _clustered(scores: NDArray[np.float64], names: Sequence[str]) -> dict[str, Any]:
    """Return how the means of clusters differ between two runs: mean absolute and mean squared difference."""
    if not names:
        return {"clusters": 0, "mean_change": 0.0, "mean_square": 0.0}
    means = [group(run, names).means for run in scores]
    steps = np.array([a - b for a, b in combinations(means, 2)])
    return {
        "clusters": len(means[0]),
        "mean_change": float(np.abs(steps).mean()),
        "mean_square": float((steps**2).mean()),
    }


def _differences(gates: Sequence[Gate], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return what two runs of the same model are found to differ in: each FAIL of "no drop at all", Holm over all.

    Each pair is looked at both ways round, so that a rise is found as well.
    """
    comparers = [(a, b, Comparer(b, a)) for a, b in permutations(runs, 2)]
    compared = [(a, b, comparer.compare(gate)) for a, b, comparer in comparers for gate in gates]
    verdicts = judge([comparison for _, _, comparison in compared], gates_in_plan=len(compared))
    return [
        {
            "runs": [a.manifest.run_id, b.manifest.run_id],
            "gate": v.gate.node,
            "verdict": v.kind.value,
            "reasons": list(v.reasons),
        }
        for (a, b, _), v in zip(compared, verdicts, strict=True)
        if v.kind in (VerdictKind.FAIL, VerdictKind.NOT_COMPARABLE)
    ]
