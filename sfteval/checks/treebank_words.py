"""Words as the published instruction checkers see them.

Comes in: text. Goes out: runs of word characters, or the tokens of the Penn Treebank convention by the rules of
NLTK 3.8.1 (`nltk/tokenize/destructive.py`), sentence by sentence: punctuation apart, contractions in two.
"""

from __future__ import annotations

import functools
import re
import string

from sfteval.checks.punkt_sentences import REMEMBERED, sentences

PUNCTUATION = string.punctuation
_RUN = re.compile(r"\w+")
_NO_PUNCTUATION = str.maketrans("", "", PUNCTUATION)

_ANY_CONTRACTION = re.compile(r"cannot|d'ye|gimme|gonna|gotta|lemme|more'n|wanna| 't(?:is|was)", re.IGNORECASE)
_CONTRACTIONS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        *(r"\b({})({})\b".format(*pair) for pair in (("can", "not"), ("d", "'ye"), ("gim", "me"), ("gon", "na"))),
        *(r"\b({})({})\b".format(*pair) for pair in (("got", "ta"), ("lem", "me"), ("more", "'n"))),
        r"\b(wan)(na)(?=\s)",
        r" ('t)(is|was)\b",
    )
)
_RULES: tuple[tuple[frozenset[str], re.Pattern[str], str], ...] = tuple(
    (frozenset(needs), re.compile(pattern), replacement)
    for needs, pattern, replacement in (
        ("«“‘„`", r"([«“‘„]|`+)", r" \1 "),
        ('"', r'^"', "``"),
        ("`", r"``", " `` "),
        ("\"'", r"([ (\[{<])(?:\"|'{2})", r"\1 `` "),
        ("'", r"(?i)'(?!re|ve|ll|m|t|s|d|n)(\w)\b", r"' \1"),
        (".", r"([^.])\.([\])}>\"'»”’ ]*+)\s*$", r"\1 . \2 "),
        (":,", r"([:,])([^\d])", r" \1 \2"),
        (":,", r"([:,])$", r" \1 "),
        (".", r"(\.{2,})", r" \1 "),
        (";@#$%&", r"([;@#$%&])", r" \1 "),
        ("\u2012\u2013\u2014\u2015", r"([\u2012-\u2015])", r" \1 "),
        (".", r"([^.])\.([\])}>\"']*+)\s*$", r"\1 .\2 "),
        ("?!", r"([?!])", r" \1 "),
        ("'", r"([^'])' ", r"\1 ' "),
        ("*", r"([*])", r" \1 "),
        ("[](){}<>", r"([\]\[(){}<>])", r" \1 "),
        ("-", r"--", " -- "),
        ("»”’", r"([»”’])", r" \1 "),
        ("'", r"''", " '' "),
        ('"', r'"', " '' "),
    )
)
"""Characters of which a text must have one for the rule to change anything, the rule, and what it writes."""
_QUOTES, _WRITTEN = frozenset("\"'"), frozenset("`'")
"""Marks that rules turn into other marks, and those."""
_LAST_RULES = (
    (re.compile(r"([^' ])('[sS]|'[mM]|'[dD]|') "), r"\1 \2 "),
    (re.compile(r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) "), r"\1 \2 "),
)


def word_runs(text: str) -> list[str]:
    """Return the runs of letters, digits and underscores: what the published checkers count as words."""
    return _RUN.findall(text)


def bare_words(text: str) -> list[str]:
    """Return the words between white space after all ASCII punctuation is taken out."""
    return text.translate(_NO_PUNCTUATION).split()


def word_tokens(text: str) -> list[str]:
    """Return the Treebank tokens of every sentence. Raises TooLongError."""
    return list(_tokens(text))


@functools.lru_cache(maxsize=REMEMBERED)
def _tokens(text: str) -> tuple[str, ...]:
    found = sentences(text)
    known = {sentence: sentence_tokens(sentence) for sentence in set(found)}
    return tuple(token for sentence in found for token in known[sentence])


def sentence_tokens(sentence: str) -> list[str]:
    """Return the Treebank tokens of one sentence."""
    there = set(sentence)
    if not _QUOTES.isdisjoint(there):
        there |= _WRITTEN
    for needs, pattern, replacement in _RULES:
        if not needs.isdisjoint(there):
            sentence = pattern.sub(replacement, sentence)
    sentence = f" {' '.join(sentence.split())} "
    if "'" in sentence:
        for pattern, replacement in _LAST_RULES:
            sentence = pattern.sub(replacement, sentence)
    if _ANY_CONTRACTION.search(sentence):
        for pattern in _CONTRACTIONS:
            sentence = pattern.sub(r" \1 \2 ", sentence)
    return sentence.split()
