"""Training rows: validated conversations.

Comes in: the config's sources. Goes out: `Row`s, and a `RowFault` with file and line for each record that is none;
nothing is dropped behind the author's back.
"""

from __future__ import annotations

import difflib
import itertools
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError
from sfteval.keys import content_key
from sfteval.train.formats import SHAREGPT_ROLES, to_messages
from sfteval.train.reading import read_records
from sfteval.train.tool_calls import read_calls, read_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sfteval.train.data_config import Source

    Say = Callable[..., None]

SHOWN = 20
ROLES = ("system", "user", "assistant", "tool")
TEXT_FIELDS = ("name", "tool_call_id", "reasoning_content", "thinking")
"""Fields of a message, beside role, content and tool_calls, that chat templates know."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation. `more` holds its other fields (tool calls, reasoning) as JSON; "" for none."""

    role: str
    content: str
    more: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """The other fields."""
        return json.loads(self.more) if self.more else {}

    @property
    def message(self) -> dict[str, Any]:
        """The turn as a chat template takes it."""
        return {"role": self.role, "content": self.content} | self.fields


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation.

    Attributes:
        key: Hash of its turns and tools.
        where: `file:line`, for messages to people.
        turns: Its messages.
        tools: What the assistant may call, as JSON; "" for none.
    """

    key: str
    where: str
    turns: tuple[Turn, ...]
    tools: str = ""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The turns as a chat template takes them."""
        return [turn.message for turn in self.turns]

    @property
    def tool_list(self) -> list[dict[str, Any]] | None:
        """The tools as a chat template takes them."""
        return json.loads(self.tools) if self.tools else None

    @property
    def answers(self) -> list[str]:
        """The contents of the assistant's turns, in order."""
        return [turn.content for turn in self.turns if turn.role == "assistant"]


def make_row(where: str, turns: Sequence[Turn], tools: str = "") -> Row:
    """Return a row with its key; plain conversations keep the key that they always had."""
    parts = [[turn.role, turn.content, turn.more] if turn.more else [turn.role, turn.content] for turn in turns]
    return Row(content_key(parts, tools) if tools else content_key(parts), where, tuple(turns), tools)


@dataclass(frozen=True, slots=True)
class RowFault:
    """Why a record is no row.

    `kind`: source (the whole of it), format, role, empty, order, tools; special, mask (see `masks`).
    """

    kind: str
    fault: Fault


@dataclass(slots=True)
class Faults:
    """Faults of a data set: all are counted by kind, the first `SHOWN` are kept; `records` is how many have any."""

    kept: list[Fault] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    records: int = 0

    def add(self, found: Sequence[RowFault]) -> None:
        """Take the faults of one record."""
        self.records += 1
        self.kinds.update(each.kind for each in found)
        self.kept += [each.fault for each in found[: max(0, SHOWN - len(self.kept))]]

    def listed(self) -> list[Fault]:
        """Return the kept ones, and what was not kept as a last entry."""
        rest = sum(self.kinds.values()) - len(self.kept)
        if not rest:
            return self.kept
        return [*self.kept, Fault("data.train", f"{rest} more faults", "none", "Repair the ones above first")]


def read_rows(sources: Sequence[Source]) -> list[list[Row]]:
    """Read every source into memory; one list of rows per source, in file order.

    Raises:
        InputError: All faults of all files, capped at `SHOWN` and counted.
    """
    faults = Faults()
    rows = [list(iter_rows(source, faults)) for source in sources]
    if faults.records:
        raise InputError(faults.listed())
    return rows


def iter_rows(source: Source, faults: Faults, *, streaming: bool = False) -> Iterator[Row]:
    """Yield the rows of one source in order; faults of the others go to `faults`."""
    read, before = 0, faults.records

    def broken(kind: str, fault: Fault) -> None:
        faults.add([RowFault(kind, fault)])

    for (where, line), record in read_records(source, broken, streaming=streaming):
        read += 1
        found: list[RowFault] = []
        row = _row(record, where, line, source, found)
        if row is None:
            faults.add(found)
        else:
            yield row
    if not read and faults.records == before:
        broken("source", Fault(source.place, "no rows", "one JSON object per row"))


