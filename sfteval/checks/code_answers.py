"""Answers that are code: Python or SQL that parses. Nothing is run.

Comes in: an answer. Goes out: 1 or 0 with the first mistake; no score where code is too long to be read in time. Prose
alone does not count, although "Paris" is Python and "hello world" an SQL expression.
"""

from __future__ import annotations

import ast
import logging
import re
import warnings
from typing import Annotated, Any, Literal

from pydantic import Field

from sfteval.checks.answer import Answer, Outcome, judged, unjudged
from sfteval.checks.documents import code_blocks
from sfteval.checks.json_text import inside_fence, nested_too_deep
from sfteval.checks.kinds import Flag, Params, kind

LONGEST_CODE = 32_768
BEGINS_STATEMENT = re.compile(
    r"(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*+\*/|[;(])*+"
    r"(?:select|with|insert|replace|update|delete|merge|create|drop|alter|truncate|grant|set|use|begin|start|commit|end"
    r"|rollback|describe|desc|pragma|from)\b",
    re.IGNORECASE,
)
"""What a statement begins with, comments and brackets aside; reading prose as SQL takes a millisecond a page."""
Name = Annotated[str, Field(min_length=1)]
Dialect = Literal[
    "bigquery", "clickhouse", "databricks", "duckdb", "hive", "mysql", "oracle", "postgres", "presto", "redshift",
    "snowflake", "spark", "sqlite", "trino", "tsql",
]  # fmt: skip
Statement = Literal["select", "insert", "update", "delete", "create"]


class CodeParams(Params):
    """Where in the answer the code stands: alone, in a fence around it, or in the first block of its language."""

    allow_fence: bool = False
    first_block: bool = False

    def read(self, text: str, *languages: str) -> str | None:
        """Return the code of an answer; None without a block where one is asked for."""
        if self.first_block:
            found = [code for language, code in code_blocks(text) if language in languages]
            return found[0] if found else None
        fenced = inside_fence(text, ("", *languages)) if self.allow_fence else None
        return text if fenced is None else fenced


class Python(CodeParams):
    """The answer is Python that parses, and defines the functions and classes in `defines`.

    The code is the whole answer, or (`allow_fence`) the one code fence around it, or (`first_block`) the first Python
    block among prose.
    """

    python: Flag
    defines: tuple[Name, ...] = ()


class Sql(CodeParams):
    """The answer is SQL that parses, in a dialect; with `statement`, one statement of that kind.

    Read by `sqlglot`; a command that it does not know (such as SHOW) does not count. The SQL is the whole answer, or
    (`allow_fence`) the one code fence around it, or (`first_block`) the first SQL block among prose.
    """

    sql: Flag
    dialect: Dialect | None = None
    statement: Statement | None = None


def is_python(params: Python, answer: Answer) -> Outcome:
    """Parse the code and look for the names."""
    code = params.read(answer.text, "python", "py", "python3")
    unread = _unread(code, "Python")
    if code is None or unread:
        return unread or judged(False, "no Python block")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code.strip("\r\n"))
    except SyntaxError as error:
        return judged(False, f"not Python: {error.msg} (line {error.lineno})")
    except (ValueError, RecursionError, MemoryError) as error:
        return judged(False, f"not Python: {type(error).__name__}")
    if all(isinstance(each, ast.Expr) and _says_nothing(each.value) for each in tree.body):
        return judged(False, "no statement, only names or values")
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = {each.name for each in tree.body if isinstance(each, definitions)}
    missing = [name for name in params.defines if name not in defined]
    return judged(not missing, f"{', '.join(missing)} not defined" if missing else "Python")


def _says_nothing(value: ast.expr) -> bool:
    """Return whether an expression is made of names and values alone, as "Sure, yes" and "here is one" are."""
    return all(isinstance(node, _PROSE) for node in ast.walk(value))


_PROSE = (
    *(ast.Name, ast.Constant, ast.Tuple, ast.Compare, ast.BoolOp, ast.UnaryOp),
    *(ast.expr_context, ast.cmpop, ast.boolop, ast.unaryop),
)


def is_sql(params: Sql, answer: Answer) -> Outcome:
    """Parse the statements."""
    code = params.read(answer.text, "sql", *((params.dialect,) if params.dialect else ()))
    unread = _unread(code, "SQL")
    if code is None or unread:
        return unread or judged(False, "no SQL block")
    if not BEGINS_STATEMENT.match(code):
        return judged(False, "no SQL statement")
    import sqlglot

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        statements = [each for each in sqlglot.parse(code, dialect=params.dialect) if each is not None]
    except sqlglot.errors.SqlglotError as error:
        first = (getattr(error, "errors", None) or [{}])[0]
        place = f" (line {first['line']}, column {first['col']})" if first.get("line") else ""
        return judged(False, f"not SQL: {first.get('description') or type(error).__name__}{place}")
    except (RecursionError, ValueError) as error:
        return judged(False, f"not SQL: {type(error).__name__}")
    kinds = [_statement(each) for each in statements]
    if not kinds or None in kinds:
        return judged(False, "no SQL statement")
    fits = params.statement is None or kinds == [params.statement]
    return judged(fits, f"{', '.join(map(str, kinds))}" + ("" if fits else f", expected one {params.statement}"))


def _statement(tree: Any) -> str | None:
    """Return what kind of statement a tree is, None for a mere expression or a command that was not understood."""
    from sqlglot import exp

    if isinstance(tree, exp.Query):
        return "select"
    changes = (exp.DML, exp.DDL, exp.Drop, exp.Alter, exp.Merge, exp.TruncateTable, exp.Grant, exp.Set, exp.Use)
    others = (exp.Transaction, exp.Commit, exp.Rollback, exp.Describe, exp.Pragma)
    return str(tree.key) if isinstance(tree, (*changes, *others)) else None


def _unread(code: str | None, noun: str) -> Outcome | None:
    """Return the outcome of code that is not parsed: empty, too long, nested too deep."""
    if code is None:
        return None
    if not code.strip():
        return judged(False, f"no {noun}")
    if len(code) > LONGEST_CODE:
        return unjudged(f"longer than {LONGEST_CODE} characters")
    return judged(False, "nested too deep") if nested_too_deep(code) else None


KINDS = (
    kind(
        Python,
        is_python,
        {"python": True, "defines": ["area"]},
        passing="def area(side):\n    return side * side",
        failing="def area(side)\n    return side * side",
    ),
    kind(
        Sql,
        is_sql,
        {"sql": True, "dialect": "postgres", "statement": "select"},
        passing="SELECT name FROM pets WHERE legs = 4",
        failing="SELECT name FROM WHERE legs = 4",
    ),
)
