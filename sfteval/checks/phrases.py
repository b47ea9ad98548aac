"""What an answer says: patterns, required and forbidden phrases, beginnings, endings, one of several labels.

Comes in: an answer. Goes out: 1 or 0 with the phrase or match. Case is ignored unless `ignore_case: false`.
"""

from __future__ import annotations

from typing import Annotated, Any

import regex
from pydantic import Field, StringConstraints

from sfteval.checks.answer import Answer, Outcome, judged
from sfteval.checks.kinds import Params, kind
from sfteval.checks.normal import normalise
from sfteval.checks.patterns import Pattern, search

Phrase = Annotated[str, StringConstraints(min_length=1)]
Phrases = Phrase | Annotated[tuple[Phrase, ...], Field(min_length=1)]


class Regex(Params):
    """The pattern matches somewhere (`regex` package; ^ and $ are the answer's ends unless (?m))."""

    regex: Pattern
    ignore_case: bool = False


class NotRegex(Params):
    """The pattern matches nowhere."""

    not_regex: Pattern
    ignore_case: bool = False


class Contains(Params):
    """Every phrase occurs."""

    contains: Phrases
    ignore_case: bool = True
    whole_words: bool = False


class ContainsAny(Params):
    """At least one of the phrases occurs."""

    contains_any: Phrases
    ignore_case: bool = True
    whole_words: bool = False


class ContainsNone(Params):
    """None of the phrases occurs, and there is an answer."""

    contains_none: Phrases
    ignore_case: bool = True
    whole_words: bool = False


class StartsWith(Params):
    """The answer begins with the phrase."""

    starts_with: Phrase
    ignore_case: bool = True


class EndsWith(Params):
    """The answer ends with the phrase."""

    ends_with: Phrase
    ignore_case: bool = True


class Choices(Params):
    """The whole answer is one of the labels; with `reference: true`, the one in the sample's reference."""

    choices: Annotated[tuple[Phrase, ...], Field(min_length=2)]
    reference: bool = False
    ignore_case: bool = True

    def needs_reference(self) -> bool:
        """Return whether the label must be the reference."""
        return self.reference

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference is one of the labels."""
        return None if reference in self.choices else f"one of the labels {', '.join(self.choices)}"


def matches(params: Regex, answer: Answer) -> Outcome:
    """Search the pattern."""
    found = search(params.regex, answer.text, flags=regex.IGNORECASE * params.ignore_case)
    return judged(found is not None, "no match" if found is None else f"match {found!r}")


def matches_not(params: NotRegex, answer: Answer) -> Outcome:
    """Search the pattern that must not be there."""
    found = search(params.not_regex, answer.text, flags=regex.IGNORECASE * params.ignore_case)
    return judged(found is None, "no match" if found is None else f"match {found!r}")


def occurring(phrases: str | tuple[str, ...], text: str, *, ignore_case: bool, whole_words: bool) -> list[str]:
    """Return the phrases that occur in the text, in the order given."""
    wanted = (phrases,) if isinstance(phrases, str) else phrases
    if whole_words:
        flags = regex.IGNORECASE * ignore_case
        return [each for each in wanted if search(rf"(?<!\w){regex.escape(each)}(?!\w)", text, flags=flags) is not None]
    haystack = text.casefold() if ignore_case else text
    return [each for each in wanted if (each.casefold() if ignore_case else each) in haystack]


def contains(params: Contains, answer: Answer) -> Outcome:
    """Look for every phrase."""
    wanted = (params.contains,) if isinstance(params.contains, str) else params.contains
    found = occurring(wanted, answer.text, ignore_case=params.ignore_case, whole_words=params.whole_words)
    missing = [phrase for phrase in wanted if phrase not in found]
    return judged(not missing, f"missing {', '.join(map(repr, missing))}" if missing else "all there")


def contains_any(params: ContainsAny, answer: Answer) -> Outcome:
    """Look for one phrase."""
    found = occurring(params.contains_any, answer.text, ignore_case=params.ignore_case, whole_words=params.whole_words)
    return judged(bool(found), f"found {found[0]!r}" if found else "none there")


def contains_none(params: ContainsNone, answer: Answer) -> Outcome:
    """Look for forbidden phrases."""
    found = occurring(params.contains_none, answer.text, ignore_case=params.ignore_case, whole_words=params.whole_words)
    return judged(
        not found and bool(answer.text.strip()), f"found {', '.join(map(repr, found))}" if found else "none there"
    )


def starts_with(params: StartsWith, answer: Answer) -> Outcome:
    """Compare the beginning, white space before it aside."""
    text = answer.text.lstrip()
    begin, wanted = text[: len(params.starts_with)], params.starts_with
    same = begin.casefold() == wanted.casefold() if params.ignore_case else begin == wanted
    return judged(same, f"begins {begin!r}")


def ends_with(params: EndsWith, answer: Answer) -> Outcome:
    """Compare the ending, white space after it aside."""
    text = answer.text.rstrip()
    end, wanted = text[-len(params.ends_with) :], params.ends_with
    same = end.casefold() == wanted.casefold() if params.ignore_case else end == wanted
    return judged(same, f"ends {end!r}")


def choices(params: Choices, answer: Answer) -> Outcome:
    """Compare the whole answer with the labels."""
    given = normalise(answer.text, ignore_case=params.ignore_case)
    labels = {normalise(label, ignore_case=params.ignore_case): label for label in params.choices}
    if given not in labels:
        return judged(False, f"{answer.text.strip()[:80]!r} is none of the labels")
    if not params.reference:
        return judged(True, f"label {labels[given]!r}")
    expected = normalise(str(answer.reference), ignore_case=params.ignore_case)
    return judged(given == expected, f"label {labels[given]!r}, reference {answer.reference!r}")


_LABELS = {"choices": ["positive", "negative"]}

KINDS = (
    kind(Regex, matches, {"regex": r"\d{4}-\d\d-\d\d"}, passing="on 2024-05-01", failing="on 1 May"),
    kind(NotRegex, matches_not, {"not_regex": r"(?i)as an ai"}, passing="Paris.", failing="As an AI, I cannot say."),
    kind(Contains, contains, {"contains": ["red", "blue"]}, passing="Blue and red", failing="Blue"),
    kind(ContainsAny, contains_any, {"contains_any": ["red", "blue"]}, passing="Blue", failing="Green"),
    kind(ContainsNone, contains_none, {"contains_none": ["sorry"]}, passing="Of course.", failing="Sorry, no."),
    kind(StartsWith, starts_with, {"starts_with": "Dear"}, passing="Dear Ann,", failing="Hello Ann,"),
    kind(EndsWith, ends_with, {"ends_with": "Regards."}, passing="Thanks. Regards.\n", failing="Regards. Bob"),
    kind(Choices, choices, _LABELS, passing="Positive.", failing="It is positive"),
)
