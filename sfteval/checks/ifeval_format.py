"""IFEval's instructions on format, content, beginning and end.

Comes in: an answer. Goes out: 1 or 0 with what was seen. The rules are those of the published checker (google-research
`instruction_following_eval`; read in josejg/instruction_following_eval @ 0c495b2f and lm-eval 0.4.13), written anew so
that every one takes time in proportion to the text. Markers and section words are taken literally, not as patterns.
"""

from __future__ import annotations

import json
import re

from sfteval.checks.kinds import Flag, Params
from sfteval.checks.published import Positive, Verdict, Word, instruction
from sfteval.records import Strict

STAR_BULLET = re.compile(r"^[^\S\n]*\*[^*].*$", re.MULTILINE)
DASH_BULLET = re.compile(r"^[^\S\n]*-", re.MULTILINE)
HIGHLIGHT = re.compile(r"\*([^\n*]*)\*")
STRONG = re.compile(r"\*\*([^\n*]*)\*\*")
FENCES = ("```json", "```Json", "```JSON", "```")
POSTSCRIPTS = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}


class Placeholders(Params):
    """At least this many placeholders in square brackets, such as [address]."""

    placeholders: Positive


class Postscript(Params):
    """There is a postscript with this marker, such as P.S.; case is ignored."""

    postscript: Word


class MarkdownBullets(Params):
    """Exactly this many lines that begin with * or -, as IFEval counts them (rules and signs count too)."""

    markdown_bullets: Positive


class Highlights(Params):
    """At least this many passages between asterisks: *so* counts once, **so** too."""

    highlights: Positive


class SectionSpec(Strict):
    """The word that begins a section, and how many sections there are at least."""

    word: Word
    at_least: Positive


class Sections(Params):
    """At least this many sections marked with a word and a number, such as SECTION 1."""

    sections: SectionSpec


class JsonOutput(Params):
    """The whole answer is JSON, a code fence around it aside, by Python's `json` (NaN and repeated keys pass)."""

    json_output: Flag


class AngleTitle(Params):
    """There is a title in double angular brackets, such as <<poem of joy>>."""

    angle_title: Flag


class TwoAnswers(Params):
    """There are two different answers, divided by ******."""

    two_answers: Flag


class FinalPhrase(Params):
    """The answer ends with this phrase, quotation marks around the answer aside; case is ignored."""

    final_phrase: Word


class InDoubleQuotes(Params):
    """The whole answer stands in double quotation marks."""

    in_double_quotes: Flag


def placeholders(params: Placeholders, text: str) -> Verdict:
    """Count pairs of brackets within a line."""
    count = sum(_pairs(line) for line in text.split("\n"))
    return count >= params.placeholders, f"{count} placeholders, at least {params.placeholders}"


def _pairs(line: str) -> int:
    """Count [ with the next ] after it; written so that many [ without ] take no quadratic time."""
    count, end = 0, 0
    while (begin := line.find("[", end)) >= 0 and (end := line.find("]", begin) + 1):
        count += 1
    return count


def postscript(params: Postscript, text: str) -> Verdict:
    """Look for the marker."""
    marker = params.postscript
    pattern = POSTSCRIPTS.get(marker, re.escape(marker.lower()))
    found = re.search(pattern, text.lower())
    return found is not None, f"{marker} {'there' if found else 'missing'}"


def markdown_bullets(params: MarkdownBullets, text: str) -> Verdict:
    """Count lines that begin with a bullet; * needs another character after it."""
    count = len(STAR_BULLET.findall(text)) + len(DASH_BULLET.findall(text))
    return count == params.markdown_bullets, f"{count} bullets, exactly {params.markdown_bullets}"


def highlights(params: Highlights, text: str) -> Verdict:
    """Count single and double asterisks that hold more than white space."""
    inside = HIGHLIGHT.findall(text) + STRONG.findall(text)
    count = sum(bool(each.strip()) for each in inside)
    return count >= params.highlights, f"{count} highlights, at least {params.highlights}"


def sections(params: Sections, text: str) -> Verdict:
    """Count section marks."""
    spec = params.sections
    count = len(re.findall(rf"{re.escape(spec.word)}\s?\d+", text))
    return count >= spec.at_least, f"{count} sections, at least {spec.at_least}"


def json_output(_: JsonOutput, text: str) -> Verdict:
    """Strip each fence once, then parse."""
    body = text.strip()
    for fence in FENCES:
        body = body.removeprefix(fence)
    try:
        json.loads(body.removesuffix("```").strip())
    except (ValueError, RecursionError) as error:
        return False, f"not JSON: {type(error).__name__}"
    return True, "JSON"


def angle_title(_: AngleTitle, text: str) -> Verdict:
    """Look from the first << of a line to its last >>."""
    for line in text.split("\n"):
        begin, end = line.find("<<"), line.rfind(">>")
        if begin >= 0 and end > begin + 2:
            title = line[begin : end + 2].lstrip("<").rstrip(">").strip()
            if title:
                return True, f"title {title!r}"
    return False, "no title"


def two_answers(_: TwoAnswers, text: str) -> Verdict:
    """Count what stands between dividers; only the first and last part may be empty."""
    parts = [part.strip() for part in text.split("******")]
    answers = [part for part in parts if part]
    whole = all(parts[1:-1]) and len(answers) == 2
    different = whole and answers[0] != answers[1]
    return different, f"{len(answers)} answers" + (", the same" if whole and not different else "")


def final_phrase(params: FinalPhrase, text: str) -> Verdict:
    """Compare the ending."""
    end = text.strip().strip('"').lower()
    wanted = params.final_phrase.lower()
    return end.endswith(wanted), f"ends {end[-len(wanted) :]!r}"


def in_double_quotes(_: InDoubleQuotes, text: str) -> Verdict:
    """Compare first and last character."""
    body = text.strip()
    return len(body) > 1 and body[0] == body[-1] == '"', f"begins {body[0]!r}, ends {body[-1]!r}"


KINDS = (
    instruction(Placeholders, placeholders, {"placeholders": 2}, passing="[name], [date]", failing="[name], date"),
    instruction(Postscript, postscript, {"postscript": "P.S."}, passing="Bye.\nP. S. Call me", failing="Bye.\nPS"),
    instruction(MarkdownBullets, markdown_bullets, {"markdown_bullets": 2}, passing="* a\n - b", failing="* a\nb"),
    instruction(Highlights, highlights, {"highlights": 2}, passing="*a* and **b**", failing="*a* and ** **"),
    instruction(
        Sections,
        sections,
        {"sections": {"word": "SECTION", "at_least": 2}},
        passing="SECTION 1\na\nSECTION 2\nb",
        failing="Section 1\na\nSECTION 2",
    ),
    instruction(JsonOutput, json_output, {"json_output": True}, passing='```json\n{"a": 1}\n```', failing="{a: 1}"),
    instruction(AngleTitle, angle_title, {"angle_title": True}, passing="<<Bonds>>\nText", failing="<< >> Text"),
    instruction(TwoAnswers, two_answers, {"two_answers": True}, passing="Yes.\n******\nNo.", failing="a******a"),
    instruction(FinalPhrase, final_phrase, {"final_phrase": "Peace!"}, passing='"Bye. peace!"', failing="Peace! Bye"),
    instruction(InDoubleQuotes, in_double_quotes, {"in_double_quotes": True}, passing=' "Yes." ', failing='"Yes.'),
)
