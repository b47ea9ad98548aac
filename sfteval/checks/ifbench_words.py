"""IFBench's instructions on every word: initials, lengths, syllables, vowels, positions.

Comes in: an answer. Goes out: 1 or 0 with the first word that breaks the rule. Rules of allenai/IFBench
`instructions.py` @ 6fffd61e (`words:*`), written anew. Syllables are counted by `syllapy`, as there. Where the
published checker tags parts of speech by a model that is not to be had from a package index, see `verbs`.
"""

from __future__ import annotations

import string
from collections import Counter
from itertools import pairwise

from sfteval.checks.kinds import Flag, Params
from sfteval.checks.published import Positive, Verdict, Word, first_odd, instruction
from sfteval.checks.punkt_sentences import sentences
from sfteval.checks.syllables import syllables
from sfteval.checks.treebank_words import bare_words, sentence_tokens, word_tokens
from sfteval.checks.verbs import is_verb
from sfteval.records import Strict

CONSONANTS = frozenset("bcdfghjklmnpqrstvwxyz")
VOWELS = frozenset("aeiou")
PRIMES = frozenset((2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97))
LETTERS = string.ascii_lowercase


class AlphabetLoop(Params):
    """Each word begins with the next letter of the alphabet, a after z; the first letter is free."""

    alphabet_loop: Flag


class ConsonantClusters(Params):
    """Each word has two consonants (y counts) next to each other."""

    consonant_clusters: Flag


class NoSharedInitials(Params):
    """No two words next to each other begin with the same letter."""

    no_shared_initials: Flag


class AlternatingSyllables(Params):
    """Words have an odd and an even number of syllables by turns."""

    alternating_syllables: Flag


class Palindromes(Params):
    """At least this many words of five letters or more that read the same backwards."""

    palindromes: Positive


class PrimeLengths(Params):
    """Each word's length is a prime number (below 100)."""

    prime_lengths: Flag


class MaxWordRepeats(Params):
    """No word occurs more often than this."""

    max_word_repeats: Positive


class ThreeVowels(Params):
    """One paragraph with no more than three different vowels of a, e, i, o, u."""

    three_vowels: Flag


class StartsWithVerb(Params):
    """The first word is an English verb that can begin a sentence, by a word list and endings."""

    starts_with_verb: Flag


class SecondWords(Params):
    """This word is the second token and the last but one (a full stop is a token)."""

    second_words: Word


class PositionSpec(Strict):
    """The word, the sentence it stands in, and its place among that sentence's tokens, both from 1."""

    word: Word
    sentence: Positive
    position: Positive


class WordAt(Params):
    """A word stands at a place of a sentence; punctuation marks are places too."""

    word_at: PositionSpec


def alphabet_loop(_: AlphabetLoop, text: str) -> Verdict:
    """Follow the alphabet from the first word's letter."""
    words = bare_words(text)
    if not words or words[0][0].lower() not in LETTERS:
        return False, "does not begin with a letter a to z"
    start = LETTERS.index(words[0][0].lower())
    wanted = ((word, LETTERS[(start + place) % 26]) for place, word in enumerate(words))
    odd = next((f"{word!r} where {letter} was due" for word, letter in wanted if word.lower()[0] != letter), None)
    return first_odd(odd, f"{len(words)} words in order")


def consonant_clusters(_: ConsonantClusters, text: str) -> Verdict:
    """Look for two consonants in each word."""
    words = text.lower().split()
    odd = next(
        (word for word in words if not any(a in CONSONANTS and b in CONSONANTS for a, b in pairwise(word))), None
    )
    return first_odd(None if odd is None else f"{odd[:80]!r} has none", "every word has one")


def no_shared_initials(_: NoSharedInitials, text: str) -> Verdict:
    """Compare neighbours."""
    odd = next((f"{a[:40]!r}, {b[:40]!r}" for a, b in pairwise(bare_words(text.lower())) if a[0] == b[0]), None)
    return first_odd(odd, "no neighbours share one")


def alternating_syllables(_: AlternatingSyllables, text: str) -> Verdict:
    """Compare the parity of neighbours."""
    words = bare_words(text.lower())
    counts = {word: syllables(word) for word in set(words)}
    pairs = ((a, b) for a, b in pairwise(words) if counts[a] % 2 == counts[b] % 2)
    odd = next((f"{a[:40]!r} has {counts[a]} syllables, {b[:40]!r} {counts[b]}" for a, b in pairs), None)
    return first_odd(odd, "odd and even by turns")


