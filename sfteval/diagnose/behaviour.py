"""Causes that show in the answers: what those objected to show and the reference's to the same samples do not.

Comes in: a `Case`. Goes out: causes with the share of the objected samples that each explains. Every such sample gets
one label, by the first rule that fits, in an order in which a root stands before what follows from it (an answer that
loops also runs into the limit). A label becomes a cause only when it explains enough of them and its symptom is proven
to be more frequent than in the reference (McNemar, one-sided). What is a habit and no defect in itself, such as a code
fence, must also do harm: answers that show it are wrong, nearly all of them, or proven to be so more often than the
others (Fisher, one-sided).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sfteval import stats
from sfteval.records import Cause, FinishReason, Wrapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sfteval.records import Case, Facts, Pair, Symptoms

    Symptom = Callable[[Symptoms], bool]

SHARE = 0.4
"""A cause explains at least this share of the worsened samples."""
LEVEL = 0.01
"""Error rate at which one thing counts as more frequent than another: a symptom, harm, a drop, a leaked sample."""
STOPS = 0.5
"""A model whose rate of ended turns falls below this share of the reference's has lost its end of turn."""
HARMFUL = 0.9
"""Share of wrong answers among those that show a symptom from which it is harmful whatever the others are."""
USUAL = 0.5
"""Share of the reference's answers that make a language the usual one."""


def behavioural(case: Case) -> tuple[Cause, ...]:
    """Return what the answers objected to show, by weight."""
    objected = [pair for pair in case.objected if pair.reference is not None]
    if not objected or not case.facts.generates:
        return ()
    shown: dict[str, list[str]] = {}
    rules = _rules(case)
    for pair in objected:
        name = next((name for name, rule in rules.items() if _new(pair, rule.symptom)), "")
        shown.setdefault(name, []).append(pair.sample_id)
    what = "worsened" if case.demand == "no_regression" else "failing"
    found = []
    for name, samples in shown.items():
        count, of = len(samples), len(objected)
        if name and count >= SHARE * of and _supported(case, rules[name]):
            says = f"{count} of {of} {what} answers {rules[name].says}"
            found.append(Cause(name, says, count / of, tuple(samples[:20])))
    return tuple(sorted(found, key=lambda cause: -cause.weight))


def _supported(case: Case, rule: _Rule) -> bool:
    return _proven(case.pairs, rule.symptom) and (not rule.habit or _harmful(case, rule.symptom))


@dataclass(frozen=True, slots=True)
class _Rule:
    """What to look for and how to say it; a `habit` may do no harm, anything else is a defect in itself."""

    symptom: Symptom
    says: str
    habit: bool = False


def _rules(case: Case) -> dict[str, _Rule]:
    """Return the rules by name, roots first."""
    pairs = case.pairs
    rules = {
        "empty_answers": _Rule(lambda s: s.empty, "are empty"),
        "repetition_loop": _Rule(lambda s: s.loop, "repeat themselves in a loop"),
    }
    if _lost_its_end(pairs):
        rules["never_stops"] = _Rule(_at_limit, "do not end: " + _why_not(case.facts))
    return rules | {
        "token_or_role_leak": _Rule(lambda s: s.leak, "leak special tokens or play another role"),
        "cut_at_limit": _Rule(_at_limit, "are cut at the token limit, where the reference's end in time", habit=True),
        "language_shift": _Rule(_foreign(pairs), "are in another language than the reference's", habit=True),
        "json_in_fence": _Rule(lambda s: s.wrapping is Wrapping.FENCED, "put the JSON into a code fence", habit=True),
        "json_in_prose": _Rule(lambda s: s.wrapping is Wrapping.IN_PROSE, "put prose around the JSON", habit=True),
        "verbatim_recall": _Rule(lambda s: s.recited, "recite training answers word for word", habit=True),
    }


def _why_not(facts: Facts) -> str:
    ours, theirs = facts.stops
    trained = ",".join(map(str, facts.trained_stops))
    if ours and trained and not set(ours.split(",")) & set(trained.split(",")):
        return f"trained to end at ids {trained}, generation ends at {ours}"
    if ours != theirs:
        return f"generation ends at ids {ours or 'none'}, the reference's at {theirs or 'none'}"
    return "the model no longer writes its end-of-turn token (was it trained?)"


def _at_limit(symptoms: Symptoms) -> bool:
    return symptoms.finish is FinishReason.LENGTH


def _lost_its_end(pairs: Sequence[Pair]) -> bool:
    """Return whether the candidate ends its turns far less often than the reference does."""
    ours = sum(pair.candidate.finish is FinishReason.END_TURN for pair in pairs)
    theirs = sum(p.reference is not None and p.reference.finish is FinishReason.END_TURN for p in pairs)
    return ours < STOPS * theirs


def _foreign(pairs: Sequence[Pair]) -> Symptom:
    """Return a symptom: an answer in another language than most of the reference's."""
    languages = Counter(p.reference.language for p in pairs if p.reference is not None and p.reference.language)
    usual, count = languages.most_common(1)[0] if languages else ("", 0)
    if count < USUAL * languages.total():
        return lambda _: False
    return lambda s: bool(usual and s.language) and s.language != usual


def _new(pair: Pair, symptom: Symptom) -> bool:
    return symptom(pair.candidate) and pair.reference is not None and not symptom(pair.reference)


def _proven(pairs: Sequence[Pair], symptom: Symptom) -> bool:
    known = [(p, p.reference) for p in pairs if p.reference is not None]
    return more_rise([(p.unit, float(symptom(p.candidate)) - float(symptom(theirs))) for p, theirs in known])


def more_rise(steps: Iterable[tuple[str, float]]) -> bool:
    """Say whether more units rose than fell, surely (McNemar, one-sided); the answers to one prompt count once."""
    sums: dict[str, float] = {}
    for unit, step in steps:
        sums[unit] = sums.get(unit, 0.0) + step
    rose, fell = sum(step > 0 for step in sums.values()), sum(step < 0 for step in sums.values())
    return stats.mcnemar_midp_drop(fell, rose) <= LEVEL


def one_each(pairs: Iterable[Pair]) -> list[Pair]:
    """Return one pair of each prompt, a wrong one if there is any."""
    found: dict[str, Pair] = {}
    for pair in pairs:
        if pair.unit not in found or (pair.wrong and not found[pair.unit].wrong):
            found[pair.unit] = pair
    return list(found.values())


def _harmful(case: Case, symptom: Symptom) -> bool:
    """Return whether answers with the symptom are wrong, so that it can be why."""
    showing = one_each(pair for pair in case.pairs if _new(pair, symptom))
    others = one_each(pair for pair in case.pairs if not _new(pair, symptom))
    wrong, elsewhere = sum(pair.wrong for pair in showing), sum(pair.wrong for pair in others)
    if wrong >= HARMFUL * len(showing):
        return True
    return stats.fisher_more(wrong, len(showing) - wrong, elsewhere, len(others) - elsewhere) <= LEVEL
