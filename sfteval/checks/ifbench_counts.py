"""IFBench's instructions on counts and shares: words, names, numbers, marks, overlap.

Comes in: an answer. Goes out: 1 or 0 with the count that was seen. Rules of allenai/IFBench `instructions.py`
@ 6fffd61e (`count:*`, `ratio:*`), written anew. `trigram_overlap` counts trigrams of characters, as that commit does;
a later one counts words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from sfteval.checks.kinds import Flag, Params
from sfteval.checks.published import Natural, Positive, Verdict, Word, first_odd, instruction
from sfteval.checks.treebank_words import PUNCTUATION, bare_words, word_runs, word_tokens
from sfteval.records import Strict

_CONJUNCTIONS = """
and but for nor or so yet
"""
CONJUNCTIONS = frozenset(_CONJUNCTIONS.split())
_PRONOUNS = """
i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her
hers herself it its itself they them their theirs themselves
"""
PRONOUNS = frozenset(_PRONOUNS.split())
_NAMES = """
Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia Benjamin
Harper Leo Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett Nathan Victoria
Elijah Layla Nicholas Audrey David Hannah Christopher Penelope Thomas Nora Andrew Aria Joseph Claire Ryan
Stella Jonathan
"""
NAME = re.compile(rf"\b(?:{'|'.join(_NAMES.split())})\b")
_STOP_WORDS = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers
herself it its itself they them their theirs themselves what which who whom this that these those am is are
was were be been being have has had having do does did doing a an the and but if or because as until while of
at by for with about against between into through during before after above below to from up down in out on
off over under again further then once here there when where why how all any both each few more most other
some such no nor not only own same so than too very s t can will just don should now d ll m o re ve y ain aren
couldn didn doesn hadn hasn haven isn ma mightn mustn needn shan shouldn wasn weren won wouldn
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""NLTK's English stop words, those with an apostrophe left out: no run of word characters is one of them."""
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
EDGES = PUNCTUATION + " "


class Conjunctions(Params):
    """At least this many different coordinating conjunctions, told apart as they are written (And, and, or,)."""

    conjunctions: Positive


class KeywordCounts(Params):
    """Each keyword occurs exactly so often, also inside longer words; case is ignored."""

    keyword_counts: Annotated[Mapping[Word, Natural], Field(min_length=1)]


class Numbers(Params):
    """Exactly this many numbers in digits; 1,000.5 is one."""

    numbers: Natural


class PersonNames(Params):
    """At least this many of IFBench's fifty first names (Emma, Liam, Sophia and so on)."""

    person_names: Positive


class Pronouns(Params):
    """At least this many personal and possessive pronouns."""

    pronouns: Positive


class AllPunctuation(Params):
    """Every one of . , ! ? ; : occurs, and so does an interrobang (?!, !? or ‽) beside them."""

    all_punctuation: Flag


class UniqueWords(Params):
    """At least this many different words, case and punctuation around them aside."""

    unique_words: Positive


class JapaneseEvery(Params):
    """Every word at a multiple of this number has Japanese letters; numbers in digits aside."""

    japanese_every: Positive


class StopWordsPercent(Params):
    """At most this percentage of the words are stop words (NLTK's English list)."""

    stop_words_percent: Annotated[float, Field(ge=0, le=100)]


class OverlapSpec(Strict):
    """The text, and the percentage, two points more or less."""

    text: Annotated[str, Field(min_length=3)]
    percent: Annotated[float, Field(ge=0, le=100)]


class TrigramOverlap(Params):
    """This percentage (give or take 2) of the answer's different character trigrams occur in a text."""

    trigram_overlap: OverlapSpec


def conjunctions(params: Conjunctions, text: str) -> Verdict:
    """Count different spellings."""
    count = len({word for word in text.split() if word.strip(EDGES).lower() in CONJUNCTIONS})
    return count >= params.conjunctions, f"{count} conjunctions, at least {params.conjunctions}"


def keyword_counts(params: KeywordCounts, text: str) -> Verdict:
    """Count each keyword."""
    lower = text.lower()
    counts = {word: lower.count(word.lower()) for word in params.keyword_counts}
    off = [
        f"{counts[word]} times {word!r}, exactly {n}" for word, n in params.keyword_counts.items() if counts[word] != n
    ]
    return first_odd("; ".join(off) or None, "every keyword as often as asked")


