"""IFBench's instructions that set a task of their own: tables, lists in order, questions, repeated text.

Comes in: an answer. Goes out: 1 or 0 with the first mistake. Rules of allenai/IFBench `instructions.py` @ 6fffd61e
(`custom:*`, `repeat:*`), written anew, with what the published ones fix (columns, cities, dates) as parameters.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from sfteval.checks.kinds import Params
from sfteval.checks.published import Natural, Positive, Verdict, Word, first_odd, instruction
from sfteval.checks.treebank_words import PUNCTUATION, bare_words
from sfteval.records import Strict

EDGES = PUNCTUATION + " "
DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})$")
DAYS = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
QUESTION = re.compile(r"Question \d+[.|):;]?\s*")
OPTION = re.compile(r"[A-Ea-e][.|)]\s*\w")
SPECIAL = re.compile(r"[^\d\w\s]")
Words = Annotated[tuple[Word, ...], Field(min_length=1)]


class CsvSpec(Strict):
    """Columns in order, rows below the header, the delimiter, and what stands in double quotation marks.

    `quoted` is "any" (quotation marks as CSV has them), "special" (a field with a special character, somewhere) or
    "all" (every field).
    """

    columns: Words
    rows: Positive
    delimiter: Literal[",", "\t"] = ","
    quoted: Literal["any", "special", "all"] = "any"


class CsvTable(Params):
    """The answer is a CSV table of exactly these columns and so many rows."""

    csv_table: CsvSpec


class YearSpec(Strict):
    """First and last year."""

    first_year: Natural
    last_year: Natural


class DateList(Params):
    """The answer is dates YYYY-MM-DD between two years, separated by commas, and nothing else."""

    date_list: YearSpec


class CommaList(Params):
    """The answer is these items in this order, separated by commas; accents aside."""

    comma_list: Words


class NumberList(Params):
    """The numbers in the answer are these, in this order."""

    number_list: Annotated[tuple[Natural, ...], Field(min_length=1)]


class LineSpec(Strict):
    """What the first line has in it, and how many lines there are at least from there on."""

    begins: Word
    at_least: Positive


class DescendingLines(Params):
    """From the first line with a word on, lines stand in reverse alphabetical order; accents aside."""

    descending_lines: LineSpec


class QuestionSpec(Strict):
    """How many questions, and how many options (A to E) each."""

    questions: Positive
    options: Positive


class QuestionList(Params):
    """The answer is multiple-choice questions ("Question 1"), each longer than the one before."""

    question_list: QuestionSpec


class ReversedWords(Params):
    """The answer, read word by word backwards, has this phrase in it; case and punctuation aside."""

    reversed_words: Word


class SaysOnly(Params):
    """The answer is this text and nothing else; case aside."""

    says_only: Word


class RepeatsButFirst(Params):
    """The answer is this text with another first word."""

    repeats_but_first: Word


class SpanSpec(Strict):
    """The text, and the words to copy, counted from 0: `first` up to but without `end`."""

    text: Word
    first: Natural
    end: Positive


class RepeatsSpan(Params):
    """The answer is a span of a text's words and nothing else; case aside."""

    repeats_span: SpanSpec


def _plain(text: str) -> str:
    """Return the text without accents and other letters than ASCII."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def csv_table(params: CsvTable, text: str) -> Verdict:
    """Read header, then rows."""
    spec = params.csv_table
    if spec.quoted != "any" and not _header_fits(spec, text.split("\n")[0].strip()):
        return False, "another header"
    body = text if spec.quoted == "any" else text.replace('"', '"""')
    try:
        table = list(csv.reader(io.StringIO(body), delimiter=spec.delimiter))
    except csv.Error as error:
        return False, f"not CSV: {error}"
    if spec.quoted == "any" and table[0] != list(spec.columns):
        return False, f"header {', '.join(table[0])[:80]}"
    if len(table) != spec.rows + 1:
        return False, f"{len(table) - 1} rows, exactly {spec.rows}"
    return _rows_fit(spec, table)


def _header_fits(spec: CsvSpec, header: str) -> bool:
    space = "[ \t]*" if spec.delimiter == "," else " *"
    names = (f'(?:{re.escape(name)}|"{re.escape(name)}")' for name in spec.columns)
    return re.fullmatch((spec.delimiter + space).join(names), header) is not None


def _rows_fit(spec: CsvSpec, table: list[list[str]]) -> Verdict:
    """Look at each row's fields; as published, nothing is looked at after the first special field."""
    for number, row in enumerate(table if spec.quoted == "all" else table[1:]):
        if len(row) != len(spec.columns):
            return False, f"line {number + 1} has {len(row)} fields, exactly {len(spec.columns)}"
        if spec.quoted == "special" and any(map(_special, row)):
            return True, "a special field in quotation marks"
        if spec.quoted == "all" and not all(field.strip()[:1] == field.strip()[-1:] == '"' for field in row):
            return False, f"line {number + 1} has a field without quotation marks"
    return spec.quoted != "special", "no special field in quotation marks" if spec.quoted == "special" else "CSV"


def _special(field: str) -> bool:
    line = field.split("\n")[0]
    return line.startswith('"') and SPECIAL.search(line[1 : max(line.rfind('"'), 1)]) is not None


def date_list(params: DateList, text: str) -> Verdict:
    """Read each date; months and days are held against their upper limits only, as published."""
    spec = params.date_list
    for item in map(str.strip, text.strip().split(",")):
        found = DATE.match(item)
        year, month, day = map(int, found.groups()) if found else (0, 0, 0)
        if not found or not spec.first_year <= year <= spec.last_year or month > 12 or day > DAYS.get(month, 31):
            return False, f"{item[:80]!r}"
    return True, "dates"