def _row(record: Any, where: str, line: int, source: Source, found: list[RowFault]) -> Row | None:
    def say(kind: str, what: str, expected: str, do: str = "") -> None:
        found.append(RowFault(kind, Fault(where, what, expected, do, line=line)))

    messages, raw_tools = to_messages(record, source, say)
    tools = read_tools(raw_tools, say)
    turns = [turn for index, message in enumerate(messages) if (turn := _turn(message, index, tools, say))]
    if turns and len(turns) == len(messages):
        _check_order(turns, say)
    if found:
        return None
    return make_row(f"{where}:{line}" if line else where, turns, _json(tools) if tools else "")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _turn(message: Any, index: int, tools: list[dict[str, Any]], say: Say) -> Turn | None:
    if not isinstance(message, dict) or not {"role"} <= set(message):
        found = sorted(message) if isinstance(message, dict) else type(message).__name__
        say("format", f"message {index}: {found}", "role and content")
        return None
    extra = sorted(set(message) - {"role", "content", "tool_calls", *TEXT_FIELDS})
    if extra:
        say("format", f"message {index}: unknown field {extra[0]!r}", "role, content, tool_calls, reasoning_content")
        return None
    role = message["role"]
    if role not in ROLES:
        say("role", f"message {index}: role {role!r}", f"one of {', '.join(ROLES)}", _role_hint(role))
        return None
    more = _more(message, index, tools, say)
    content = message.get("content")
    content = "" if content is None and "tool_calls" in more else content
    fits = _content_fits(content, more, index, role, say)
    return Turn(role, str(content), _json(more) if more else "") if fits else None


def _more(message: dict[str, Any], index: int, tools: list[dict[str, Any]], say: Say) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if message.get("tool_calls"):
        if message["role"] != "assistant":
            say("tools", f"message {index}: tool_calls of the {message['role']}", "tool_calls only of the assistant")
        more["tool_calls"] = read_calls(message["tool_calls"], index, tools, say)
    for name in TEXT_FIELDS:
        value = message.get(name)
        if isinstance(value, str) and value:
            more[name] = value
        elif value:
            say("format", f"message {index}: {name} is a {type(value).__name__}", "text")
    return more


def _content_fits(content: Any, more: dict[str, Any], index: int, role: str, say: Say) -> bool:
    if content is None:
        say("format", f"message {index}: no content", "role and content")
        return False
    if not isinstance(content, str):
        say("format", f"message {index}: content is a {type(content).__name__}", "text")
        return False
    if not _encodable(content) or not _encodable(_json(more)):
        say("format", f"message {index}: half of a surrogate pair", "text that UTF-8 can hold")
        return False
    if not content.strip() and "tool_calls" not in more:
        say("empty", f"message {index}: an empty {role} turn", "text", "Remove the row, or write the turn")
        return False
    return True


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _role_hint(role: Any) -> str:
    if not isinstance(role, str):
        return ""
    near = difflib.get_close_matches(role.lower(), ROLES, n=1)
    meant = SHAREGPT_ROLES.get(role.lower()) or (near[0] if near else "")
    return f"Did you mean {meant!r}?" if meant else "Name it in the source's `roles`"


def _check_order(turns: Sequence[Turn], say: Say) -> None:
    roles = [turn.role for turn in turns]
    if "assistant" not in roles:
        say("order", "no assistant turn", "at least one", "Nothing in this row can be learned: remove it")
    if "system" in roles[1:]:
        say(
            "order",
            f"message {roles.index('system', 1)}: a system turn inside the conversation",
            "system only at the start",
        )
    for index, (first, second) in enumerate(itertools.pairwise(roles), start=1):
        if first == second == "assistant":
            say("order", f"message {index}: two assistant turns in a row", "another role between them", "Join them")
        if second == "tool" and first not in ("assistant", "tool"):
            say(
                "order",
                f"message {index}: a tool turn after the {first}'s",
                "an assistant turn with tool_calls before it",
            )
