"""Words as the published instruction checkers see them.

Comes in: text. Goes out: runs of word characters, or the tokens of the Penn Treebank convention by the rules of
NLTK 3.8.1 (`nltk/tokenize/destructive.py`), sentence by sentence: punctuation apart, contractions in two.
"""

from __future__ import annotations

import re
import string

from sfteval.checks.punkt_sentences import sentences

PUNCTUATION = string.punctuation
_RUN = re.compile(r"\w+")
_NO_PUNCTUATION = str.maketrans("", "", PUNCTUATION)

_CONTRACTED = ("can not", "d 'ye", "gim me", "gon na", "got ta", "lem me", "more 'n")
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"([«“‘„]|`+)", r" \1 "),
        (r'^"', "``"),
        (r"``", " `` "),
        (r"([ (\[{<])(?:\"|'{2})", r"\1 `` "),
        (r"(?i)'(?!re|ve|ll|m|t|s|d|n)(\w)\b", r"' \1"),
        (r"([^.])\.([\])}>\"'»”’ ]*+)\s*$", r"\1 . \2 "),
        (r"([:,])([^\d])", r" \1 \2"),
        (r"([:,])$", r" \1 "),
        (r"(\.{2,})", r" \1 "),
        (r"([;@#$%&])", r" \1 "),
        (r"([\u2012-\u2015])", r" \1 "),
        (r"([^.])\.([\])}>\"']*+)\s*$", r"\1 .\2 "),
        (r"([?!])", r" \1 "),
        (r"([^'])' ", r"\1 ' "),
        (r"([*])", r" \1 "),
        (r"([\]\[(){}<>])", r" \1 "),
        (r"--", " -- "),
        (r"\A|\Z", " "),
        (r"([»”’])", r" \1 "),
        (r"''", " '' "),
        (r'"', " '' "),
        (r"\s+", " "),
        (r"([^' ])('[sS]|'[mM]|'[dD]|') ", r"\1 \2 "),
        (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r"\1 \2 "),
        *((r"(?i)\b({})({})\b".format(*pair.split()), r" \1 \2 ") for pair in _CONTRACTED),
        (r"(?i)\b(wan)(na)(?=\s)", r" \1 \2 "),
        (r"(?i) ('t)(is|was)\b", r" \1 \2 "),
    )
)


def word_runs(text: str) -> list[str]:
    """Return the runs of letters, digits and underscores: what the published checkers count as words."""
    return _RUN.findall(text)


def bare_words(text: str) -> list[str]:
    """Return the words between white space after all ASCII punctuation is taken out."""
    return text.translate(_NO_PUNCTUATION).split()


def word_tokens(text: str) -> list[str]:
    """Return the Treebank tokens of every sentence. Raises TooLongError."""
    found = sentences(text)
    known = {sentence: sentence_tokens(sentence) for sentence in set(found)}
    return [token for sentence in found for token in known[sentence]]


def sentence_tokens(sentence: str) -> list[str]:
    """Return the Treebank tokens of one sentence."""
    for pattern, replacement in _RULES:
        sentence = pattern.sub(replacement, sentence)
    return sentence.split()
