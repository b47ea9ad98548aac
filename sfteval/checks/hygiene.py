"""Chat hygiene: the turn ends, nothing is empty, cut, leaked or looping.

Comes in: an answer with its finish reason. Goes out: 1 or 0 with what was seen; without a finish reason (answers read
from a file) there is no score.
"""

from __future__ import annotations

import re
from itertools import groupby
from operator import eq
from typing import Annotated

from pydantic import Field

from sfteval.checks.answer import Answer, Outcome, judged, unknowable
from sfteval.checks.kinds import Flag, Params, kind
from sfteval.records import FinishReason

SPECIAL_TOKEN = re.compile(
    r"<\|[a-z0-9_ .-]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>"
    r"|<｜[^｜\n]{1,40}｜>",
    re.IGNORECASE,
)
ROLE_LINE = re.compile(
    r"(?:^|\n)[ \t]*(?:###? ?)?(user|human|assistant|system|instruction|response)[ \t]*:", re.IGNORECASE
)
WORD = re.compile(r"[぀-ヿ一-鿿가-힯]|\w+")
LAST_WORDS = 6000
LONGEST_BLOCK = 60
SHORTEST_LOOP = 12
NO_REASON = "no finish reason: nobody recorded how this answer ended"


class EndsTurn(Params):
    """The model ended its turn by itself (end-of-turn token), not at a stop string or the limit."""

    ends_turn: Flag


class NotEmpty(Params):
    """There is an answer: at least one character that is no white space."""

    not_empty: Flag


class NotCut(Params):
    """The answer was not cut at the token limit."""

    not_cut: Flag


class NoSpecialTokens(Params):
    """No special token or template mark leaked into the text, such as <|im_end|>, </s> or [INST]."""

    no_special_tokens: Flag


class NoRoleLeakage(Params):
    """No line begins with a role (User:, Assistant:, ### Instruction:), so the model does not play the user."""

    no_role_leakage: Flag


class NoRepetition(Params):
    """No block of up to 60 words stands `times` times in a row over 12 words or more (last 6,000 words)."""

    no_repetition: Flag
    times: Annotated[int, Field(ge=2)] = 4


def ends_turn(_: EndsTurn, answer: Answer) -> Outcome:
    """Read the finish reason."""
    if answer.finish_reason is None:
        return unknowable(NO_REASON)
    return judged(answer.finish_reason is FinishReason.END_TURN, f"finish reason {answer.finish_reason.value}")


def not_cut(_: NotCut, answer: Answer) -> Outcome:
    """Read the finish reason."""
    if answer.finish_reason is None:
        return unknowable(NO_REASON)
    return judged(answer.finish_reason is not FinishReason.LENGTH, f"finish reason {answer.finish_reason.value}")


def not_empty(_: NotEmpty, answer: Answer) -> Outcome:
    """Look for anything visible."""
    return judged(bool(answer.text.strip()), f"{len(answer.text)} characters")


def no_special_tokens(_: NoSpecialTokens, answer: Answer) -> Outcome:
    """Look for template marks."""
    found = SPECIAL_TOKEN.search(answer.text)
    return judged(found is None, f"found {found.group(0)!r}" if found else "none")


def no_role_leakage(_: NoRoleLeakage, answer: Answer) -> Outcome:
    """Look for lines that begin with a role."""
    found = ROLE_LINE.search(answer.text)
    return judged(found is None, f"found {found.group(0).strip()!r}" if found else "none")


def longest_loop(words: list[str], times: int) -> tuple[int, int]:
    """Return (words in the block, repeats) of the first loop found, shortest block first; (0, 0) without one."""
    for size in range(1, min(LONGEST_BLOCK, len(words) // times) + 1):
        shortest = max(size * times, SHORTEST_LOOP) - size  # a run of so many equals holds one of every so many places
        if not any(map(eq, words[shortest - 1 + size :: shortest], words[shortest - 1 :: shortest])):
            continue
        for same, run in groupby(map(eq, words[size:], words)):
            if same:
                covered = sum(1 for _ in run) + size
                if covered >= max(size * times, SHORTEST_LOOP):
                    return size, covered // size
    return 0, 0


def no_repetition(params: NoRepetition, answer: Answer) -> Outcome:
    """Look for a block of words that repeats itself."""
    words = WORD.findall(answer.text[-20 * LAST_WORDS :].casefold())[-LAST_WORDS:]
    size, repeats = longest_loop(words, params.times)
    return judged(not repeats, f"{size} words {repeats} times in a row" if repeats else "no loop")


_ENDED = Answer("Yes.", FinishReason.END_TURN)
_CUT = Answer("Yes, and", FinishReason.LENGTH)

KINDS = (
    kind(EndsTurn, ends_turn, {"ends_turn": True}, passing=_ENDED, failing=_CUT),
    kind(NotEmpty, not_empty, {"not_empty": True}, passing="Yes.", failing=" \n"),
    kind(NotCut, not_cut, {"not_cut": True}, passing=_ENDED, failing=_CUT),
    kind(NoSpecialTokens, no_special_tokens, {"no_special_tokens": True}, passing="a < b", failing="Yes.<|im_end|>"),
    kind(NoRoleLeakage, no_role_leakage, {"no_role_leakage": True}, passing="Yes.", failing="Yes.\nUser: And?"),
    kind(
        NoRepetition,
        no_repetition,
        {"no_repetition": True},
        passing="I see a cat. I see a dog.",
        failing="I see a cat. " * 5,
    ),
)
