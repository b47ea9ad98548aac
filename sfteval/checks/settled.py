"""Checks that are lost while the answer is still being written: too long, a forbidden word, no longer JSON.

Comes in: a suite's checks. Goes out: a function from the text so far to "every check of the suite is lost, whatever
follows". Ending a generation there changes no score: the text so far fails each check as every longer one would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import regex

from sfteval.checks.catalog import CHECK_TABLE
from sfteval.checks.combinations import AllOf, AnyOf
from sfteval.checks.hygiene import ROLE_LINE, SPECIAL_TOKEN, NoRoleLeakage, NoSpecialTokens
from sfteval.checks.json_answers import Json, JsonEquals, JsonParams, JsonPathCheck, JsonSchema
from sfteval.checks.json_prefix import can_become_fenced_json, can_become_json
from sfteval.checks.lengths import Lowercase, MaxChars, MaxWords, NoCommas, Uppercase, count_words
from sfteval.checks.patterns import search
from sfteval.checks.phrases import ContainsNone, StartsWith, occurring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sfteval.checks.kinds import Params
    from sfteval.checks.table import Table

    Lost = Callable[[str], bool]

COMMAS = frozenset(",，、،")


def early_exit(
    checks: Mapping[str, Mapping[str, Any]], *, table: Table = CHECK_TABLE
) -> tuple[Lost | None, tuple[str, ...]]:
    """Return when an answer may end early, and the checks that keep it from doing so.

    Args:
        checks: The `checks:` block of a suite that `sfteval.spec` has accepted.
        table: Kinds to choose from.

    Returns:
        (function from the text so far to "all checks are lost", ()); or (None, names of the checks that only a whole
        answer can lose).
    """
    read = {name: table.read(check)[1] for name, check in checks.items()}
    found: dict[str, Lost | None] = {name: _lost(params) for name, params in read.items()}
    for _ in read:  # combinations of combinations settle one level at a time
        found |= {name: _combined(params, found) for name, params in read.items() if params.siblings()}
    whole = tuple(name for name, lost in found.items() if lost is None)
    every = [lost for lost in found.values() if lost is not None]
    return (None, whole) if whole else (lambda text: all(lost(text) for lost in every), ())


def _lost(params: Params) -> Lost | None:
    """Return when a check is lost for good, None if only the end can tell."""
    make = next((make for kind, make in _MAKERS.items() if type(params) is kind), None)
    return make(params) if make else None


def _combined(params: Params, found: Mapping[str, Lost | None]) -> Lost | None:
    """Return when a combination is lost: one member of `all_of`, every member of `any_of`, what repeats must pass."""
    members = [found[name] for name in params.siblings()]
    known = [lost for lost in members if lost is not None]
    if params.spans() == "repeats":
        return members[0]
    if isinstance(params, AllOf) and known:
        return lambda text: any(lost(text) for lost in known)
    if isinstance(params, AnyOf) and len(known) == len(members):
        return lambda text: all(lost(text) for lost in known)
    return None


def _json(params: JsonParams) -> Lost | None:
    if params.first_object:
        return None
    possible = can_become_fenced_json if params.allow_fence else can_become_json
    return lambda text: not possible(text)


def _forbidden(params: ContainsNone) -> Lost:
    if not params.whole_words:
        return lambda text: bool(
            occurring(params.contains_none, text, ignore_case=params.ignore_case, whole_words=False)
        )
    wanted = (params.contains_none,) if isinstance(params.contains_none, str) else params.contains_none
    # A word is whole only when something that is no letter follows.
    pattern = rf"(?<!\w)(?:{'|'.join(regex.escape(each) for each in wanted)})(?=\W)"
    return lambda text: search(pattern, text, flags=regex.IGNORECASE * params.ignore_case) is not None


def _beginning(params: StartsWith) -> Lost:
    wanted = params.starts_with.casefold() if params.ignore_case else params.starts_with

    def lost(text: str) -> bool:
        begin = text.lstrip()[: len(params.starts_with)]
        known = len(begin) == len(params.starts_with)
        return known and (begin.casefold() if params.ignore_case else begin) != wanted

    return lost


_MAKERS: Mapping[type[Params], Callable[[Any], Lost | None]] = {
    MaxWords: lambda params: lambda text: count_words(text) > params.max_words,
    MaxChars: lambda params: lambda text: len(text.strip()) > params.max_chars,
    NoCommas: lambda _: lambda text: not COMMAS.isdisjoint(text),
    Lowercase: lambda _: lambda text: any(letter.isupper() for letter in text),
    Uppercase: lambda _: lambda text: any(letter.islower() for letter in text),
    ContainsNone: _forbidden,
    StartsWith: _beginning,
    NoSpecialTokens: lambda _: lambda text: SPECIAL_TOKEN.search(text) is not None,
    NoRoleLeakage: lambda _: lambda text: ROLE_LINE.search(text) is not None,
    Json: _json,
    JsonSchema: _json,
    JsonPathCheck: _json,
    JsonEquals: _json,
}
