"""IFBench's instructions on layout: emoji, brackets, quotation marks, bullets, stairs, case, space.

Comes in: an answer. Goes out: 1 or 0 with what was seen. Rules of allenai/IFBench `instructions.py` @ 6fffd61e
(`format:*`), written anew. Several published rules ask for less than their instruction says; what is checked is what
stands in each docstring here.
"""

from __future__ import annotations

import re
import string
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from sfteval.checks.kinds import Flag, Params
from sfteval.checks.published import Verdict, Word, first_odd, instruction
from sfteval.checks.punkt_sentences import TooLongError, sentences
from sfteval.checks.treebank_words import PUNCTUATION, bare_words, word_tokens

EDGES = PUNCTUATION + " "
CLOSES = {")": "(", "]": "[", "}": "{"}
LETTER_OPTIONS = re.compile(r"\W*[aA]\W*[bB]\W*[cC]\W*")
NO_PUNCTUATION = str.maketrans("", "", PUNCTUATION)
DEEP_BRACKETS, DEEP_QUOTES = 5, 3
MOST_LINES = 5_000
AFTER_QUOTES = string.digits + PUNCTUATION.replace('"', "")


class EmojiSentences(Params):
    """Each sentence ends with an emoji, or the next begins with one; punctuation aside."""

    emoji_sentences: Flag


class IndentStairs(Params):
    """Each line is indented by more spaces than the line before."""

    indent_stairs: Flag


class ListMarker(Params):
    """This marker occurs at least twice."""

    list_marker: Word


class WordPerLine(Params):
    """As many lines as words."""

    word_per_line: Flag


class SentencesThenBullets(Params):
    """Two sentences or more, then two lines or more that begin with *, and nothing after them."""

    sentences_then_bullets: Flag


class NoWhitespace(Params):
    """There is no white space."""

    no_whitespace: Flag


class OneOption(Params):
    """The whole answer is one of the options; case and punctuation around it aside, unless the options are letters."""

    one_option: Annotated[tuple[Word, ...], Field(min_length=1)]
    exact: bool = False


class NestedBrackets(Params):
    """Brackets of any kind are nested five deep, and close."""

    nested_brackets: Flag


class NestedQuotes(Params):
    """Double and single quotation marks are nested three deep by turns, and close."""

    nested_quotes: Flag


class QuotesExplained(Params):
    """No two quotation marks stand next to each other, and the answer does not end with one."""

    quotes_explained: Flag


class SubBullets(Params):
    """Each asterisk has a hyphen somewhere before the next asterisk."""

    sub_bullets: Flag


class ItalicThesis(Params):
    """A passage in HTML italics (<i> or <em>) that is not empty, with text after it."""

    italic_thesis: Flag


class TitleCase(Params):
    """No word is in lower case alone, articles and prepositions too."""

    title_case: Flag


def emoji_sentences(_: EmojiSentences, text: str) -> Verdict:
    """Look at the last two characters of each sentence and the first of the next."""
    from emoji import is_emoji

    bare = [sentence.translate(NO_PUNCTUATION).strip() for sentence in sentences(text)]
    for here, after in zip(bare, [*bare[1:], ""], strict=True):
        if not here or not (any(map(is_emoji, here[-2:])) or is_emoji(after[:1])):
            return False, f"no emoji after {here[-80:]!r}"
    return True, f"{len(bare)} sentences with emoji"


def indent_stairs(_: IndentStairs, text: str) -> Verdict:
    """Compare each line's spaces with those of the line before."""
    steps = [len(line) - len(line.lstrip(" ")) for line in without_blank(text.split("\n"))]
    odd = next((f"{a} spaces, then {b}" for a, b in pairwise(steps) if b <= a), None)
    return first_odd(odd, f"{len(steps)} steps")


def without_blank(lines: list[str]) -> list[str]:
    """Return the lines without blank ones, as the published loop takes them out while it walks: some stay.

    Raises:
        TooLongError: there are more than `MOST_LINES`; the loop takes quadratic time.
    """
    if len(lines) > MOST_LINES:
        msg = f"more than {MOST_LINES} lines"
        raise TooLongError(msg)
    kept, place = list(lines), 0
    while place < len(kept):
        if not kept[place].strip():
            kept.remove(kept[place])
        place += 1
    return kept


def list_marker(params: ListMarker, text: str) -> Verdict:
    """Count the marker."""
    count = text.count(params.list_marker)
    return count >= 2, f"{count} times {params.list_marker!r}, at least 2"


def word_per_line(_: WordPerLine, text: str) -> Verdict:
    """Count both after punctuation is taken out."""
    bare = text.translate(NO_PUNCTUATION).strip()
    lines, words = sum(line != "" for line in bare.split("\n")), len(bare.split())
    return lines == words, f"{lines} lines, {words} words"


def sentences_then_bullets(_: SentencesThenBullets, text: str) -> Verdict:
    """Read line by line; a blank line, too, is no sentence, and ends the prose."""
    count, bullets, prose = 0, 0, True
    for line in map(str.strip, text.split("\n")):
        if line.startswith("*"):
            if count < 2:
                return False, f"{count} sentences before the first bullet, at least 2"
            bullets, prose = bullets + 1, False
        elif not prose:
            return False, f"{line[:80]!r} after the sentences or between bullets"
        else:
            found = len(sentences(line))
            count, prose = count + found, bool(found)
    return bullets >= 2, f"{count} sentences, {bullets} bullets"


def no_whitespace(_: NoWhitespace, text: str) -> Verdict:
    """Look for white space."""
    count = sum(map(str.isspace, text))
    return count == 0, f"{count} times white space"


