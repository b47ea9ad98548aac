"""Tables of the commands (rich). Comes in: the same plain data that `--json` prints. Goes out: something to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sfteval.report.differences import side_by_side
from sfteval.report.rows import score, slice_lines
from sfteval.report.terminal import STYLES, gates_table, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import RenderableType


SHOWN_FLIPS = 3


def plain_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[str] = ()
) -> Table:
    """Return a table of text cells; `numeric` columns are aligned right."""
    table = Table(title=title, title_justify="left", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return table


def fields_table(title: str) -> Callable[[Mapping[str, Any]], RenderableType]:
    """Return the view of a mapping: a line per field, lists one entry a line."""

    def view(data: Mapping[str, Any]) -> RenderableType:
        rows = [(k, "\n".join(map(str, v)) if isinstance(v, list) else v) for k, v in data.items()]
        return plain_table(title, ("field", "value"), rows)

    return view


def evaluation_table(result: Mapping[str, Any]) -> RenderableType:
    """Show one model's metrics and what was computed for them."""
    rows = [(m["suite"], m["task"], m["check"], m["n"], score(m["mean"]), m["errored"]) for m in result["metrics"]]
    columns = ("suite", "task", "check", "n", "mean", "errored")
    table = plain_table(f"{result['model']}", columns, rows, ("n", "mean", "errored"))
    done = f"{result['computed']} requests computed, {result['reused']} reused, {result['seconds']:.1f} s"
    return Group(table, Text(f"{done}\nrun {result['run_id']} in {result['path']}"))


def noise_view(found: Mapping[str, Any]) -> RenderableType:
    """Show how much each metric moves when the same model is asked again."""
    columns = ("suite", "task", "check", "n", "mean", "sd of the mean", "samples that differ")
    rows = [
        (m["suite"], m["task"], m["check"], m["n"], score(m["mean"]), score(m["sd_of_mean"]), f"{m['discordance']:.1%}")
        for m in found["metrics"]
    ]
    said = [f"{d['gate']} ({' and '.join(d['runs'])}): {'; '.join(d['reasons'])}" for d in found["differences"]]
    closing = said or [f"no difference between any two of {len(found['runs'])} runs of the same model"]
    return Group(plain_table("the same model again", columns, rows, columns[3:]), Text("\n".join(closing)))


def comparison_view(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Show a comparison of runs: the table, then the samples that changed, the largest drop first."""
    parts: list[RenderableType] = [gates_table(rows)]
    for row in rows:
        if row["verdict"] == "NOT_COMPARABLE":
            parts.append(Text(f"{row['node']}: {'; '.join(row['reasons'])}", style=STYLES["NOT_COMPARABLE"]))
        parts += [Text(f"{name_of(row)}: {line}") for line in slice_lines(row)]
        if row["flips"]:
            parts.append(Text(f"\n{row['node']}: {row['worse']} worse, {row['better']} better", style="bold"))
            parts += [side_by_side(flip, "before") for flip in row["flips"][:SHOWN_FLIPS]]
    return Group(*parts)


def runs_table(runs: Mapping[str, Any]) -> RenderableType:
    """List runs and the problems of the store."""
    rows = [
        (("* " if r["promoted"] else "  ") + r["run_id"], r["model"], r["samples"], r["errored"], r["finished"])
        for r in runs["runs"]
    ]
    table = plain_table(
        "runs (* promoted)", ("run", "model", "samples", "errored", "finished"), rows, ("samples", "errored")
    )
    return Group(table, *(Text(problem, style="yellow") for problem in runs["problems"]))


def run_view(run: Mapping[str, Any]) -> RenderableType:
    """Show one run."""
    manifest = run["manifest"]
    top = [(key, manifest[key]) for key in ("run_id", "started", "finished", "seconds", "counts", "versions")]
    rows = [(m["suite"], m["task"], m["check"], m["n"], score(m["mean"]), m["errored"]) for m in run["metrics"]]
    columns = ("suite", "task", "check", "n", "mean", "errored")
    model = plain_table("run", ("field", "value"), [*top, *manifest["model"].items()])
    return Group(model, plain_table("metrics", columns, rows, ("n", "mean", "errored")))


def doctor_table(findings: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Show what is there and what is missing."""
    style = {"ok": "green", "missing": "yellow", "problem": "bold red", "info": ""}
    rows = [(Text(f["state"], style=style[f["state"]]), f["what"], f["detail"]) for f in findings]
    return plain_table("sfteval doctor", ("state", "what", "detail"), rows)


def checks_view(checks: Sequence[Mapping[str, Any]]) -> RenderableType:
    """List checks; a single one with its fields and examples."""
    if len(checks) != 1:
        return plain_table("checks", ("check", "what it asks"), [(c["name"], c["summary"]) for c in checks])
    check = checks[0]
    fields = [(f["name"], f["type"], f["default"], f["description"]) for f in check["fields"]]
    examples = [(kind, check["examples"][kind]) for kind in check["examples"]]
    return Group(
        Text(f"{check['name']}: {check['summary']}", style="bold"),
        plain_table("fields", ("field", "type", "default", "meaning"), fields),
        plain_table("examples", ("outcome", "example"), examples),
    )


def roles_table(reckless: Sequence[Mapping[str, Any]], careful: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Show base, previous (the careful release) and candidate (the reckless one) per metric."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for role, gates in (("previous", careful), ("candidate", reckless)):
        for row in gates:
            if row["family"]:
                continue
            cells = rows.setdefault((row["suite"], row["task"], row["check"]), {})
            cells[role] = row["candidate"] if row["candidate"] is not None else cells.get(role)
            if row["against"] == "base" and row["reference"] is not None:
                cells["base"] = row["reference"]
    columns = ("suite", "task", "check", "base", "previous (careful)", "candidate (reckless)")
    cells_of = [
        (*place, *(score(cells.get(r)) for r in ("base", "previous", "candidate"))) for place, cells in rows.items()
    ]
    return plain_table("base / previous / candidate", columns, cells_of, columns[3:])
