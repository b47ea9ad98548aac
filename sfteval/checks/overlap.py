"""How much of the reference an answer holds: token F1, ROUGE-L, chrF, and length against the reference's.

Comes in: an answer with its reference (one text or several; the best counts). Goes out: a score between 0 and 1, or
with `at_least` 1 or 0. Empty answers score 0, answers too long to be compared in time get no score.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import Field, model_validator

from sfteval.checks.answer import Answer, Outcome, judged, unjudged
from sfteval.checks.kinds import Flag, Params, author_fault, kind
from sfteval.checks.reference import accepted_texts
from sfteval.records import Strict

LONGEST_TEXT = 50_000
LONGEST_TOKENS = 10_000
GRAM, BETA = 6, 2
ARTICLE = re.compile(r"\b(?:a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
ALPHANUMERIC = re.compile(r"[^\W_]+")
Share = Annotated[float, Field(gt=0, le=1)]


class OverlapParams(Params):
    """A score against the reference."""

    at_least: Share | None = None

    def needs_reference(self) -> bool:
        """Return that there must be a reference."""
        return True

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference is a text, a number or a list of them."""
        return None if any(each.strip() for each in accepted_texts(reference)) else "a text or a list of texts"


class TokenF1(OverlapParams):
    """F1 of the words shared with the reference, as SQuAD counts it; with `at_least`, pass or fail.

    Lower case, without punctuation and English articles (Rajpurkar et al. 2016, `evaluate-v1.1.py`).
    """

    token_f1: Flag


class RougeL(OverlapParams):
    """ROUGE-L: F1 of the longest common subsequence of words with the reference; with `at_least`, pass or fail.

    Lin 2004; equal to `rouge_score`'s `rougeL` without stemming where a text is ASCII, and other letters count too.
    """

    rouge_l: Flag


class Chrf(OverlapParams):
    """chrF: F-score (beta 2) of character n-grams up to 6 shared with the reference; with `at_least`, pass or fail.

    Popović 2015; equal to `sacrebleu`'s chrF2 of one sentence divided by 100, in a sixth of the time.
    """

    chrf: Flag


class RatioRange(Strict):
    """Limits of a ratio: `at_least`, `at_most`, or both."""

    at_least: Annotated[float, Field(ge=0)] | None = None
    at_most: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> RatioRange:
        if self.at_least is None and self.at_most is None:
            raise author_fault("no limit", "at_least or at_most")
        return self


class LengthRatio(Params):
    """The answer has so many times the words of the reference; a fixed band of words is `word_count`."""

    length_ratio: RatioRange

    def needs_reference(self) -> bool:
        """Return that there must be a reference."""
        return True

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference is one text with words."""
        return None if isinstance(reference, str) and reference.split() else "a text"


def squad_tokens(text: str) -> list[str]:
    """Return the words as SQuAD's evaluation normalises them."""
    return ARTICLE.sub(" ", text.lower().translate(NO_PUNCTUATION)).split()


def rouge_tokens(text: str) -> list[str]:
    """Return the runs of letters and digits in lower case."""
    return ALPHANUMERIC.findall(text.lower())


def f1(common: int, given: int, wanted: int) -> float:
    """Return the harmonic mean of common/given and common/wanted, 0 where nothing is common."""
    return 2 * common / (given + wanted) if common else 0.0


def token_f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    """Return F1 over words, each as often as it occurs."""
    return f1(sum((Counter(given) & Counter(wanted)).values()), len(given), len(wanted))


def rouge_l(given: Sequence[str], wanted: Sequence[str]) -> float:
    """Return F1 over the longest common subsequence."""
    return f1(common_subsequence(given, wanted), len(given), len(wanted))


