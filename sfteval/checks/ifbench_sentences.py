"""IFBench's instructions on sentences and paragraphs: growth, balance, chains, where a keyword stands.

Comes in: an answer. Goes out: 1 or 0 with the first sentence that breaks the rule. Rules of allenai/IFBench
`instructions.py` @ 6fffd61e (`sentence:*`, `ratio:sentence_*`, `words:*last_first`), written anew; sentences by Punkt.
The published flags come from an older splitter, which moves a full stop out of quotation marks: sentence types are
told here from the mark inside them, with which every published flag agrees.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from itertools import groupby, pairwise

from sfteval.checks.kinds import Flag, Params
from sfteval.checks.published import Natural, Positive, Verdict, Word, first_odd, instruction
from sfteval.checks.punkt_sentences import sentences
from sfteval.checks.treebank_words import PUNCTUATION, bare_words
from sfteval.records import Strict

EDGES = PUNCTUATION + " "


class AlliterationGrows(Params):
    """Each sentence has more words in alliteration (neighbours with one initial) than the sentence before."""

    alliteration_grows: Flag


class SentenceGrowth(Params):
    """Each sentence has exactly this many words more than the sentence before."""

    sentence_growth: Natural


class KeywordSentence(Strict):
    """The keyword, and the sentence that it must stand in, from 1."""

    word: Word
    sentence: Positive


class KeywordInSentence(Params):
    """A keyword stands as a whole word in the nth sentence; case is ignored."""

    keyword_in_sentence: KeywordSentence


class BalancedSentences(Params):
    """As many sentences end with a full stop as with a question mark and with an exclamation mark."""

    balanced_sentences: Flag


class TwoToOneQuestions(Params):
    """Twice as many sentences end with a full stop as with a question mark."""

    two_to_one_questions: Flag


class EqualSentences(Params):
    """Exactly this many sentences, all of the same number of characters."""

    equal_sentences: Positive


class SentenceChain(Params):
    """The last word of each sentence is the first of the next."""

    sentence_chain: Flag


class ParagraphCircles(Params):
    """Each paragraph (line) ends with the word that it began with."""

    paragraph_circles: Flag


class SentenceAlphabet(Params):
    """Twenty-six sentences that begin with the letters of the alphabet in order."""

    sentence_alphabet: Flag


def _alliterating(sentence: str) -> int:
    words = [word.lstrip(EDGES) for word in sentence.lower().split()]
    runs = (sum(1 for _ in run) for _, run in groupby(word[0] for word in words if word))
    return sum(length for length in runs if length > 1)


def alliteration_grows(_: AlliterationGrows, text: str) -> Verdict:
    """Compare each sentence with the one before."""
    counts = [_alliterating(sentence) for sentence in sentences(text)]
    odd = next((f"{a} words in alliteration, then {b}" for a, b in pairwise(counts) if b <= a), None)
    return first_odd(odd, f"{len(counts)} sentences")


def sentence_growth(params: SentenceGrowth, text: str) -> Verdict:
    """Compare each sentence with the one before."""
    counts = [len(bare_words(sentence)) for sentence in sentences(text)]
    odd = next((f"{a} words, then {b}" for a, b in pairwise(counts) if b != a + params.sentence_growth), None)
    return first_odd(odd, f"{len(counts)} sentences, each {params.sentence_growth} words more")


def keyword_in_sentence(params: KeywordInSentence, text: str) -> Verdict:
    """Look into one sentence."""
    spec, found = params.keyword_in_sentence, sentences(text)
    if len(found) < spec.sentence:
        return False, f"{len(found)} sentences"
    sentence = found[spec.sentence - 1]
    there = re.search(rf"\b{re.escape(spec.word)}\b", sentence, re.IGNORECASE) is not None
    return there, f"sentence {spec.sentence}: {sentence[:80]!r}"


def _endings(text: str) -> Counter[str]:
    """Count last characters; a closing quotation mark does not hide the mark inside it."""
    return Counter(sentence.rstrip('"”')[-1:] for sentence in sentences(text))


def _in_words(ends: Counter[str]) -> str:
    return ", ".join(f"{ends[mark]} end with {mark}" for mark in ".?!")


def balanced_sentences(_: BalancedSentences, text: str) -> Verdict:
    """Count endings."""
    ends = _endings(text)
    return ends["."] == ends["?"] == ends["!"], _in_words(ends)


def two_to_one_questions(_: TwoToOneQuestions, text: str) -> Verdict:
    """Count endings."""
    ends = _endings(text)
    return ends["."] == 2 * ends["?"], _in_words(ends)


def equal_sentences(params: EqualSentences, text: str) -> Verdict:
    """Count characters."""
    lengths = [len(sentence.strip()) for sentence in sentences(text)]
    fits = len(lengths) == params.equal_sentences and len(set(lengths)) == 1
    return fits, f"{len(lengths)} sentences of {', '.join(map(str, lengths[:9]))} characters"


def sentence_chain(_: SentenceChain, text: str) -> Verdict:
    """Compare each end with the next beginning."""
    for before, after in pairwise(sentences(text)):
        last, first = before.rstrip(EDGES).split(), after.lstrip(EDGES).split()
        if not last or not first or last[-1].lower() != first[0].lower():
            return False, f"{''.join(last[-1:])[:40]!r}, then {''.join(first[:1])[:40]!r}"
    return True, "every sentence begins as the one before ended"


def paragraph_circles(_: ParagraphCircles, text: str) -> Verdict:
    """Compare each line's first and last word."""
    for line in text.lower().split("\n"):
        words = line.strip().strip(EDGES).split()
        if words and words[0] != words[-1]:
            return False, f"begins {words[0][:40]!r}, ends {words[-1][:40]!r}"
    return True, "every paragraph ends as it began"


