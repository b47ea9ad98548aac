"""Causes that show in the answers: what the worsened samples have that the reference's answers to them have not.

Comes in: a `Case`. Goes out: causes with the share of worsened samples that each explains. Every worsened sample gets
one label, by the first rule that fits, in an order in which a root stands before what follows from it (an answer that
loops also runs into the limit). A label becomes a cause only when it explains enough of them and its symptom is also
proven to be more frequent than in the reference (McNemar, one-sided).
"""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from sfteval import stats
from sfteval.records import Cause, FinishReason, Wrapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sfteval.records import Case, Pair, Symptoms

    Symptom = Callable[[Symptoms], bool]

SHARE = 0.4
"""A cause explains at least this share of the worsened samples."""
LEVEL = 0.01
"""Error rate at which a symptom is more frequent than in the reference."""
STOPS = 0.5
"""A model whose rate of ended turns falls below this share of the reference's has lost its end of turn."""
DRIFT = 2.0
"""Answers that are this many times longer or shorter (median of the worsened samples) have drifted."""


def behavioural(case: Case) -> tuple[Cause, ...]:
    """Return what the worsened answers show, by weight."""
    worse = [pair for pair in case.pairs if pair.change < 0 and pair.reference is not None]
    if not worse:
        return ()
    if not case.facts.generates:
        return tuple(_forgetting(case))
    labels = Counter[str]()
    shown: dict[str, list[str]] = {}
    rules = _rules(case)
    for pair in worse:
        name = next((name for name, (symptom, _) in rules.items() if _new(pair, symptom)), "")
        labels[name] += 1
        shown.setdefault(name, []).append(pair.sample_id)
    found = []
    for name, count in labels.most_common():
        if name and count >= SHARE * len(worse) and _proven(case.pairs, rules[name][0]):
            says = f"{count} of {len(worse)} worsened answers {rules[name][1]}"
            found.append(Cause(name, says, count / len(worse), tuple(shown[name][:20])))
    return tuple(found) or tuple(_rest(case, worse))


def _rules(case: Case) -> dict[str, tuple[Symptom, str]]:
    """Return name → (symptom, words), roots first."""
    rules: dict[str, tuple[Symptom, str]] = {
        "empty_answers": (lambda s: s.empty, "are empty"),
        "repetition_loop": (lambda s: s.loop, "repeat themselves in a loop"),
    }
    pairs = case.pairs
    limit: tuple[Symptom, str]
    if _lost_its_end(pairs):
        limit = (_at_limit, "do not end: " + _why_not(case.facts.stops))
        rules["never_stops"] = limit
    rules |= {
        "token_or_role_leak": (lambda s: s.leak, "leak special tokens or play another role"),
        "cut_at_limit": (_at_limit, "are cut at the token limit, where the reference's end in time"),
        "language_shift": (_foreign(pairs), "are in another language than the reference's"),
        "json_in_fence": (lambda s: s.wrapping is Wrapping.FENCED, "put the JSON into a code fence"),
        "json_in_prose": (lambda s: s.wrapping is Wrapping.IN_PROSE, "put prose around the JSON"),
        "verbatim_recall": (lambda s: s.recited, "recite training answers word for word"),
    }
    return rules


def _why_not(stops: tuple[str, str]) -> str:
    ours, theirs = stops
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
    usual = languages.most_common(1)[0][0] if languages else ""
    return lambda s: bool(usual and s.language) and s.language != usual


def _new(pair: Pair, symptom: Symptom) -> bool:
    return symptom(pair.candidate) and pair.reference is not None and not symptom(pair.reference)


def _proven(pairs: Sequence[Pair], symptom: Symptom) -> bool:
    known = [pair for pair in pairs if pair.reference is not None]
    gained = sum(_new(pair, symptom) for pair in known)
    lost = sum(bool(p.reference and symptom(p.reference)) and not symptom(p.candidate) for p in known)
    return stats.mcnemar_midp_drop(lost, gained) <= LEVEL


def _rest(case: Case, worse: Sequence[Pair]) -> Iterator[Cause]:
    """Nothing is broken in form: length, forgetting, or the content itself."""
    if case.facts.general:
        yield from _forgetting(case)
        return
    ratio = _length_ratio(worse)
    if ratio >= DRIFT or ratio <= 1 / DRIFT:
        word = f"{ratio:.1f} times as long as" if ratio >= DRIFT else f"{1 / ratio:.1f} times shorter than"
        says = f"the worsened answers are {word} the reference's (median)"
        yield Cause("length_drift", says, 1.0, _ids(worse))
        return
    sound = [pair for pair in worse if _sound(pair)]
    if len(sound) >= SHARE * len(worse):
        says = f"{len(sound)} of {len(worse)} worsened answers keep the reference's form; their content differs"
        yield Cause("content_wrong", says, len(sound) / len(worse), _ids(sound))


def _length_ratio(worse: Sequence[Pair]) -> float:
    ratios = [(p.candidate.words + 1) / (p.reference.words + 1) for p in worse if p.reference is not None]
    return float(median(ratios))


def _sound(pair: Pair) -> bool:
    """Return whether the candidate's answer has the reference's form and another text."""
    ours, theirs = pair.candidate, pair.reference
    if theirs is None or ours.text == theirs.text:
        return False
    return (ours.finish, ours.wrapping, ours.loop, ours.empty) == (theirs.finish, theirs.wrapping, False, False)


def _forgetting(case: Case) -> Iterator[Cause]:
    """The model knows less of what its base knew."""
    if case.high >= 0:
        return
    fallen = sorted(case.facts.drops.items(), key=lambda drop: drop[1])
    named = ", ".join(f"{name} {100 * drop:+.1f}" for name, drop in fallen)
    rest = f"; proven to fall: {named}" if named else "; no other benchmark is proven to fall"
    says = f"a drop of at least {-100 * case.high:.1f} points with nothing broken in form{rest}"
    yield Cause("general_forgetting", says, 1.0, _ids([pair for pair in case.pairs if pair.change < 0]))


def _ids(pairs: Sequence[Pair]) -> tuple[str, ...]:
    return tuple(pair.sample_id for pair in pairs[:20])
