"""Row formats: a record as it stands in a data set to chat messages.

Comes in: one JSON-like object and its `Source`. Goes out: raw messages (validated by `rows`) and the tools that the
assistant may call. Formats: `messages` (OpenAI, TRL), prompt and completion, Alpaca, ShareGPT with its role names.
Columns that a format does not know are faults, so that nothing is left out without a word.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from sfteval.train.data_config import CONTENT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sfteval.train.data_config import Source

    Say = Callable[..., None]
    Messages = list[Any]

SHAREGPT_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "tool_response": "tool",
}
"""ShareGPT and its relatives (FastChat, Axolotl, LLaMA-Factory). `function_call` turns become tool calls."""
CALL_ROLES = ("function_call", "tool_call")


def to_messages(record: Any, source: Source, say: Say) -> tuple[Messages, Any]:
    """Return (messages, tools) of a record; what is wrong with it goes to `say(kind, found, expected, do)`."""
    if not isinstance(record, dict):
        say("format", f"a {type(record).__name__}", f"an object {_example(source)}")
        return [], None
    own = {field: record[source.fields.get(field, field)] for field in _present(record, source)}
    used = {source.fields.get(field, field) for field in own}
    known = {source.fields.get(field, field) for field in CONTENT_FIELDS[source.format]}
    unknown = sorted(set(record) - used - {"id"} - set(source.ignore) - known)
    for name in unknown:
        say("format", f"unknown field {name!r}", ", ".join([*sorted(known), "id"]), _field_hint(name, sorted(known)))
    messages = READERS[source.format](own, say, quiet=bool(unknown), ignore=source.ignore)
    return [_renamed(message, source) for message in messages], own.get("tools")


def _present(record: dict[str, Any], source: Source) -> list[str]:
    return [field for field in CONTENT_FIELDS[source.format] if source.fields.get(field, field) in record]


def _example(source: Source) -> str:
    return "{" + ", ".join(f'"{name}": …' for name in CONTENT_FIELDS[source.format][:2]) + "}"


def _field_hint(name: str, known: list[str]) -> str:
    if name in ("conversations", "conversation"):
        return "ShareGPT rows: format: sharegpt"
    if name in ("instruction", "output"):
        return "Alpaca rows: format: alpaca"
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else "A column that is not needed: name it in the source's `ignore`"


def _renamed(message: Any, source: Source) -> Any:
    role = message.get("role") if isinstance(message, dict) else None
    return message | {"role": source.roles[role]} if isinstance(role, str) and role in source.roles else message


def _messages(own: dict[str, Any], say: Say, *, quiet: bool, ignore: Sequence[str]) -> Messages:
    messages = own.get("messages")
    if isinstance(messages, list) and messages:
        return messages
    if "messages" in own or not quiet:
        say("format", "no messages", "a list of at least one user and one assistant message")
    return []


def _prompt_completion(own: dict[str, Any], say: Say, *, quiet: bool, ignore: Sequence[str]) -> Messages:
    both = []
    for field, role in (("prompt", "user"), ("completion", "assistant")):
        value = own.get(field)
        if isinstance(value, str):
            both.append({"role": role, "content": value})
        elif isinstance(value, list) and value:
            both += value
        else:
            say(
                "format",
                f"no {field}" if value is None else f"{field} is a {_kind(value)}",
                f"{field}: text or messages",
            )
            return []
    return both


def _alpaca(own: dict[str, Any], say: Say, *, quiet: bool, ignore: Sequence[str]) -> Messages:
    for field in ("instruction", "output"):
        if not isinstance(own.get(field), str):
            value = own.get(field)
            say("format", f"no {field}" if value is None else f"{field} is a {_kind(value)}", f"{field}: text")
            return []
    system, extra, history = own.get("system"), own.get("input"), own.get("history") or []
    if extra is not None and not isinstance(extra, str):
        say("format", f"input is a {_kind(extra)}", "input: text")
        return []
    if any(not isinstance(pair, list) or len(pair) != 2 for pair in history):
        say("format", "history that is no list of pairs", "[[instruction, answer], …]")
        return []
    prompt = f"{own['instruction']}\n\n{extra}" if extra else own["instruction"]
    turns = [("system", system)] if system else []
    turns += [(role, text) for pair in history for role, text in zip(("user", "assistant"), pair, strict=True)]
    turns += [("user", prompt), ("assistant", own["output"])]
    return [{"role": role, "content": content} for role, content in turns]


def _sharegpt(own: dict[str, Any], say: Say, *, quiet: bool, ignore: Sequence[str]) -> Messages:
    turns = own.get("conversations")
    if not isinstance(turns, list) or not turns:
        if not quiet:
            say("format", "no conversations", 'a list of {"from": …, "value": …}')
        return []
    system = own.get("system")
    messages: Messages = [{"role": "system", "content": system}] if system else []
    for index, turn in enumerate(turns):
        if not isinstance(turn, dict) or not {"from", "value"} <= set(turn):
            found = sorted(turn) if isinstance(turn, dict) else _kind(turn)
            say("format", f"turn {index}: {found}", "from and value")
            return []
        # Such as `weight: 0`, which other trainers obey: left out without a word, the turn would be learned.
        more = sorted(name for name in set(turn) - {"from", "value", *ignore} if turn[name] is not None)
        if more:
            do = "A field that is not needed: name it in the source's `ignore`"
            say("format", f"turn {index}: unknown field {more[0]!r}", "from and value", do)
        messages.append(_sharegpt_turn(turn, index, say))
    return messages


def _sharegpt_turn(turn: dict[str, Any], index: int, say: Say) -> dict[str, Any]:
    role, value = turn["from"], turn["value"]
    if role in CALL_ROLES:
        try:
            calls = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            say("tools", f"turn {index}: a {role} that is no JSON", '{"name": …, "arguments": {…}}')
            calls = []
        return {"role": "assistant", "content": "", "tool_calls": calls if isinstance(calls, list) else [calls]}
    known = SHAREGPT_ROLES.get(role.lower(), role) if isinstance(role, str) else role
    return {"role": known, "content": value}


def _kind(value: Any) -> str:
    return type(value).__name__


READERS: dict[str, Callable[..., Messages]] = {
    "messages": _messages,
    "prompt_completion": _prompt_completion,
    "alpaca": _alpaca,
    "sharegpt": _sharegpt,
}
