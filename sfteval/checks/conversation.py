"""How an answer stands to what the user said: same language, an answer and no continuation, no refusal.

Comes in: an answer with its conversation. Goes out: 1 or 0 with what was seen; no score without a user's turn.
"""

from __future__ import annotations

import re

from sfteval.checks.answer import Answer, Outcome, judged, unjudged
from sfteval.checks.documents import split_code
from sfteval.checks.kinds import Flag, Params, kind
from sfteval.checks.languages import language_of, likely_languages
from sfteval.checks.punkt_sentences import TooLongError
from sfteval.records import Message

NO_TURN = "no user's turn in the conversation"
ECHOED_WORDS = 6
OPENING = 400
MIDDLE_MARK = re.compile(r"\s*(?:[,;?!)\]}]|[.:](?![.\w)(DP]))")
CONTINUES = re.compile(r"\s*(?:and|or|but|nor|which|who|whose|that|of|than|because)\b")
END_MARK = re.compile(r"[.!?:;。！？…\"'”’)\]}`*>|]\s*$")
REFUSAL = re.compile(
    r"\b(?:"
    r"I(?:['’]m| am) sorry,? (?:but|however)"
    r"|I(?:['’]m| am) (?:unable|not able) to (?:help|assist|answer|provide|do|fulfil|comply|discuss|support|give|offer)"
    r"|I (?:can(?:['’]t|not| not)|won['’]t|will not) (?:help|assist|answer|provide|do that|do this|fulfil|comply"
    r"|discuss|support|give|offer|engage|generate|create|write|share|process|continue|recommend|advise)"
    r"|as an? (?:AI|artificial intelligence)(?: language)?(?: model| assistant)?,? I"
    r" (?:can(?:['’]t|not| not)|do not|don['’]t|am not|am unable)"
    r"|I (?:must|have to) (?:decline|refuse)|I(?:['’]d| would) (?:rather|prefer) not|I decline to"
    r"|I (?:do not|don['’]t) feel comfortable|(?:goes )?against my (?:guidelines|programming|policy|policies)"
    r")",
    re.IGNORECASE,
)


class LanguageKept(Params):
    """The answer is in the language of the last user message, told by `langdetect`; code blocks do not count.

    It fails where another language is clearly told (the user's has less than one tenth of the probability), so that
    a name or a short word passes. An answer without letters passes.
    """

    language_kept: Flag


class NoContinuation(Params):
    """The answer does not carry on the user's turn, as base models do.

    It begins neither with a mark that stands inside a sentence, nor with the last user message's own first words (six,
    or all of them), nor, where that message has no end mark, with a word such as "and", "which" or "of" in lower case.
    """

    no_continuation: Flag


class NotRefused(Params):
    """The model does not refuse: no English phrase of refusal in the first 400 characters, and there is an answer."""

    not_refused: Flag


def last_user_turn(answer: Answer) -> str | None:
    """Return what the user said last, None in a conversation without a user."""
    return next((each.content for each in reversed(answer.messages) if each.role == "user"), None)


def language_kept(_: LanguageKept, answer: Answer) -> Outcome:
    """Tell both languages."""
    asked = last_user_turn(answer)
    if asked is None:
        return unjudged(NO_TURN)
    if not answer.text.strip():
        return judged(False, "no answer")
    try:
        wanted, likely = language_of(_prose(asked)), likely_languages(_prose(answer.text))
    except TooLongError as error:
        return unjudged(str(error))
    if wanted is None:
        return unjudged("the user's turn has no letters")
    if not likely:
        return judged(True, "no letters")
    return judged(wanted in likely, f"{' or '.join(likely)}, the user wrote {wanted}")


def _prose(text: str) -> str:
    """Return a text without its code blocks; unchanged without any, so that one text's language is told once."""
    prose, blocks = split_code(text)
    return prose if blocks else text


def no_continuation(_: NoContinuation, answer: Answer) -> Outcome:
    """Look at how the answer begins."""
    asked = last_user_turn(answer)
    if asked is None:
        return unjudged(NO_TURN)
    opening = answer.text[:OPENING]
    if not opening.strip():
        return judged(False, "no answer")
    inside = MIDDLE_MARK.match(opening) or (None if END_MARK.search(asked[-OPENING:]) else CONTINUES.match(opening))
    if inside:
        return judged(False, f"begins {inside.group(0).strip()!r}")
    first = re.findall(r"\w+", asked[:OPENING].casefold())[:ECHOED_WORDS]
    same = len(first) > 2 and re.findall(r"\w+", opening.casefold())[: len(first)] == first
    return judged(not same, f"begins as the user: {' '.join(first)!r}" if same else "begins anew")


def not_refused(_: NotRefused, answer: Answer) -> Outcome:
    """Look for phrases of refusal."""
    opening = answer.text.lstrip()[:OPENING]
    found = REFUSAL.search(opening)
    if not opening:
        return judged(False, "no answer")
    return judged(found is None, f"found {found.group(0)!r}" if found else "no refusal")


_ASKED = (Message(role="user", content="Wie spät ist es jetzt in Tokio, und welches Datum ist dort?"),)
_STORY = (Message(role="user", content="Tell me about the bridges of Paris"),)

KINDS = (
    kind(
        LanguageKept,
        language_kept,
        {"language_kept": True},
        passing=Answer("In Tokio ist es jetzt neun Uhr abends, und dort ist schon der zweite Mai.", messages=_ASKED),
        failing=Answer("It is nine in the evening in Tokyo, and the date there is the second of May.", messages=_ASKED),
    ),
    kind(
        NoContinuation,
        no_continuation,
        {"no_continuation": True},
        passing=Answer("Paris has 37 bridges over the Seine.", messages=_STORY),
        failing=Answer(" and the history of the Seine.", messages=_STORY),
    ),
    kind(
        NotRefused,
        not_refused,
        {"not_refused": True},
        passing="To kill a Python process, send it SIGTERM.",
        failing="I'm sorry, but I can't help with killing a process.",
    ),
)
