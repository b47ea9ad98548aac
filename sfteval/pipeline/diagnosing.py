"""Verdicts that object get their causes: the joint where runs, checks' symptoms and training manifests meet `diagnose`.

Comes in: verdicts and the runs behind them. Goes out: the same verdicts, those that object with a diagnosis.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from sfteval.checks import symptoms_of
from sfteval.diagnose import diagnose
from sfteval.records import Case, Facts, Pair, VerdictKind
from sfteval.train.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sfteval.records import Gate, ModelIdentity, Role, Run, Sample, Symptoms, Verdict

GENERAL = "forgetting"
MOST_PAIRS = 600
"""Pairs that are looked at; of more, a seeded random draw."""
SHORTEST_RECITAL = 20
"""Characters of a training answer below which saying it again means nothing."""
_OBJECTS = (VerdictKind.FAIL, VerdictKind.INCONCLUSIVE)


def with_causes(verdicts: Sequence[Verdict], runs: Mapping[Role, Run]) -> tuple[Verdict, ...]:
    """Return the verdicts in order, those that object (also where it is accepted) with their causes."""
    candidate = runs.get("candidate")
    if candidate is None:
        return tuple(verdicts)
    maker = _Maker(candidate, runs, verdicts)
    return tuple(replace(v, diagnosis=diagnose(maker.case(v))) if _objects(v) else v for v in verdicts)


def _objects(verdict: Verdict) -> bool:
    return verdict.kind in _OBJECTS and (verdict.blocks or bool(verdict.accepted))


class _Maker:
    """Makes cases of one release; what several gates need is read once."""

    def __init__(self, candidate: Run, runs: Mapping[Role, Run], verdicts: Sequence[Verdict]) -> None:
        self._candidate = candidate
        self._runs = runs
        self._verdicts = verdicts
        self._training = read_manifest(candidate.manifest.model.training) or {}
        self._recited = frozenset(_training_answers(self._training))
        self._samples: dict[tuple[int, str, str], dict[tuple[str, int], Sample]] = {}
        self._seen: dict[int, Symptoms] = {}

    def case(self, verdict: Verdict) -> Case:
        """Return the case of one verdict."""
        gate = verdict.gate
        reference = self._reference(gate)
        members = gate.members or (gate,)
        drawn = _drawn([found for member in members for found in self._pairs(member, reference)])
        higher = verdict.comparison.higher_is_better
        pairs = tuple(self._pair(*found, higher=higher) for found in drawn)
        low, high = verdict.comparison.oriented
        generates = any(ours.finish_reason is not None for ours, _, _ in drawn)
        return Case(gate.demand, low, high, pairs, self._facts(gate, reference, generates=generates))

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

    def _pair(self, ours: Sample, theirs: Sample | None, check: str, *, higher: bool) -> Pair:
        step = 0.0 if theirs is None else ours.scores[check] - theirs.scores[check]
        seen = None if theirs is None else self._look(theirs)
        return Pair(ours.sample_id, step if higher else -step, self._look(ours), seen)

    def _look(self, sample: Sample) -> Symptoms:
        if id(sample) not in self._seen:
            self._seen[id(sample)] = symptoms_of(sample.output, sample.finish_reason, self._recited)
        return self._seen[id(sample)]

    def _facts(self, gate: Gate, reference: Run | None, *, generates: bool) -> Facts:
        ours = self._candidate.manifest.model
        theirs = reference.manifest.model if reference is not None else None
        suites = {member.suite for member in (gate.members or (gate,))}
        return Facts(
            generates=generates,
            general=all(self._skill(suite) == GENERAL for suite in suites),
            trained_template=str(self._training.get("data", {}).get("template_sha256", "")),
            used_template=ours.template,
            numerics=_numerics(ours, theirs, 0),
            stops=_numerics(ours, theirs, 1),
            adapter=bool(ours.adapter),
            same_model=theirs is not None and (ours.weights, ours.adapter) == (theirs.weights, theirs.adapter),
            drops=dict(self._drops(set() if gate.members else {(gate.suite, gate.task)})),
        )

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


def _drawn(found: list[Any]) -> list[Any]:
    return found if len(found) <= MOST_PAIRS else Random(0).sample(found, MOST_PAIRS)


def _training_answers(training: Mapping[str, Any]) -> Iterator[str]:
    """Yield the assistant's texts of the training files that are still there."""
    for entry in training.get("data", {}).get("files", []):
        path = Path(str(entry.get("path", "")))
        if path.suffix != ".jsonl" or not path.is_file():
            continue
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                yield from _answers_of(line)


def _answers_of(line: str) -> Iterator[str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return
    messages = row.get("messages", []) if isinstance(row, dict) else []
    for message in messages if isinstance(messages, list) else []:
        text = message.get("content") if isinstance(message, dict) and message.get("role") == "assistant" else None
        if isinstance(text, str) and len(text.strip()) >= SHORTEST_RECITAL:
            yield text.strip()
