"""How long and how arranged: words, sentences, lines, bullets, characters, letter case.

Comes in: an answer. Goes out: 1 or 0 with the count that was seen. Words are separated by white space; sentences end
with . ! or ? (also full-width) before white space or the end.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from sfteval.checks.answer import Answer, Outcome, judged
from sfteval.checks.kinds import Flag, Params, kind

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
BULLET = re.compile(r"^[ \t]*[-*•+][ \t]+\S", re.MULTILINE)
SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|$)|[。！？]+")


class MaxWords(Params):
    """At most this many words."""

    max_words: Count


class MinWords(Params):
    """At least this many words."""

    min_words: Positive


class MaxSentences(Params):
    """At most this many sentences."""

    max_sentences: Positive


class ExactlyLines(Params):
    """Exactly this many lines that are not blank."""

    exactly_lines: Positive


class Bullets(Params):
    """Exactly this many bullet points (-, *, + or •); with `or_more`, at least this many."""

    bullets: Positive
    or_more: bool = False


class MaxChars(Params):
    """At most this many characters, white space around the answer not counted."""

    max_chars: Count


class Lowercase(Params):
    """All letters are lower case, and there is one."""

    lowercase: Flag


class Uppercase(Params):
    """All letters are capitals, and there is one."""

    uppercase: Flag


class NoCommas(Params):
    """There is no comma, and there is an answer."""

    no_commas: Flag


def count_words(text: str) -> int:
    """Return the number of words."""
    return len(text.split())


def count_sentences(text: str) -> int:
    """Return the number of sentences; a rest without an end mark counts as one."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    rest = text[ends[-1] :] if ends else text
    return len(ends) + bool(re.search(r"\w", rest))


def max_words(params: MaxWords, answer: Answer) -> Outcome:
    """Count words against the limit."""
    count = count_words(answer.text)
    return judged(count <= params.max_words, f"{count} words, at most {params.max_words}")


def min_words(params: MinWords, answer: Answer) -> Outcome:
    """Count words against the floor."""
    count = count_words(answer.text)
    return judged(count >= params.min_words, f"{count} words, at least {params.min_words}")


def max_sentences(params: MaxSentences, answer: Answer) -> Outcome:
    """Count sentences against the limit."""
    count = count_sentences(answer.text)
    return judged(count <= params.max_sentences, f"{count} sentences, at most {params.max_sentences}")


def exactly_lines(params: ExactlyLines, answer: Answer) -> Outcome:
    """Count lines that are not blank."""
    count = sum(bool(line.strip()) for line in answer.text.splitlines())
    return judged(count == params.exactly_lines, f"{count} lines, exactly {params.exactly_lines}")


def bullets(params: Bullets, answer: Answer) -> Outcome:
    """Count bullet points."""
    count = len(BULLET.findall(answer.text))
    enough = count >= params.bullets if params.or_more else count == params.bullets
    return judged(enough, f"{count} bullets, {'at least' if params.or_more else 'exactly'} {params.bullets}")


def max_chars(params: MaxChars, answer: Answer) -> Outcome:
    """Count characters against the limit."""
    count = len(answer.text.strip())
    return judged(count <= params.max_chars, f"{count} characters, at most {params.max_chars}")


def lowercase(_: Lowercase, answer: Answer) -> Outcome:
    """Look for capitals."""
    capital = next((letter for letter in answer.text if letter.isupper()), None)
    return judged(answer.text.islower(), f"capital {capital!r}" if capital else "no capital")


def uppercase(_: Uppercase, answer: Answer) -> Outcome:
    """Look for lower-case letters."""
    small = next((letter for letter in answer.text if letter.islower()), None)
    return judged(answer.text.isupper(), f"lower-case {small!r}" if small else "no lower-case letter")


def no_commas(_: NoCommas, answer: Answer) -> Outcome:
    """Count commas, full-width and Arabic ones too."""
    count = sum(answer.text.count(comma) for comma in ",，、،")
    return judged(count == 0 and bool(answer.text.strip()), f"{count} commas")


KINDS = (
    kind(MaxWords, max_words, {"max_words": 3}, passing="one two three", failing="one two three four"),
    kind(MinWords, min_words, {"min_words": 3}, passing="one two three", failing="one two"),
    kind(MaxSentences, max_sentences, {"max_sentences": 1}, passing="It is 3.5 m long.", failing="It is. Is it?"),
    kind(ExactlyLines, exactly_lines, {"exactly_lines": 2}, passing="red\n\nblue\n", failing="red"),
    kind(Bullets, bullets, {"bullets": 2}, passing="- red\n- blue", failing="red\n- blue"),
    kind(MaxChars, max_chars, {"max_chars": 5}, passing=" short ", failing="longer"),
    kind(Lowercase, lowercase, {"lowercase": True}, passing="all low, 3", failing="Not low"),
    kind(Uppercase, uppercase, {"uppercase": True}, passing="ALL UP, 3", failing="NOT up"),
    kind(NoCommas, no_commas, {"no_commas": True}, passing="red and blue", failing="red, blue"),
)
