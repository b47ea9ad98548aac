"""One look: the live model's answers to some items, against base's, as figures.

Comes in: questions, a backend, base's run. Goes out: samples, `GateLook`s, and at the end verdicts on the held-out
samples. Statistics are `compare`'s and `gate`'s: what stops a training is what would stop its release.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from sfteval.compare import DRAWS, compare
from sfteval.errors import TrainingError
from sfteval.gate import judge
from sfteval.keys import model_fingerprint
from sfteval.pipeline.evaluate import ROUNDS
from sfteval.pipeline.follow_ups import FollowUps
from sfteval.records import GateLook, Run, VerdictKind, finite
from sfteval.requests import requests_for

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sfteval.pipeline.planning import Planned
    from sfteval.pipeline.watching.progress import Progress
    from sfteval.pipeline.watching.questions import Questions
    from sfteval.protocols import Backend
    from sfteval.records import Comparison, Gate, Look, Response, Sample, Verdict
    from sfteval.records.training import State
    from sfteval.train.hook_config import Hooks

# Seconds of training below which nobody minds what the looks took.
NOTICEABLE = 60.0


def answers(planned: Planned, backend: Backend) -> list[Sample]:
    """Return the graded samples of a plan's items; nothing is stored, and nobody but the model is asked."""
    return [sample for suite in planned.suite_names for sample in _of_suite(planned, suite, backend)]


def _of_suite(planned: Planned, suite: str, backend: Backend) -> list[Sample]:
    grader, items = planned.graders[suite], planned.items(suite)
    fingerprint = model_fingerprint(backend.identity)
    asked = [tuple(grader.watched(one) for one in requests_for(item, backend.text, fingerprint)) for item in items]
    got: dict[str, Response] = {}
    wanted = {request.key: request for many in asked for one in many for request in one.requests}
    backend.respond(list(wanted.values()), lambda batch: got.update((each.key, each) for each in batch))
    more = FollowUps(items, asked, grader, None)
    for _ in range(ROUNDS):
        for _, requests in more.wanted(got, backend):
            backend.respond(requests, lambda batch: got.update((each.key, each) for each in batch))
    return grader.together(more.samples(got))


def live_run(base: Run, planned: Planned, samples: Sequence[Sample], step: int) -> Run:
    """Return samples of the live model in the form that `compare` takes."""
    manifest = replace(base.manifest, run_id=f"step-{step}", metrics=planned.metrics)
    return Run(manifest, tuple(samples), base.path)


def undrawn(run: Run) -> Run:
    """Return base's run without the draws of sequential suites: looks are made on samples of their own choice."""
    extra = {name: value for name, value in run.manifest.extra.items() if name != DRAWS}
    return replace(run, manifest=replace(run.manifest, extra=extra))


def part(run: Run, keys: Collection[str]) -> Run:
    """Return a run with some of its samples."""
    return replace(run, samples=tuple(sample for sample in run.samples if sample.key in keys))


def gate_looks(asked: Questions, now: Run, base: Run, level: float) -> tuple[GateLook, ...]:
    """Return every budget and target as it stands, budgets tested at `level` each.

    Raises:
        TrainingError: A gate that cannot be compared (errored samples, zero samples, a score that is no number).
    """
    found = []
    for gate in (*asked.budgets, *asked.targets):
        comparison = compare(replace(gate, alpha=level), now, base, gates_in_plan=1)
        if comparison.not_comparable is not None:
            where = now.manifest.run_id
            raise TrainingError(f"{where}: {gate.node} cannot be compared with base: {comparison.not_comparable}")
        found.append(_gate_look(gate, comparison))
    return tuple(found)


def _gate_look(gate: Gate, comparison: Comparison) -> GateLook:
    low, high = comparison.oriented
    assert comparison.difference is not None
    difference = comparison.difference if comparison.higher_is_better else -comparison.difference
    (verdict,) = judge([comparison], gates_in_plan=1)
    return GateLook(
        gate=gate.node,
        demand=gate.demand,
        threshold=gate.threshold,
        n=comparison.n,
        base=comparison.reference or 0.0,
        now=comparison.candidate or 0.0,
        difference=difference,
        low=low,
        high=high,
        state=_state(gate, verdict.kind, difference),
    )


def _state(gate: Gate, kind: VerdictKind, difference: float) -> State:
    if gate.demand == "improves":
        return "better" if kind is VerdictKind.PASS else "open"
    if kind is VerdictKind.FAIL:
        return "broken"
    return "inside" if difference >= -gate.threshold else "over"


def held_out_verdicts(asked: Questions, now: Run, base: Run) -> tuple[Verdict, ...]:
    """Return what the samples that chose nothing say of the kept checkpoint: one look, Holm over the gates."""
    gates = (*asked.budgets, *asked.targets)
    comparisons = [compare(gate, now, base, gates_in_plan=len(gates)) for gate in gates]
    return judge(comparisons, gates_in_plan=len(gates))


def at_their_best(asked: Questions, found: Sequence[GateLook]) -> list[str]:
    """Return what base already scores so well that the target cannot be reached; `found` are base's own figures."""
    said = []
    for gate, look in zip(asked.targets, found[len(asked.budgets) :], strict=True):
        info = asked.planned.metrics.get(f"{gate.suite}/{gate.task}/{gate.check}")
        most = None if info is None else info.upper if info.higher_is_better else info.lower
        if most is not None and (abs(most - look.base) == 0 or abs(most - look.base) < gate.threshold):
            asks = f"a gain of {gate.threshold:.3g} cannot be" if gate.threshold else "nothing is left to gain"
            said.append(f"{gate.node}: base scores {look.base:.3g} of at most {most:.3g} already: {asks}")
    return said


def closing_warnings(hooks: Hooks, progress: Progress, kept: int | None, verdicts: Sequence[Verdict]) -> list[str]:
    """Return what a person must know of a watched training that is over."""
    said = []
    if hooks.every is None and progress.share > 2 * hooks.share and progress.training_seconds > NOTICEABLE:
        took = f"looks took {progress.share:.0%} of the time, more than hooks.share ({hooks.share:.0%})"
        said.append(f"{took}; lower hooks.samples")
    if kept is None:
        said.append(
            "no checkpoint is inside every forgetting budget: these are the weights of the last step, unfit to ship"
        )
        return said
    return said + [
        f"the checkpoint of step {kept}, inside its budgets on the samples that chose it, is outside on the held-out "
        f"ones: {verdict.gate.node}: {verdict.reasons[0]}"
        for verdict in verdicts
        if verdict.kind in (VerdictKind.FAIL, VerdictKind.NOT_COMPARABLE) and verdict.gate.demand == "no_regression"
    ]


def look_fields(look: Look) -> dict[str, Any]:
    """Return a look as plain data that JSON can hold: an infinite bound is None."""
    return asdict(look) | {
        "target": finite(look.target),
        "gates": [{k: finite(v) if isinstance(v, float) else v for k, v in asdict(g).items()} for g in look.gates],
    }


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """Return a held-out verdict as plain data."""
    figures = verdict.comparison
    low, high = figures.oriented
    return {
        "gate": verdict.gate.node,
        "verdict": verdict.kind.value,
        "n": figures.n,
        "base": figures.reference,
        "now": figures.candidate,
        "low": finite(low),
        "high": finite(high),
        "reasons": list(verdict.reasons),
    }
