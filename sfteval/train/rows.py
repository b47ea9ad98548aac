"""Training rows from `messages` JSONL.

Comes in: the config's sources. Goes out: `Row`s, validated. All broken rows of all files are reported at once (the
first `SHOWN` of them), with file and line; nothing is dropped.
"""

from __future__ import annotations

import difflib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError
from sfteval.keys import content_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sfteval.train.config import Source

SHOWN = 20
ROLES = ("system", "user", "assistant", "tool")
# ShareGPT and its relatives; named in the suggestion, never converted behind the author's back.
ALIASES = {"gpt": "assistant", "bot": "assistant", "model": "assistant", "ai": "assistant", "human": "user"}


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation. `key` is the hash of its turns; `where` is `file:line`, for messages to people."""

    key: str
    where: str
    turns: tuple[Turn, ...]

    @property
    def messages(self) -> list[dict[str, str]]:
        """The turns as a chat template takes them."""
        return [{"role": turn.role, "content": turn.content} for turn in self.turns]

    @property
    def answers(self) -> list[str]:
        """The contents of the assistant's turns, in order."""
        return [turn.content for turn in self.turns if turn.role == "assistant"]


def read_rows(sources: Sequence[Source]) -> list[list[Row]]:
    """Read every source; one list of rows per source, in file order.

    Raises:
        InputError: All faults of all files, capped at `SHOWN` and counted.
    """
    faults: list[Fault] = []
    rows = [_read_file(Path(source.path), faults) for source in sources]
    if faults:
        raise InputError(_capped(faults))
    return rows


def _capped(faults: list[Fault]) -> list[Fault]:
    if len(faults) <= SHOWN:
        return faults
    rest = len(faults) - SHOWN
    return [*faults[:SHOWN], Fault(faults[SHOWN].where, f"{rest} more faults", "none", "Repair the ones above first")]


def _read_file(path: Path, faults: list[Fault]) -> list[Row]:
    try:
        text = path.read_bytes()
    except OSError as error:
        faults.append(Fault(str(path), error.strerror or str(error), "a readable JSONL file"))
        return []
    rows = [row for number, line in _lines(text) if (row := _row(path, number, line, faults))]
    if not rows and not any(fault.where == str(path) for fault in faults):
        faults.append(Fault(str(path), "no rows", "one JSON object per line"))
    return rows


def _lines(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines. Only a newline byte ends one: JSON text may hold other line separators."""
    for number, line in enumerate(text.split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _row(path: Path, number: int, line: bytes, faults: list[Fault]) -> Row | None:
    def fault(found: str, expected: str, do: str = "") -> None:
        faults.append(Fault(str(path), found, expected, do, line=number))

    try:
        value = json.loads(line)
    except UnicodeDecodeError:
        fault("bytes that are not UTF-8", "JSON in UTF-8")
        return None
    except json.JSONDecodeError as error:
        fault(f"broken JSON ({error.msg} at column {error.colno})", "one JSON object per line")
        return None
    except (ValueError, RecursionError):
        fault("JSON nested too deep or a number too long", "one JSON object per line")
        return None
    before = len(faults)
    turns = _turns(value, fault)
    if len(faults) > before:
        return None
    return Row(content_key([[turn.role, turn.content] for turn in turns]), f"{path}:{number}", tuple(turns))


def _turns(value: Any, fault: Any) -> list[Turn]:
    if not isinstance(value, dict):
        fault(f"a {type(value).__name__}", 'an object {"messages": [...]}')
        return []
    for name in sorted(set(value) - {"messages", "id"}):
        fault(f"unknown field {name!r}", "messages, id", _field_hint(name))
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        if "messages" in value or not set(value) - {"messages", "id"}:
            fault("no messages", "a list of at least one user and one assistant message")
        return []
    turns = [turn for index, message in enumerate(messages) if (turn := _turn(message, index, fault))]
    if len(turns) == len(messages):
        _check_order(turns, fault)
    return turns


def _field_hint(name: str) -> str:
    if name in ("conversations", "conversation"):
        return "ShareGPT rows: rename the field to 'messages', 'from'/'value' to 'role'/'content'"
    near = difflib.get_close_matches(name, ("messages", "id"), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def _turn(message: Any, index: int, fault: Any) -> Turn | None:
    if not isinstance(message, dict) or set(message) != {"role", "content"}:
        found = sorted(message) if isinstance(message, dict) else type(message).__name__
        fault(f"message {index}: {found}", "exactly role and content")
        return None
    role, content = message["role"], message["content"]
    if role not in ROLES:
        fault(f"message {index}: role {role!r}", f"one of {', '.join(ROLES)}", _role_hint(role))
        return None
    if not isinstance(content, str):
        fault(f"message {index}: content is a {type(content).__name__}", "text")
        return None
    if not _encodable(content):
        fault(f"message {index}: half of a surrogate pair", "text that UTF-8 can hold")
        return None
    if not content.strip():
        fault(f"message {index}: an empty {role} turn", "text", "Remove the row, or write the turn")
        return None
    return Turn(role, content)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _role_hint(role: Any) -> str:
    if not isinstance(role, str):
        return ""
    if role.lower() in ALIASES:
        return f"Did you mean {ALIASES[role.lower()]!r}?"
    near = difflib.get_close_matches(role.lower(), ROLES, n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def _check_order(turns: Sequence[Turn], fault: Any) -> None:
    roles = [turn.role for turn in turns]
    if "assistant" not in roles:
        fault("no assistant turn", "at least one", "Nothing in this row can be learned: remove it")
    if "system" in roles[1:]:
        fault(f"message {roles.index('system', 1)}: a system turn inside the conversation", "system only at the start")
    for index, (first, second) in enumerate(itertools.pairwise(roles)):
        if first == second == "assistant":
            fault(f"message {index + 1}: two assistant turns in a row", "another role between them", "Join them")
