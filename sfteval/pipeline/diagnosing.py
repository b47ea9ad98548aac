"""Verdicts that object get their causes: the joint where runs, checks' symptoms and training manifests meet `diagnose`.

Comes in: verdicts and the runs behind them. Goes out: the same verdicts, those that object with a diagnosis.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any

from sfteval.checks import symptoms_of
from sfteval.diagnose import diagnose, incomparable
from sfteval.pipeline.origins import Origin
from sfteval.records import Case, Facts, Pair, VerdictKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sfteval.records import Cause, Gate, ModelIdentity, Role, Run, Sample, Symptoms, Verdict

GENERAL = "forgetting"
MOST_PAIRS = 600
"""Pairs that are looked at; of more, a seeded random draw."""
SHORTEST_RECITAL = 8
"""Words of an answer below which finding it among the training answers means nothing (as in the audit's n-grams)."""
_OBJECTS = (VerdictKind.FAIL, VerdictKind.INCONCLUSIVE)


def with_causes(verdicts: Sequence[Verdict], runs: Mapping[Role, Run]) -> tuple[Verdict, ...]:
    """Return the verdicts in order, those that object (also where it is accepted) with their causes."""
    candidate = runs.get("candidate")
    if candidate is None:
        return tuple(verdicts)
    maker = _Maker(candidate, runs, verdicts)
    return tuple(replace(verdict, diagnosis=_causes(maker, verdict)) for verdict in verdicts)


def _causes(maker: _Maker, verdict: Verdict) -> tuple[Cause, ...]:
    if verdict.kind in _OBJECTS and (verdict.blocks or verdict.accepted):
        return diagnose(maker.case(verdict))
    if verdict.kind is VerdictKind.NOT_COMPARABLE and maker.asked_differently(verdict.gate):
        return incomparable(maker.case(verdict))
    return ()


class _Maker:
    """Makes cases of one release; what several gates need is read once, and nothing before one objects."""

    def __init__(self, candidate: Run, runs: Mapping[Role, Run], verdicts: Sequence[Verdict]) -> None:
        self._candidate = candidate
        self._runs = runs
        self._verdicts = verdicts
        self._samples: dict[tuple[int, str, str], dict[tuple[str, int], Sample]] = {}
        self._seen: dict[int, Symptoms] = {}

    @cached_property
    def _origin(self) -> Origin:
        return Origin(self._candidate.manifest.model)

    @cached_property
    def _recited(self) -> frozenset[str]:
        """Long answers of any model here that stand among the candidate's training answers."""
        outputs = (s.output.strip() for run in self._runs.values() for s in run.samples if s.finish_reason is not None)
        return self._origin.recited({text for text in outputs if len(text.split()) >= SHORTEST_RECITAL})

    @cached_property
    def _like_base(self) -> tuple[int, int]:
        """Answers that are base's own, and of how many."""
        base = self._runs.get("base")
        theirs = {s.key: s.output for s in base.samples if s.finish_reason is not None} if base is not None else {}
        both = [s.output == theirs[s.key] for s in self._candidate.samples if s.key in theirs]
        return sum(both), len(both)

    def case(self, verdict: Verdict) -> Case:
        """Return the case of one verdict."""
        gate = verdict.gate
        reference = self._reference(gate)
        members = gate.members or (gate,)
        drawn = _drawn([found for member in members for found in self._pairs(member, reference)])
        higher = verdict.comparison.higher_is_better
        groups = {member.suite: member.group or member.suite for member in members}
        pairs = tuple(self._pair(*found, higher=higher, group=groups[found[0].suite]) for found in drawn)
        low, high = verdict.comparison.oriented
        generates = any(ours.finish_reason is not None for ours, _, _ in drawn)
        return Case(gate.demand, low, high, pairs, self._facts(gate, reference, generates=generates))

    def asked_differently(self, gate: Gate) -> bool:
        """Say whether the same messages were rendered to other token ids, under another chat template."""
        reference = self._reference(gate)
        if reference is None or reference.manifest.model.template == self._candidate.manifest.model.template:
            return False
        members = gate.members or (gate,)
        pairs = (found for member in members for found in self._pairs(member, reference))
        return any(theirs is not None and ours.prompt_key != theirs.prompt_key for ours, theirs, _ in pairs)

    def _reference(self, gate: Gate) -> Run | None:
        if gate.against is not None:
            return self._runs.get(gate.against)
        return self._runs.get("base") or self._runs.get("previous")

    def _of(self, run: Run, gate: Gate) -> dict[tuple[str, int], Sample]:
        place = (id(run), gate.suite, gate.task)
        if place not in self._samples:
            mine = [s for s in run.samples if s.suite == gate.suite and s.task == gate.task]
            self._samples[place] = {(s.sample_id, s.repeat): s for s in mine}
        return self._samples[place]

    def _pairs(self, gate: Gate, reference: Run | None) -> Iterator[tuple[Sample, Sample | None, str]]:
        theirs = self._of(reference, gate) if reference is not None else {}
        for place, ours in self._of(self._candidate, gate).items():
            inside = all(ours.tags.get(tag) == value for tag, value in gate.slice)
            if inside and gate.check in ours.scores:
                other = theirs.get(place)
                same = other is not None and other.key == ours.key and gate.check in other.scores
                yield ours, other if same else None, gate.check

    def _pair(self, ours: Sample, theirs: Sample | None, check: str, *, higher: bool, group: str) -> Pair:
        step = 0.0 if theirs is None else ours.scores[check] - theirs.scores[check]
        seen = None if theirs is None else self._look(theirs)
        failed = self._failed(ours, check)
        cluster = f"{group}/{ours.task}/{ours.cluster or ours.sample_id}"
        return Pair(ours.sample_id, step if higher else -step, self._look(ours), seen, failed, cluster)

    def _failed(self, ours: Sample, check: str) -> bool:
        info = self._candidate.manifest.metrics.get(f"{ours.suite}/{ours.task}/{check}")
        worst = None if info is None else info.lower if info.higher_is_better else info.upper
        return worst is not None and ours.scores[check] == worst

    def _look(self, sample: Sample) -> Symptoms:
        if id(sample) not in self._seen:
            recited = self._recited if sample.finish_reason is not None else ()
            self._seen[id(sample)] = symptoms_of(sample.output, sample.finish_reason, recited)
        return self._seen[id(sample)]

    def _facts(self, gate: Gate, reference: Run | None, *, generates: bool) -> Facts:
        ours = self._candidate.manifest.model
        theirs = reference.manifest.model if reference is not None else None
        members = gate.members or (gate,)
        origin, other = self._origin, Origin(theirs) if theirs is not None else None
        return Facts(
            generates=generates,
            general=all(self._skill(member.suite) == GENERAL for member in members),
            trained_template="" if other is not None and other.misfit else origin.template,
            used_template=ours.template,
            numerics=_numerics(ours, theirs, 0),
            stops=_numerics(ours, theirs, 1),
            trained_stops=origin.stops,
            adapter=bool(ours.adapter),
            like_base=self._like_base,
            same_weights=self._same_weights(),
            merged=origin.merge(theirs),
            overlap=_leaked(members, other) - _leaked(members, origin),
            held_out=origin.held_out,
            drops=dict(self._drops(set() if gate.members else {(gate.suite, gate.task)})),
        )

    def _same_weights(self) -> bool:
        base, ours = self._runs.get("base"), self._candidate.manifest.model
        theirs = base.manifest.model if base is not None else None
        return theirs is not None and (ours.weights, ours.adapter) == (theirs.weights, theirs.adapter)

    def _skill(self, suite: str) -> str:
        return str(self._candidate.manifest.extra.get("skills", {}).get(suite, ""))

    def _drops(self, besides: set[tuple[str, str]]) -> Iterator[tuple[str, float]]:
        """Yield general benchmarks beside the gate's own (all of them, for a family) whose drop is proven."""
        for verdict in self._verdicts:
            gate, comparison = verdict.gate, verdict.comparison
            other = not gate.members and (gate.suite, gate.task) not in besides and gate.against == "base"
            general = other and self._skill(gate.suite) == GENERAL
            if general and comparison.difference is not None and comparison.oriented[1] < 0:
                yield gate.task or gate.suite, comparison.difference


def _numerics(ours: ModelIdentity, theirs: ModelIdentity | None, part: int) -> tuple[str, str]:
    """Return one part of `dtype/engine/stops:ids` of both models: 0 all before the ids, 1 the ids."""
    parts = [model.numerics.partition("/stops:")[::2] if model is not None else ("", "") for model in (ours, theirs)]
    return parts[0][part], parts[1][part]


def _leaked(members: Sequence[Gate], origin: Origin | None) -> frozenset[str]:
    """Return the ids of the gates' samples that a training held."""
    return frozenset[str]().union(*(origin.leaked(m.suite, m.task) for m in members)) if origin else frozenset()


def _drawn(found: list[Any]) -> list[Any]:
    return found if len(found) <= MOST_PAIRS else Random(0).sample(found, MOST_PAIRS)
