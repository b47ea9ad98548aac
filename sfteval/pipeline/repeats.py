"""What only all repeats of a prompt say: pass@k and pass^k, put on the sample of the first repeat.

Comes in: a suite's samples, judged one by one. Goes out: the same samples, of which the first of each prompt has the
scores of the checks that span repeats and the others lack them, so that such a score counts once a prompt.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from sfteval.checks import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sfteval.records import Sample

    JudgeRepeats = Callable[[Sequence[Mapping[str, Outcome]]], Mapping[str, Outcome]]


def with_spanning(samples: Sequence[Sample], judge: JudgeRepeats) -> list[Sample]:
    """Return the samples with what their prompts' repeats say together; one that lacks a repeat's score has none.

    Args:
        samples: All samples of one suite.
        judge: From the outcomes of each repeat to those of the checks that span them.
    """
    prompts: dict[str, list[Sample]] = {}
    for sample in samples:
        prompts.setdefault(sample.sample_id, []).append(sample)
    return [sample for repeats in prompts.values() for sample in _judged(repeats, judge)]


def _judged(repeats: list[Sample], judge: JudgeRepeats) -> list[Sample]:
    found = judge([_outcomes(sample) for sample in repeats])
    if not found:
        return repeats
    first, *others = [_without(sample, found) for sample in repeats]
    scores = {name: each.score for name, each in found.items() if each.score is not None}
    said = {name: each.evidence for name, each in found.items() if each.evidence}
    return [replace(first, scores={**first.scores, **scores}, evidence={**first.evidence, **said}), *others]


def _outcomes(sample: Sample) -> Mapping[str, Outcome]:
    """Return a sample's scores as outcomes; a check without one has none here either."""
    known = {name: Outcome(score, sample.evidence.get(name, "")) for name, score in sample.scores.items()}
    return defaultdict(lambda: Outcome(None, unknowable=True), known)


def _without(sample: Sample, names: Collection[str]) -> Sample:
    scores = {name: score for name, score in sample.scores.items() if name not in names}
    evidence = {name: text for name, text in sample.evidence.items() if name not in names}
    return replace(sample, scores=scores, evidence=evidence)