def numbers(params: Numbers, text: str) -> Verdict:
    """Count runs of digits after punctuation is taken out."""
    count = len(re.findall(r"\d+", " ".join(bare_words(text))))
    return count == params.numbers, f"{count} numbers, exactly {params.numbers}"


def person_names(params: PersonNames, text: str) -> Verdict:
    """Count names of the list."""
    count = len(set(NAME.findall(text)))
    return count >= params.person_names, f"{count} names, at least {params.person_names}"


def pronouns(params: Pronouns, text: str) -> Verdict:
    """Count pronouns among Treebank tokens; she/her are two."""
    count = sum(token in PRONOUNS for token in word_tokens(text.replace("/", " ").lower()))
    return count >= params.pronouns, f"{count} pronouns, at least {params.pronouns}"


def all_punctuation(_: AllPunctuation, text: str) -> Verdict:
    """Take one interrobang out and look for each mark in the rest."""
    if not any(mark in text for mark in ("!?", "?!", "‽")):
        return False, "no interrobang"
    rest = text.replace("?!", "", 1) if "?!" in text else text.replace("!?", "", 1)
    missing = [mark for mark in ".,!?;:" if mark not in rest]
    return not missing, f"missing {' '.join(missing)}" if missing else "every mark"


def unique_words(params: UniqueWords, text: str) -> Verdict:
    """Count different words."""
    count = len({word.strip(EDGES) for word in text.lower().split()})
    return count >= params.unique_words, f"{count} different words, at least {params.unique_words}"


def japanese_every(params: JapaneseEvery, text: str) -> Verdict:
    """Look at every nth word."""
    every = [word.strip(EDGES) for word in text.split()[params.japanese_every - 1 :: params.japanese_every]]
    odd = next((word for word in every if word and not word.isdigit() and not JAPANESE.search(word)), None)
    return first_odd(None if odd is None else f"{odd!r} is not Japanese", f"{len(every)} words looked at")


def stop_words_percent(params: StopWordsPercent, text: str) -> Verdict:
    """Divide stop words by words."""
    words = word_runs(text)
    if not words:
        return False, "no words"
    percent = sum(word.lower() in STOP_WORDS for word in words) / len(words) * 100
    return percent <= params.stop_words_percent, f"{percent:.1f} % stop words, at most {params.stop_words_percent:g} %"


def _trigrams(text: str) -> set[str]:
    return {text[start : start + 3] for start in range(len(text) - 2)}


def trigram_overlap(params: TrigramOverlap, text: str) -> Verdict:
    """Divide shared trigrams by the answer's."""
    spec, own = params.trigram_overlap, _trigrams(text)
    if not own:
        return False, "no trigrams"
    percent = len(own & _trigrams(spec.text)) / len(own) * 100
    return abs(percent - spec.percent) <= 2, f"{percent:.1f} % shared, {spec.percent:g} ± 2 %"


_OVERLAP = {"trigram_overlap": {"text": "the price of the bond", "percent": 100}}

KINDS = (
    instruction(Conjunctions, conjunctions, {"conjunctions": 2}, passing="Red and blue, but", failing="Red and blue"),
    instruction(
        KeywordCounts,
        keyword_counts,
        {"keyword_counts": {"risk": 2, "bond": 1}},
        passing="Risk, bond risk",
        failing="Risk",
    ),
    instruction(Numbers, numbers, {"numbers": 2}, passing="1,000.50 and 3", failing="1 and 2 and 3"),
    instruction(PersonNames, person_names, {"person_names": 2}, passing="Emma and Leo", failing="Emma and Bob"),
    instruction(Pronouns, pronouns, {"pronouns": 3}, passing="She/her told me.", failing="Ann told me."),
    instruction(
        AllPunctuation, all_punctuation, {"all_punctuation": True}, passing="A, b; c: d. E! F? G?!", failing="A, b. G?!"
    ),
    instruction(UniqueWords, unique_words, {"unique_words": 3}, passing="one two three", failing="one, One two"),
    instruction(JapaneseEvery, japanese_every, {"japanese_every": 2}, passing="a 猫 ran", failing="a cat ran"),
    instruction(
        StopWordsPercent,
        stop_words_percent,
        {"stop_words_percent": 25},
        passing="Bond prices fall again",
        failing="The price of it fell",
    ),
    instruction(TrigramOverlap, trigram_overlap, _OVERLAP, passing="price of the", failing="something else"),
)
