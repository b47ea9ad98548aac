"""Tone and style of English answers: reading grade, person, register, hedging, emoji, politeness.

Comes in: an answer; code blocks do not count. Goes out: 1 or 0 with what was seen; an empty answer has no style and
fails. Word lists and formulas, no model: they see surface only. What they cannot see is a judge's work.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sfteval.checks.documents import split_code
from sfteval.checks.kinds import Flag, Params, author_fault
from sfteval.checks.lengths import count_sentences
from sfteval.checks.published import Bound, Verdict, instruction
from sfteval.checks.syllables import syllables
from sfteval.records import Strict

Person = Literal["I", "we", "you", "they"]
Persons = Annotated[tuple[Person, ...], Field(min_length=1)] | Person
LETTERS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def _words(phrases: str) -> re.Pattern[str]:
    """Return the pattern of any of the phrases (one a line), as whole words, with either apostrophe."""
    written = [re.escape(phrase.strip()).replace("'", "['’]") for phrase in phrases.strip().splitlines()]
    return re.compile(rf"\b(?:{'|'.join(written)})\b", re.IGNORECASE)


PRONOUNS: dict[Person, re.Pattern[str]] = {
    "I": re.compile(r"\bI\b|\b(?:[Mm]e|[Mm]y|[Mm]ine|[Mm]yself)\b"),
    "we": re.compile(r"\b(?:[Ww]e|us|Us|[Oo]urs?|[Oo]urselves)\b"),
    "you": re.compile(r"\b(?:you|yours?|yoursel(?:f|ves))\b", re.IGNORECASE),
    "they": re.compile(r"\b(?:s?he|they|him|her|them|his|hers|theirs?|(?:him|her)self|themselves)\b", re.IGNORECASE),
}
"""Personal and possessive pronouns; US is a country."""
CONTRACTION = re.compile(
    r"\b(?:\w{1,12}n['’]t|(?:I|you|we|they|he|she|it|that|there|here|what|who|how|where|let)['’](?:m|re|ve|ll|d|s))\b",
    re.IGNORECASE,
)
CHAT_WORD = re.compile(
    r"\b(?:gonna|wanna|gotta|kinda|sorta|dunno|lemme|gimme|y['’]all|yeah|yep|yup|nope|nah|hey|hiya|lol|omg|btw|imo"
    r"|tbh|thx|pls|cuz|awesome|guys|stuff|super (?:easy|fun|cool|nice)|cool)\b",
    re.IGNORECASE,
)
SHOUT = re.compile(r"[!?]{2,}")
HEDGE = re.compile(
    r"\b(?:perhaps|maybe|possibly|probably|presumably|supposedly|arguably|apparently|seemingly|conceivably|might|likely"
    r"|(?-i:may)|could be|seems?|appears? to|tends? to|somewhat|sort of|kind of|more or less|generally speaking|to some"
    r" extent|in some cases|it(?:['’]s| is) possible|I(?: would|['’]d)? (?:think|believe|guess|suppose|assume)|as far"
    r" as I know|not (?:quite |entirely )?(?:sure|certain))\b",
    re.IGNORECASE,
)
COURTESY = _words(
    """
    please
    thank you
    thanks
    you're welcome
    you are welcome
    my pleasure
    happy to
    glad to
    I appreciate
    we appreciate
    apologies
    I apologise
    I apologize
    I'm sorry
    I am sorry
    we are sorry
    excuse me
    kindly
    would you mind
    could you
    kind regards
    best regards
    sincerely
    have a nice
    have a great
    have a good
    have a lovely
    good morning
    good afternoon
    good evening
    let me know if
    feel free
    """
)
RUDE = _words(
    """
    stupid
    idiot
    idiots
    idiotic
    dumb
    moron
    shut up
    pathetic
    loser
    go away
    get lost
    not my problem
    how should I know
    figure it out yourself
    are you kidding
    as I already said
    as I already told you
    waste of time
    wtf
    crap
    bullshit
    damn
    fuck
    fucking
    shit
    asshole
    """
)


class GradeRange(Strict):
    """Limits of a school grade: `at_least`, `at_most`, or both."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> GradeRange:
        if self.at_least is None and self.at_most is None:
            raise author_fault("no limit", "at_least or at_most")
        return self


class ReadingGrade(Params):
    """The English text reads at a school grade within limits, by the Flesch-Kincaid formula.

    0.39 words per sentence + 11.8 syllables per word - 15.59 (Kincaid et al. 1975); a line ends a sentence too.
    Steady from about 100 words on.
    """

    reading_grade: GradeRange


class PersonUse(Strict):
    """Persons that must occur (`uses`), and persons that must not (`avoids`): I, we, you, they (with he and she)."""

    uses: Persons | None = None
    avoids: Persons | None = None

    @model_validator(mode="after")
    def _says_something(self) -> PersonUse:
        if self.uses is None and self.avoids is None:
            raise author_fault("no person", "uses or avoids")
        return self


