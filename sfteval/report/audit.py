"""The audit of training data for people: a terminal view and one HTML page.

Comes in: the mapping that `sfteval audit --json` prints. Texts of rows are data: control characters are shown as
escapes in the terminal, jinja2 escapes everything in the page, which holds no script and asks no network.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from sfteval.report.files import write_text
from sfteval.report.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

BAR = 40
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def audit_view(audit: Mapping[str, Any]) -> RenderableType:
    """Return the tables of an audit, and the tokens of the rows that were asked for."""
    parts: list[RenderableType] = [
        plain_table(f"{audit['config']}", ("rows", "value"), summary_rows(audit)),
        plain_table("length in tokens", ("from", "to", "rows", ""), _bars(audit), ("from", "to", "rows")),
        plain_table(
            "budgets", ("budget", "rows", "share", "allowed", ""), _budgets(audit), ("rows", "share", "allowed")
        ),
    ]
    parts += [plain_table(title, columns, rows) for title, columns, rows in detail_tables(audit) if rows]
    parts += [Text(f"warning: {plain(warning)}", style="yellow") for warning in audit["warnings"]]
    return Group(*parts, *(_tokens(shown) for shown in audit["shown"]))


def summary_rows(audit: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (name, value) of the figures that come first."""
    lengths, stops, cut = audit["lengths"], audit["stop_token"], audit["cut"]
    roles = ", ".join(f"{count} {role}" for role, count in audit["turns"]["by_role"].items())
    kinds = ", ".join(f"{count} {kind}" for kind, count in audit["faults"]["by_kind"].items())
    lowest = audit["lowest_label_share"]
    return [
        ("rows read", f"{audit['rows']} ({audit['held_out']} held out, {audit['draws']} drawn per epoch)"),
        ("rows with faults", f"{audit['faults']['rows']}" + (f" ({kinds})" if kinds else "")),
        ("turns", f"{roles}; {audit['turns']['median']} a row (at most {audit['turns']['max']})"),
        (
            "tokens",
            f"{audit['tokens']:,}; a row {lengths['median']} (99 % up to {lengths['p99']}, at most {lengths['max']})",
        ),
        ("labels", f"{audit['labels']:,} ({audit['label_share']:.1%} of all tokens)"),
        ("lowest label share", f"{lowest['share']:.1%} in {lowest['where']}" if lowest else "-"),
        (
            "stop token trained",
            f"{stops['stop_trained']} of {stops['turns_learned']} turns ({', '.join(audit['stop_tokens'])})",
        ),
        (f"longer than {cut['limit']}", f"{cut['rows']} ({cut['labels_lost']} labels lost, {cut['dropped']} left out)"),
        ("duplicates", f"{audit['duplicates']['exact']} exact, {audit['duplicates']['near']} near"),
        ("overlap", overlap_words(audit)),
        ("languages", _languages(audit)),
        ("template", audit["template_sha256"][:16]),
    ]


def overlap_words(audit: Mapping[str, Any]) -> str:
    """Return how many rows hold evaluation samples, and what they were compared with."""
    compared = audit["overlap"]["compared"]
    if not compared:
        return "nothing to compare with: no suites/ beside the configuration, no data.against"
    samples = sum(each["samples"] for each in compared)
    return f"{audit['overlap']['rows']} rows hold one of {samples} samples of {len(compared)} suites and benchmarks"


def detail_tables(audit: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    """Return (title, columns, rows) of what was found in particular places."""
    overlap, duplicates = audit["overlap"], audit["duplicates"]
    hits = [
        (hit["where"], f"{hit['against']}/{hit['sample']}", f"{hit['ngrams']}/{hit['of']}", plain(hit["text"]))
        for hit in overlap["found"]
    ]
    compared = [(each["against"], each["samples"], each["hit"]) for each in overlap["compared"]]
    compared += [(each["against"], "unread", plain(each["reason"])) for each in overlap["unchecked"]]
    groups = [("exact", "\n".join(group)) for group in duplicates["exact_groups"]]
    groups += [("near", "\n".join(group)) for group in duplicates["near_groups"]]
    found = [
        (kind, plain(name), tally["matches"], tally["rows"], "\n".join(tally["places"]))
        for kind, part in (("personal data", "personal_data"), ("control text", "control_tokens"))
        for name, tally in audit[part].items()
    ]
    return [
        ("faults", ("fault",), [(plain(fault),) for fault in audit["faults"]["listed"]]),
        ("rows that hold evaluation samples", ("row", "sample", "sequences", "text"), hits),
        ("compared with", ("suite or task", "samples", "held by rows"), compared),
        ("repeated rows", ("kind", "rows"), groups),
        ("too long", ("row",), [(place,) for place in audit["cut"]["places"]]),
        ("patterns in the texts", ("kind", "pattern", "matches", "rows", "first"), found),
    ]


def plain(text: str) -> str:
    """Return text in which nothing steers a terminal."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


def write_audit(path: str | Path, audit: Mapping[str, Any]) -> Path:
    """Write the page of an audit."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = resources.files("sfteval.report").joinpath("audit.html.jinja").read_text(encoding="utf-8")
    tables = [table for table in detail_tables(audit) if table[2]]
    page = environment.from_string(template).render(audit=audit, summary=summary_rows(audit), tables=tables)
    return write_text(Path(path), page)


def _languages(audit: Mapping[str, Any]) -> str:
    languages = audit["languages"]
    shares = (f"{name} {count / languages['of']:.0%}" for name, count in languages["rows"].items())
    return ", ".join(shares) + f" (of {languages['of']} rows)" if languages["of"] else "-"


def _bars(audit: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    bins = audit["lengths"]["histogram"]
    most = max((each["rows"] for each in bins), default=1)
    return [(each["from"], each["to"], each["rows"], "█" * -(-each["rows"] * BAR // most)) for each in bins]


def _budgets(audit: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            line["name"],
            line["rows"],
            "" if line["name"] == "unchecked" else f"{line['found']:.2%}",
            "any" if line["allowed"] in (None, 1.0) else f"{line['allowed']:g}",
            Text("broken", style="bold red") if line["broken"] else Text("kept", style="green"),
        )
        for line in audit["budgets"]
    ]


def _tokens(shown: Mapping[str, Any]) -> Text:
    """Return a row's tokens: learned green, those that count a little yellow, others dim; each second underlined."""
    text = Text(f"\n{shown['where']}\n", style="bold")
    for index, piece in enumerate(shown["pieces"]):
        weight = piece["weight"]
        style = "green" if weight == 1.0 else "yellow" if weight else "bright_black"
        text.append(plain(piece["text"]), style=style + (" underline" if index % 2 else ""))
    return text
