"""Rows of a published instruction benchmark: its instructions as checks, answers judged strictly and loosely.

Comes in: a row (`key`, `prompt`, `instruction_id_list`, `kwargs`), the table from instruction to check, an answer.
Goes out: flags per instruction, and the accuracies over many rows. Loose judging passes an instruction that holds for
any of the eight published variants of the answer: whole, without its first line, its last, both, each with and
without asterisks. An outcome without a score is a flag of false: nothing missing passes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sfteval.checks.answer import Answer
from sfteval.checks.binding import guarded
from sfteval.checks.catalog import CHECK_TABLE
from sfteval.checks.kinds import Context, Judge
from sfteval.errors import Fault, InputError

Row = Mapping[str, Any]
Flags = Mapping[str, list[bool]]
ToCheck = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Turns an instruction's arguments into a check's mapping; a KeyError names an argument that is missing."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A published set of instructions.

    Attributes:
        name: What messages call it.
        checks: From instruction id to the function that makes its check.
    """

    name: str
    checks: Mapping[str, ToCheck]

    def to_checks(self, ids: Sequence[str], arguments: Sequence[Mapping[str, Any]], where: str) -> list[dict[str, Any]]:
        """Return one check per instruction. Raises InputError with every fault of the row."""
        if len(ids) != len(arguments):
            found = f"{len(ids)} instructions and {len(arguments)} kwargs"
            raise InputError(Fault(where, found, "as many kwargs as instructions"))
        made = [self._to_check(name, given, where) for name, given in zip(ids, arguments, strict=True)]
        faults = [each for each in made if isinstance(each, Fault)]
        if faults:
            raise InputError(faults)
        return [each for each in made if not isinstance(each, Fault)]

    def _to_check(self, name: str, given: Mapping[str, Any], where: str) -> dict[str, Any] | Fault:
        make = self.checks.get(name)
        if make is None:
            near = difflib.get_close_matches(name, self.checks, n=1)
            do = f"Did you mean {near[0]!r}?" if near else ""
            return Fault(where, f"the instruction {name!r}", f"one of {self.name}'s {len(self.checks)}", do)
        try:
            check = dict(make({key: value for key, value in given.items() if value is not None}))
            CHECK_TABLE.read(check)
        except KeyError as error:
            return Fault(where, f"no argument {error}", f"the arguments of {name}")
        except ValidationError as error:
            first = error.errors()[0]
            return Fault(where, f"an argument of {name} that cannot be used: {first['msg']}", "a usable value")
        except ValueError as error:
            return Fault(where, f"an argument of {name} that cannot be used: {error}", "a usable value")
        except (TypeError, AttributeError):
            return Fault(where, f"an argument of {name} of another type", "the types of the published file")
        return check

    def judge(self, row: Row, response: str) -> dict[str, list[bool]]:
        """Return `{"strict": flags, "loose": flags}`, one flag per instruction. Raises InputError for a bad row."""
        where = f"{self.name} row {row.get('key', '?')}"
        missing = [name for name in ("prompt", "instruction_id_list", "kwargs") if name not in row]
        if missing:
            raise InputError(Fault(where, f"no {missing[0]!r}", "key, prompt, instruction_id_list and kwargs"))
        checks = self.to_checks(row["instruction_id_list"], row["kwargs"], where)
        judges = [_prepared(check) for check in checks]
        loose = variants(response)
        return {
            "strict": [_follows(judge, response) for judge in judges],
            "loose": [any(_follows(judge, text) for text in loose) for judge in judges],
        }


def _prepared(check: Mapping[str, Any]) -> Judge:
    kind, params = CHECK_TABLE.read(check)
    return kind.prepare(params, Context(Path(), CHECK_TABLE))


def _follows(judge: Judge, text: str) -> bool:
    score = guarded(judge, Answer(text), {}).score if text.strip() else None
    return score is not None and score >= 1.0


def variants(response: str) -> list[str]:
    """Return the eight published variants of an answer, each once, the answer itself first."""
    lines = response.split("\n")
    cut = ["\n".join(lines[part]).strip() for part in (slice(1, None), slice(-1), slice(1, -1))]
    return list(dict.fromkeys(text for whole in (response, *cut) for text in (whole, whole.replace("*", ""))))


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return `{"strict": {"prompt", "instruction"}, "loose": {…}, "rows": rows}`, shares between 0 and 1.

    Args:
        rows: `{"key", "strict", "loose"}` per prompt.

    Raises:
        InputError: there are no rows, or a row without flags.
    """
    if not rows or not all(row["strict"] and len(row["strict"]) == len(row["loose"]) for row in rows):
        raise InputError(Fault("judged rows", "no row, or a row without flags", "at least one flag per row"))
    return {
        **{name: _accuracy([row[name] for row in rows]) for name in ("strict", "loose")},
        "rows": [{"key": row["key"], "strict": list(row["strict"]), "loose": list(row["loose"])} for row in rows],
    }


def _accuracy(flags: Sequence[Sequence[bool]]) -> dict[str, float]:
    every = [flag for row in flags for flag in row]
    return {"prompt": sum(map(all, flags)) / len(flags), "instruction": sum(every) / len(every)}