class GrammaticalPerson(Params):
    """The answer speaks in these persons and not in those, by English pronouns (I, me, my; we; you; they, he, she)."""

    person: PersonUse


class Register(Params):
    """The English answer is formal (no contractions, chat words, emoji or !!), or informal (one of them at least)."""

    register_: Annotated[Literal["formal", "informal"], Field(alias="register")]


class Hedges(Params):
    """So many English hedges, such as perhaps, might, seems, I think, it is possible."""

    hedges: Bound


class Emoji(Params):
    """So many emoji."""

    emoji: Bound


class Polite(Params):
    """There is a courtesy (please, thank you, happy to) and nothing rude (stupid, shut up, not my problem)."""

    polite: Flag


def flesch_kincaid(text: str) -> float | None:
    """Return the school grade of an English text, None without words. Syllables by `syllapy`."""
    words = LETTERS.findall(text)
    if not words:
        return None
    lines = (line for line in text.splitlines() if LETTERS.search(line))
    sentences = sum(max(count_sentences(line), 1) for line in lines)
    known = {word: max(syllables(word), 1) for word in set(words)}
    total = sum(known[word] for word in words)
    return 0.39 * len(words) / sentences + 11.8 * total / len(words) - 15.59


def reading_grade(params: ReadingGrade, text: str) -> Verdict:
    """Compute the grade."""
    grade, limits = flesch_kincaid(split_code(text)[0]), params.reading_grade
    if grade is None:
        return False, "no words"
    low = limits.at_least is None or grade >= limits.at_least
    high = limits.at_most is None or grade <= limits.at_most
    wanted = {"at least": limits.at_least, "at most": limits.at_most}
    words = ", ".join(f"{name} {limit:g}" for name, limit in wanted.items() if limit is not None)
    return low and high, f"grade {grade:.1f}, {words}"


def person(params: GrammaticalPerson, text: str) -> Verdict:
    """Look for pronouns."""
    prose = split_code(text)[0]
    found = {name: pattern.search(prose) for name, pattern in PRONOUNS.items()}
    missing = [name for name in _each(params.person.uses) if not found[name]]
    if missing:
        return False, f"nothing in the person {missing[0]!r}"
    wrong = next((match.group(0) for name in _each(params.person.avoids) if (match := found[name])), None)
    return wrong is None, f"found {wrong!r}" if wrong else "as asked"


def _each(persons: Person | tuple[Person, ...] | None) -> tuple[Person, ...]:
    return persons if isinstance(persons, tuple) else (() if persons is None else (persons,))


def register(params: Register, text: str) -> Verdict:
    """Look for signs of informal writing."""
    prose = split_code(text)[0]
    signs = (pattern.search(prose) for pattern in (CONTRACTION, CHAT_WORD, SHOUT))
    sign = next((match.group(0) for match in signs if match), None)
    if sign is None and count_emoji(prose):
        sign = "an emoji"
    informal = sign is not None
    return informal == (params.register_ == "informal"), f"found {sign!r}" if informal else "no informal sign"


def hedges(params: Hedges, text: str) -> Verdict:
    """Count hedges."""
    return params.hedges.judge(len(HEDGE.findall(split_code(text)[0])), "hedges")


def count_emoji(text: str) -> int:
    """Return the number of emoji; a sequence such as a flag counts once."""
    import emoji as emoji_data

    return 0 if text.isascii() else emoji_data.emoji_count(text)


def emoji(params: Emoji, text: str) -> Verdict:
    """Count emoji."""
    return params.emoji.judge(count_emoji(text), "emoji")


def polite(_: Polite, text: str) -> Verdict:
    """Look for courtesies and rude words."""
    rude, courtesy = RUDE.search(text), COURTESY.search(text)
    if rude:
        return False, f"found {rude.group(0)!r}"
    return courtesy is not None, f"found {courtesy.group(0)!r}" if courtesy else "no courtesy"


KINDS = (
    instruction(
        ReadingGrade,
        reading_grade,
        {"reading_grade": {"at_most": 8}},
        passing="The cat sat on the mat. It was warm.",
        failing="Notwithstanding considerable macroeconomic uncertainty, institutional investors reallocated capital.",
    ),
    instruction(
        GrammaticalPerson,
        person,
        {"person": {"uses": "you", "avoids": ["I", "we"]}},
        passing="You can pay by card.",
        failing="I think you can pay by card.",
    ),
    instruction(
        Register,
        register,
        {"register": "formal"},
        passing="We do not accept returns.",
        failing="Nope, we don't take returns!!",
    ),
    instruction(
        Hedges,
        hedges,
        {"hedges": {"at_most": 1}},
        passing="Rates will probably fall.",
        failing="I think rates might fall, perhaps in May.",
    ),
    instruction(Emoji, emoji, {"emoji": {"at_most": 0}}, passing="Well done!", failing="Well done! 🎉"),
    instruction(
        Polite,
        polite,
        {"polite": True},
        passing="Thank you for asking. It opens at nine.",
        failing="Figure it out yourself, please.",
    ),
)