def common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, a row of the table as one integer (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for index, token in enumerate(left):
        places[token] = places.get(token, 0) | 1 << index
    every = (1 << len(left)) - 1
    row = every
    for token in right:
        same = row & places.get(token, 0)
        row = (row + same | row - same) & every
    return len(left) - row.bit_count()


def chrf(given: str, wanted: str) -> float:
    """Return chrF2: the F-score of the mean precision and recall over the orders that both texts have."""
    precision, recall = [], []
    for common, mine, theirs in _common_grams("".join(given.split()), "".join(wanted.split())):
        precision.append(common / mine)
        recall.append(common / theirs)
    if not any(precision):
        return 0.0
    p, r = sum(precision) / len(precision), sum(recall) / len(recall)
    return (1 + BETA**2) * p * r / (BETA**2 * p + r)


def _common_grams(given: str, wanted: str) -> Iterator[tuple[int, int, int]]:
    """Yield, for n-grams of 1 to 6 characters, how many are common, given and wanted, while both texts have some.

    An n-gram's number is that of its first n - 1 characters and its last character; numbers are packed when they would
    outgrow 63 bits. Both texts' numbers are sorted as one, their last bit saying whose they are.
    """
    import numpy as np

    written = np.frombuffer((given + wanted).encode("utf-32-le", "surrogatepass"), np.uint32)
    letters = np.unique(written, return_inverse=True)[1].astype(np.int64)
    mine, theirs = letters[: len(given)], letters[len(given) :]
    base = int(letters.max(initial=0)) + 1
    grams, span = [mine, theirs], base
    for order in range(1, GRAM + 1):
        if order > 1:
            if 2 * span * base >= 2**63:
                numbers = np.unique(np.concatenate(grams), return_inverse=True)[1].astype(np.int64)
                grams, span = [numbers[: len(grams[0])], numbers[len(grams[0]) :]], len(numbers)
            span *= base
            grams = [
                each[: max(len(each) - 1, 0)] * base + text[order - 1 :]
                for each, text in zip(grams, (mine, theirs), strict=True)
            ]
        if not (len(grams[0]) and len(grams[1])):
            return
        both = np.sort(np.concatenate([2 * grams[0], 2 * grams[1] + 1]))
        starts = np.flatnonzero(np.diff(both >> 1, prepend=-1))
        counts = np.diff(starts, append=len(both))
        wanted_counts = np.add.reduceat(both & 1, starts)
        yield int(np.minimum(counts - wanted_counts, wanted_counts).sum()), len(grams[0]), len(grams[1])


T = TypeVar("T", str, list[str])


def _judge(
    params: OverlapParams, answer: Answer, split: Callable[[str], T], score: Callable[[T, T], float], name: str
) -> Outcome:
    accepted = [text for text in accepted_texts(answer.reference) if text.strip()]
    if not accepted:
        return unjudged("no reference text")
    if len(answer.text) > LONGEST_TEXT:
        return unjudged(f"longer than {LONGEST_TEXT} characters")
    given = split(answer.text)
    wanted: list[T] = [split(text[:LONGEST_TEXT]) for text in accepted]
    if isinstance(given, list) and max(len(given), *(len(each) for each in wanted)) > LONGEST_TOKENS:
        return unjudged(f"longer than {LONGEST_TOKENS} words")
    best = max(score(given, each) for each in wanted) if answer.text.strip() else 0.0
    if params.at_least is None:
        return Outcome(best, f"{name} {best:.3f}")
    return judged(best >= params.at_least, f"{name} {best:.3f}, at least {params.at_least:g}")


def judge_token_f1(params: TokenF1, answer: Answer) -> Outcome:
    """Compare words."""
    return _judge(params, answer, squad_tokens, token_f1, "F1")


def judge_rouge_l(params: RougeL, answer: Answer) -> Outcome:
    """Compare sequences of words."""
    return _judge(params, answer, rouge_tokens, rouge_l, "ROUGE-L")


def judge_chrf(params: Chrf, answer: Answer) -> Outcome:
    """Compare character n-grams."""
    return _judge(params, answer, str, chrf, "chrF")


def length_ratio(params: LengthRatio, answer: Answer) -> Outcome:
    """Compare numbers of words."""
    wanted = len(answer.reference.split()) if isinstance(answer.reference, str) else 0
    if not wanted:
        return unjudged("no reference text")
    ratio, limits = len(answer.text.split()) / wanted, params.length_ratio
    fits = (limits.at_least is None or ratio >= limits.at_least) and (limits.at_most is None or ratio <= limits.at_most)
    named = {"at least": limits.at_least, "at most": limits.at_most}
    words = ", ".join(f"{name} {limit:g}" for name, limit in named.items() if limit is not None)
    return judged(fits and ratio > 0, f"{ratio:.2f} times the words of the reference, {words}")


_CAPITAL = "the capital of France"

KINDS = (
    kind(
        TokenF1,
        judge_token_f1,
        {"token_f1": True},
        passing=Answer("Capital of France.", reference=_CAPITAL),
        failing=Answer("A German city", reference=_CAPITAL),
    ),
    kind(
        RougeL,
        judge_rouge_l,
        {"rouge_l": True, "at_least": 0.5},
        passing=Answer("It is the capital of France", reference=_CAPITAL),
        failing=Answer("France of capital the", reference=_CAPITAL),
    ),
    kind(
        Chrf,
        judge_chrf,
        {"chrf": True, "at_least": 0.5},
        passing=Answer("the capitals of France", reference=_CAPITAL),
        failing=Answer("a German city", reference=_CAPITAL),
    ),
    kind(
        LengthRatio,
        length_ratio,
        {"length_ratio": {"at_least": 0.5, "at_most": 2}},
        passing=Answer("It is the capital of France", reference=_CAPITAL),
        failing=Answer("Paris", reference=_CAPITAL),
    ),
)