def palindromes(params: Palindromes, text: str) -> Verdict:
    """Count words equal to their reverse."""
    count = sum(len(word) >= 5 and word == word[::-1] for word in bare_words(text.lower()))
    return count >= params.palindromes, f"{count} palindromes, at least {params.palindromes}"


def prime_lengths(_: PrimeLengths, text: str) -> Verdict:
    """Look at each word's length."""
    odd = next((word for word in bare_words(text) if len(word) not in PRIMES), None)
    return first_odd(None if odd is None else f"{odd[:80]!r} has {len(odd)} letters", "every length is prime")


def max_word_repeats(params: MaxWordRepeats, text: str) -> Verdict:
    """Find the most frequent word."""
    word, count = next(iter(Counter(bare_words(text.lower())).most_common(1)), ("", 0))
    return count <= params.max_word_repeats, f"{count} times {word[:80]!r}, at most {params.max_word_repeats}"


def three_vowels(_: ThreeVowels, text: str) -> Verdict:
    """Collect the vowels."""
    if "\n" in text.strip():
        return False, "more than one paragraph"
    found = sorted(VOWELS & set(text.lower()))
    return len(found) <= 3, f"vowels {' '.join(found)}"


def starts_with_verb(_: StartsWithVerb, text: str) -> Verdict:
    """Look the first token up."""
    first = next(iter(word_tokens(text)), "")
    return is_verb(first), f"begins {first[:80]!r}"


def second_words(params: SecondWords, text: str) -> Verdict:
    """Compare two tokens."""
    tokens, wanted = word_tokens(text), params.second_words.lower()
    if len(tokens) < 2:
        return False, "fewer than two tokens"
    return tokens[1].lower() == tokens[-2].lower() == wanted, f"{tokens[1][:40]!r} and {tokens[-2][:40]!r}"


def word_at(params: WordAt, text: str) -> Verdict:
    """Count to the sentence and the token."""
    spec, found = params.word_at, sentences(text)
    if len(found) < spec.sentence:
        return False, f"{len(found)} sentences"
    tokens = sentence_tokens(found[spec.sentence - 1])
    if len(tokens) < spec.position:
        return False, f"{len(tokens)} words in sentence {spec.sentence}"
    token = tokens[spec.position - 1]
    return token.lower() == spec.word.lower(), f"{token[:80]!r} stands there"


_AT = {"word": "risk", "sentence": 2, "position": 3}
_PALINDROMES = "level radar civic"

KINDS = (
    instruction(AlphabetLoop, alphabet_loop, {"alphabet_loop": True}, passing="Yes, zebras act.", failing="All cats"),
    instruction(
        ConsonantClusters, consonant_clusters, {"consonant_clusters": True}, passing="Stars shine", failing="A"
    ),
    instruction(NoSharedInitials, no_shared_initials, {"no_shared_initials": True}, passing="a bat", failing="big bat"),
    instruction(
        AlternatingSyllables,
        alternating_syllables,
        {"alternating_syllables": True},
        passing="The water runs",
        failing="The cat runs",
    ),
    instruction(Palindromes, palindromes, {"palindromes": 3}, passing=_PALINDROMES, failing="level radar noon"),
    instruction(PrimeLengths, prime_lengths, {"prime_lengths": True}, passing="The cat is happy.", failing="Four cats"),
    instruction(MaxWordRepeats, max_word_repeats, {"max_word_repeats": 2}, passing="a b A", failing="a, a, a"),
    instruction(ThreeVowels, three_vowels, {"three_vowels": True}, passing="A red kite", failing="A red kite took"),
    instruction(
        StartsWithVerb, starts_with_verb, {"starts_with_verb": True}, passing="Consider it.", failing="The end"
    ),
    instruction(
        SecondWords, second_words, {"second_words": "risk"}, passing="A risk is a risk.", failing="A risk it is."
    ),
    instruction(WordAt, word_at, {"word_at": _AT}, passing="Yes. It is risk.", failing="Yes. Risk is it."),
)