def sentence_alphabet(_: SentenceAlphabet, text: str) -> Verdict:
    """Compare initials with the alphabet."""
    initials = "".join(sentence.lstrip()[0].lower() for sentence in sentences(text))
    return initials == string.ascii_lowercase, f"{len(initials)} sentences, initials {initials[:30]!r}"


_KEYWORD = {"word": "risk", "sentence": 2}
_ALPHABET = " ".join(f"{letter} is for it." for letter in string.ascii_uppercase)

KINDS = (
    instruction(
        AlliterationGrows,
        alliteration_grows,
        {"alliteration_grows": True},
        passing="Big bears ran. Cats can climb.",
        failing="Big bears ran. Cats climb.",
    ),
    instruction(SentenceGrowth, sentence_growth, {"sentence_growth": 1}, passing="We go. We go on.", failing="We. We."),
    instruction(
        KeywordInSentence,
        keyword_in_sentence,
        {"keyword_in_sentence": _KEYWORD},
        passing="Yes. Risk it.",
        failing="Risk. Yes.",
    ),
    instruction(
        BalancedSentences,
        balanced_sentences,
        {"balanced_sentences": True},
        passing="I do. Do I? I do!",
        failing="I do.",
    ),
    instruction(
        TwoToOneQuestions,
        two_to_one_questions,
        {"two_to_one_questions": True},
        passing="I do. We do. Do I?",
        failing="I do. Do I?",
    ),
    instruction(
        EqualSentences, equal_sentences, {"equal_sentences": 2}, passing="We go. He is.", failing="We go. He ran."
    ),
    instruction(
        SentenceChain, sentence_chain, {"sentence_chain": True}, passing="I ran. Ran far.", failing="I ran. Far."
    ),
    instruction(
        ParagraphCircles,
        paragraph_circles,
        {"paragraph_circles": True},
        passing="Red is red.\n",
        failing="Red is blue.",
    ),
    instruction(
        SentenceAlphabet,
        sentence_alphabet,
        {"sentence_alphabet": True},
        passing=_ALPHABET,
        failing="A is for it. B too.",
    ),
)