def comma_list(params: CommaList, text: str) -> Verdict:
    """Compare item by item."""
    items = [item.strip() for item in _plain(text).split(",") if item.strip()]
    if len(items) != len(params.comma_list):
        return False, f"{len(items)} items, exactly {len(params.comma_list)}"
    odd = next(
        (f"{item[:80]!r}, not {name!r}" for item, name in zip(items, params.comma_list, strict=True) if item != name),
        None,
    )
    return first_odd(odd, f"{len(items)} items in order")


def number_list(params: NumberList, text: str) -> Verdict:
    """Compare every run of digits."""
    found = re.findall(r"\d+", text)
    return found == [str(number) for number in params.number_list], f"numbers {', '.join(found)[:80]}"


def descending_lines(params: DescendingLines, text: str) -> Verdict:
    """Compare neighbours from the first fitting line on."""
    spec = params.descending_lines
    lines = [line for each in text.split("\n") if (line := each.strip(EDGES))]
    start = next((number for number, line in enumerate(lines) if spec.begins in line), len(lines))
    rest = [_plain(line) for line in lines[start:]]
    if len(rest) < spec.at_least:
        return False, f"{len(rest)} lines from {spec.begins!r} on, at least {spec.at_least}"
    odd = next((f"{a[:40]!r} before {b[:40]!r}" for a, b in pairwise(rest) if a < b), None)
    return first_odd(odd, f"{len(rest)} lines in order")


def question_list(params: QuestionList, text: str) -> Verdict:
    """Split at the labels; count options; compare lengths."""
    spec = params.question_list
    if not text.startswith("Question"):
        return False, "does not begin with 'Question'"
    parts = [part.strip() for part in QUESTION.split(text) if part.strip()]
    if len(parts) != spec.questions:
        return False, f"{len(parts)} questions, exactly {spec.questions}"
    lengths = []
    for part in parts:
        lines = [line.strip() for line in part.split("\n")]
        options = [number for number, line in enumerate(lines) if OPTION.match(line)]
        if len(options) != spec.options:
            return False, f"{len(options)} options, exactly {spec.options}"
        lengths.append(len(" ".join(lines[: options[0]]).strip()))
    return all(a < b for a, b in pairwise(lengths)), f"lengths {', '.join(map(str, lengths))}"


def reversed_words(params: ReversedWords, text: str) -> Verdict:
    """Turn the words around."""
    backwards = " ".join(reversed(bare_words(text.lower())))
    return params.reversed_words.lower() in backwards, f"backwards {backwards[:80]!r}"


def says_only(params: SaysOnly, text: str) -> Verdict:
    """Compare the whole answer."""
    return text.strip().lower() == params.says_only.lower(), f"{text.strip()[:80]!r}"


def repeats_but_first(params: RepeatsButFirst, text: str) -> Verdict:
    """Compare all words but the first; the text unchanged fails."""
    same = text.split()[1:] == params.repeats_but_first.split()[1:]
    return same and text != params.repeats_but_first, "all but the first word" if same else "other words"


def repeats_span(params: RepeatsSpan, text: str) -> Verdict:
    """Compare word by word."""
    spec = params.repeats_span
    wanted = spec.text.lower().split()[spec.first : spec.end]
    return text.lower().split() == wanted, f"{text[:60]!r}, wanted {' '.join(wanted)[:60]!r}"


_TABLE = {"csv_table": {"columns": ["id", "city"], "rows": 1}}
_QUESTIONS = "Question 1: Why?\nA. a\nB. b\nQuestion 2: Why not?\nA. a\nB. b"
_SPAN = {"repeats_span": {"text": "the price of the bond", "first": 1, "end": 3}}

KINDS = (
    instruction(CsvTable, csv_table, _TABLE, passing="id,city\n1,Rome", failing="id,city\n1"),
    instruction(
        DateList,
        date_list,
        {"date_list": {"first_year": 2000, "last_year": 2024}},
        passing="2008-09-15, 2020-03-16",
        failing="15.09.2008",
    ),
    instruction(
        CommaList, comma_list, {"comma_list": ["Rome", "Malaga"]}, passing="Rome, Málaga", failing="Malaga, Rome"
    ),
    instruction(NumberList, number_list, {"number_list": [7, 14]}, passing="7, 14", failing="7, 14, 21"),
    instruction(
        DescendingLines,
        descending_lines,
        {"descending_lines": {"begins": "Zimbabwe", "at_least": 2}},
        passing="* Zimbabwe\n* Algeria",
        failing="Zimbabwe\nAlgeria\nBenin",
    ),
    instruction(
        QuestionList,
        question_list,
        {"question_list": {"questions": 2, "options": 2}},
        passing=_QUESTIONS,
        failing="Here: " + _QUESTIONS,
    ),
    instruction(
        ReversedWords,
        reversed_words,
        {"reversed_words": "bald eagle"},
        passing="Eagle bald the.",
        failing="The bald eagle.",
    ),
    instruction(SaysOnly, says_only, {"says_only": "I agree."}, passing="i agree.", failing="I agree. Yes."),
    instruction(
        RepeatsButFirst,
        repeats_but_first,
        {"repeats_but_first": "Name a bond"},
        passing="List a bond",
        failing="Name a bond",
    ),
    instruction(RepeatsSpan, repeats_span, _SPAN, passing="Price of", failing="the price of"),
)