def one_option(params: OneOption, text: str) -> Verdict:
    """Compare the whole answer."""
    if params.exact:
        return text in params.one_option, f"{text[:80]!r}"
    given = text.strip(EDGES).lower()
    return given in {option.strip(EDGES).lower() for option in params.one_option}, f"{given[:80]!r}"


def split_options(options: str) -> dict[str, object]:
    """Return the `one_option` check of IFBench's options string: split at /, else at "or", else at commas."""
    separator = "/" if "/" in options else "or" if "or" in options else ","
    parts = [option.strip() for option in options.split(separator)]
    return {"one_option": parts, "exact": LETTER_OPTIONS.match(options) is not None}


def nested_brackets(_: NestedBrackets, text: str) -> Verdict:
    """Follow opening and closing; a bracket that does not match starts over."""
    open_ones: list[str] = []
    deepest = 0
    for character in text:
        if character in "([{":
            open_ones.append(character)
            deepest = max(deepest, len(open_ones))
        elif character in CLOSES:
            if not open_ones or open_ones.pop() != CLOSES[character]:
                open_ones, deepest = [], 0
            elif deepest >= DEEP_BRACKETS:
                return True, f"{deepest} deep"
    return False, f"not {DEEP_BRACKETS} deep and closed"


def nested_quotes(_: NestedQuotes, text: str) -> Verdict:
    """Follow the marks; the same mark again closes."""
    open_ones: list[str] = []
    deepest = 0
    for mark in (character for character in text if character in "\"'"):
        if open_ones and open_ones[-1] == mark:
            open_ones.pop()
            if deepest - len(open_ones) >= DEEP_QUOTES:
                return True, f"{deepest} deep"
        else:
            open_ones.append(mark)
            deepest = max(deepest, len(open_ones))
    return False, f"not {DEEP_QUOTES} deep and closed"


def quotes_explained(_: QuotesExplained, text: str) -> Verdict:
    """Take white space out, then look for "" and at the end."""
    body = "".join(text.replace("'\"'", "").split())
    if '""' in body:
        return False, "two quotation marks with nothing between"
    return not body.strip(AFTER_QUOTES).endswith('"'), f"ends {body[-20:]!r}"


def sub_bullets(_: SubBullets, text: str) -> Verdict:
    """Look for a hyphen after each asterisk."""
    parts = text.split("*")[1:]
    odd = next((part for part in parts if "-" not in part), None)
    return first_odd(None if odd is None else f"no hyphen in {odd[:80]!r}", f"{len(parts)} asterisks")


def italic_thesis(_: ItalicThesis, text: str) -> Verdict:
    """Find the first opening tag, its closing tag, and what follows."""
    begin = text.find("<i>") if "<i>" in text else text.find("<em>")
    body = text[begin:] if begin >= 0 else ""
    end = body.find("</i>") if "</i>" in body else body.find("</em>")
    if end < 0:
        return False, "no italics"
    thesis, after = body[3:end].strip(), body[end + 4 :].strip()
    return bool(thesis and after), f"thesis {thesis[:60]!r}, then {after[:20]!r}"


def _small(token: str) -> bool:
    """Return whether a token is in lower case alone, or has its first letter alone in lower case."""
    return token[0].isalpha() and token[0].islower() and (len(token) == 1 or token[1:].islower() or token[1:].isupper())


def title_case(_: TitleCase, text: str) -> Verdict:
    """Look at each Treebank token that begins with a letter."""
    odd = next((token for token in word_tokens(text) if _small(token)), None)
    return first_odd(None if odd is None else f"{odd[:80]!r}", f"{len(bare_words(text))} words")


_SMILE = "Bonds fell \U0001f600. Rates rose \U0001f600."

KINDS = (
    instruction(EmojiSentences, emoji_sentences, {"emoji_sentences": True}, passing=_SMILE, failing="Bonds fell."),
    instruction(IndentStairs, indent_stairs, {"indent_stairs": True}, passing="a\n b\n  c", failing="a\nb"),
    instruction(ListMarker, list_marker, {"list_marker": "!?"}, passing="!? a\n!? b", failing="!? a\n- b"),
    instruction(WordPerLine, word_per_line, {"word_per_line": True}, passing="one\ntwo", failing="one two"),
    instruction(
        SentencesThenBullets,
        sentences_then_bullets,
        {"sentences_then_bullets": True},
        passing="It fell. It rose.\n* a\n* b",
        failing="It fell.\n* a\n* b",
    ),
    instruction(NoWhitespace, no_whitespace, {"no_whitespace": True}, passing="one-two", failing="one two"),
    instruction(OneOption, one_option, {"one_option": ["yes", "no"]}, passing="Yes.", failing="Yes, it is"),
    instruction(NestedBrackets, nested_brackets, {"nested_brackets": True}, passing="([{[(a)]}])", failing="((a))"),
    instruction(NestedQuotes, nested_quotes, {"nested_quotes": True}, passing='"a \'b "c"\'"', failing="\"a 'b'\""),
    instruction(
        QuotesExplained, quotes_explained, {"quotes_explained": True}, passing='"Risk" is loss', failing='I say "risk"'
    ),
    instruction(SubBullets, sub_bullets, {"sub_bullets": True}, passing="* a\n - b", failing="* a\n* b - c"),
    instruction(ItalicThesis, italic_thesis, {"italic_thesis": True}, passing="<i>So</i> it is", failing="<i>So</i>"),
    instruction(TitleCase, title_case, {"title_case": True}, passing="The Price Of", failing="The price"),
)
