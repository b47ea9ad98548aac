"""IFEval's instructions on words, letters, lengths, case and language.

Comes in: an answer. Goes out: 1 or 0 with the count that was seen. The rules are those of the published checker
(google-research `instruction_following_eval`; read in josejg/instruction_following_eval @ 0c495b2f and lm-eval 0.4.13),
written anew. Two differences, where the published checker leaves things to chance: languages are told with a seed, and
`letter_count` counts the character that it is given, also when that is no letter (IFEval's keys 1122 and 1129, where
the published checker draws a random letter instead). Keywords are taken literally, not as patterns.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints, model_validator

from sfteval.checks.kinds import Flag, Params, author_fault
from sfteval.checks.languages import Language, language_of
from sfteval.checks.published import Bound, Positive, Verdict, Word, instruction
from sfteval.checks.punkt_sentences import sentences
from sfteval.checks.treebank_words import word_runs, word_tokens
from sfteval.records import Strict

MARKS_AFTER_A_WORD = re.compile(r"[.,?!'\"]")


class KeywordSpec(Bound):
    """The keyword and the limits of its count."""

    word: Word


class KeywordCount(Params):
    """A keyword occurs so many times, also inside longer words; case is ignored."""

    keyword_count: KeywordSpec


class LetterSpec(Bound):
    """The letter (any one character) and the limits of its count."""

    letter: Annotated[str, StringConstraints(min_length=1, max_length=1)]


class LetterCount(Params):
    """A letter occurs so many times; case is ignored."""

    letter_count: LetterSpec


class WordCount(Params):
    """So many words, counted as runs of letters, digits and underscores."""

    word_count: Bound


class SentenceCount(Params):
    """So many sentences, split by the Punkt method with NLTK's English parameters."""

    sentence_count: Bound


class CapitalWords(Params):
    """So many words in capitals, among Treebank tokens (hyphenated words are one, single letters count)."""

    capital_words: Bound


class DividedParagraphs(Params):
    """Exactly this many paragraphs, divided by ***, none of them empty."""

    divided_paragraphs: Positive


class ParagraphSpec(Strict):
    """Number of paragraphs, which of them (from 1), and its first word."""

    paragraphs: Positive
    nth: Positive
    word: Word

    @model_validator(mode="after")
    def _exists(self) -> ParagraphSpec:
        if self.nth > self.paragraphs:
            raise author_fault(f"nth {self.nth} of {self.paragraphs} paragraphs", "nth no larger than paragraphs")
        return self


class ParagraphStart(Params):
    """So many paragraphs divided by blank lines, of which the nth begins with a word."""

    paragraph_start: ParagraphSpec


class InLanguage(Params):
    """The answer is in a language, told by `langdetect`; an answer without letters passes, as published."""

    language: Language


class EnglishCapitals(Params):
    """The answer is in English and all capitals."""

    english_capitals: Flag


class EnglishLowercase(Params):
    """The answer is in English and all lower case."""

    english_lowercase: Flag


def keyword_count(params: KeywordCount, text: str) -> Verdict:
    """Count a keyword."""
    spec = params.keyword_count
    count = len(re.findall(re.escape(spec.word), text, flags=re.IGNORECASE))
    return spec.judge(count, f"times {spec.word!r}")


def letter_count(params: LetterCount, text: str) -> Verdict:
    """Count a letter."""
    spec = params.letter_count
    return spec.judge(text.lower().count(spec.letter.lower()), f"times {spec.letter!r}")


def word_count(params: WordCount, text: str) -> Verdict:
    """Count words."""
    return params.word_count.judge(len(word_runs(text)), "words")


def sentence_count(params: SentenceCount, text: str) -> Verdict:
    """Count sentences."""
    return params.sentence_count.judge(len(sentences(text)), "sentences")


def capital_words(params: CapitalWords, text: str) -> Verdict:
    """Count words in capitals."""
    return params.capital_words.judge(sum(token.isupper() for token in word_tokens(text)), "words in capitals")


def divided_paragraphs(params: DividedParagraphs, text: str) -> Verdict:
    """Count what stands between dividers; only the first and last part may be empty, and then do not count."""
    parts = [bool(part.strip()) for part in re.split(r"\s?\*\*\*\s?", text)]
    if not all(parts[1:-1]):
        return False, "an empty paragraph between two dividers"
    count = sum(parts)
    return count == params.divided_paragraphs, f"{count} paragraphs, exactly {params.divided_paragraphs}"


def paragraph_start(params: ParagraphStart, text: str) -> Verdict:
    """Count paragraphs and read the first word of one; empty ones do not count but keep their place."""
    spec = params.paragraph_start
    parts = [part.strip() for part in text.split("\n\n")]
    count = sum(map(bool, parts))
    if spec.nth > count or not parts[spec.nth - 1]:
        return False, f"no paragraph {spec.nth}; {count} paragraphs, exactly {spec.paragraphs}"
    word = parts[spec.nth - 1].split()[0].lstrip("'").lstrip('"')
    first = MARKS_AFTER_A_WORD.split(word)[0].lower()
    same = first == spec.word.lower()
    return count == spec.paragraphs and same, f"{count} paragraphs, exactly {spec.paragraphs}; begins {first!r}"


def in_language(params: InLanguage, text: str) -> Verdict:
    """Tell the language."""
    found = language_of(text)
    return found is None or found == params.language, f"language {found or 'cannot be told'}, wanted {params.language}"


def _english(right_case: bool, text: str, case: str) -> Verdict:
    if not right_case:
        return False, f"not all {case}"
    found = language_of(text)
    return found is None or found == "en", f"all {case}, language {found or 'cannot be told'}"


def english_capitals(_: EnglishCapitals, text: str) -> Verdict:
    """Look at case, then at the language."""
    return _english(text.isupper(), text, "capitals")


def english_lowercase(_: EnglishLowercase, text: str) -> Verdict:
    """Look at case, then at the language."""
    return _english(text.islower(), text, "lower case")


_GERMAN = "Der Zinssatz steigt, und der Kurs der Anleihe fällt deshalb."
_ENGLISH = "the interest rate rises, and so the price of the bond falls."
_START = {"paragraphs": 2, "nth": 2, "word": "risk"}

KINDS = (
    instruction(
        KeywordCount,
        keyword_count,
        {"keyword_count": {"word": "risk", "at_least": 2}},
        passing="Risk is risky.",
        failing="Risk.",
    ),
    instruction(
        LetterCount, letter_count, {"letter_count": {"letter": "e", "less_than": 2}}, passing="Red", failing="Eve"
    ),
    instruction(WordCount, word_count, {"word_count": {"at_least": 3}}, passing="a well-known", failing="two words"),
    instruction(
        SentenceCount,
        sentence_count,
        {"sentence_count": {"less_than": 2}},
        passing="Dr. Lee paid $3.50.",
        failing="He paid. She left.",
    ),
    instruction(
        CapitalWords,
        capital_words,
        {"capital_words": {"at_least": 2}},
        passing="The ECB and the FED",
        failing="THE ecb",
    ),
    instruction(
        DividedParagraphs, divided_paragraphs, {"divided_paragraphs": 2}, passing="a\n***\nb", failing="a\n\nb"
    ),
    instruction(
        ParagraphStart, paragraph_start, {"paragraph_start": _START}, passing="Duration.\n\nRisk, too.", failing="Risk."
    ),
    instruction(InLanguage, in_language, {"language": "de"}, passing=_GERMAN, failing=_ENGLISH),
    instruction(
        EnglishCapitals, english_capitals, {"english_capitals": True}, passing=_ENGLISH.upper(), failing=_ENGLISH
    ),
    instruction(
        EnglishLowercase, english_lowercase, {"english_lowercase": True}, passing=_ENGLISH, failing=_GERMAN.lower()
    ),
)
