"""What the data may do at most before a training refuses to start.

Comes in: an audit and the config's budget. Goes out: a line per budget, and the reasons of those that are broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sfteval.train.data_config import Budget

SHOWN = 5
Reason = tuple[str, str, list[str], int]
"""What was found, what to do, where, and in how many places."""


def budget_lines(audit: Mapping[str, Any], budget: Budget) -> list[dict[str, Any]]:
    """Return `{"name", "found", "rows", "allowed", "broken", "reason"}` per budget."""
    rows = max(audit["rows"], 1)
    counts = {
        "dropped": audit["faults"]["rows"],
        "cut": audit["cut"]["rows"],
        "overlap": audit["overlap"]["rows"],
        "duplicates": audit["duplicates"]["exact"],
        "near_duplicates": audit["duplicates"]["near"],
    }
    lines = []
    for name, count in counts.items():
        allowed = getattr(budget, name)
        broken = not count / rows <= allowed
        reason = _reason(name, audit, f"{allowed:.2%}" if allowed else "0") if broken else ""
        lines.append(_line(name, count / rows, count, allowed, reason))
    unread = len(audit["overlap"]["unchecked"])
    broken = budget.unchecked is not None and unread > budget.unchecked
    reason = _reason("unchecked", audit, str(budget.unchecked)) if broken else ""
    lines.append(_line("unchecked", unread, unread, budget.unchecked, reason))
    return lines


def _reason(name: str, audit: Mapping[str, Any], allowed: str) -> str:
    found, do, places, total = REASONS[name](audit)
    shown = [f"  {place}" for place in places[:SHOWN]]
    more = [f"  and {total - len(shown)} more"] if total > len(shown) else []
    return "\n".join([f"{found} (allowed: {allowed}). {do}:", *shown, *more])


def _line(name: str, found: float, rows: int, allowed: float | None, reason: str) -> dict[str, Any]:
    return {"name": name, "found": found, "rows": rows, "allowed": allowed, "broken": bool(reason), "reason": reason}


def warnings_of(audit: Mapping[str, Any]) -> list[str]:
    """Return what is probably a mistake and refuses nothing."""
    found = []
    duplicates = audit["duplicates"]
    for kind, words in (("exact", "repeat another one exactly"), ("near", "nearly repeat another one")):
        if duplicates[kind]:
            found.append(f"data: {duplicates[kind]} of {audit['rows']} rows {words}")
    for each in audit["overlap"]["unchecked"]:
        found.append(f"data: rows are not compared with {each['against']}: {each['reason']}")
    for token, tally in audit["control_tokens"].items():
        found.append(f"data: {tally['rows']} rows hold the control text {token!r}, first {tally['places'][0]}")
    if audit["rows_that_end_unanswered"]:
        found.append(f"data: {audit['rows_that_end_unanswered']} rows end with a turn that nobody answers")
    return found


def require(audit: Mapping[str, Any]) -> None:
    """Refuse the data if a budget is broken.

    Raises:
        AuditError: With every reason.
    """
    reasons = [line["reason"] for line in audit["budgets"] if line["broken"]]
    if reasons:
        raise AuditError("\n".join(reasons))


def _cut(audit: Mapping[str, Any]) -> Reason:
    cut = audit["cut"]
    found = (
        f"{cut['rows']} rows are longer than data.max_length {cut['limit']}; cutting them loses {cut['labels_lost']}"
    )
    return f"{found} labels", "Raise max_length, shorten them, or set data.budget.cut", cut["places"], cut["rows"]


def _overlap(audit: Mapping[str, Any]) -> Reason:
    overlap = audit["overlap"]
    places = [
        f"{each['where']} holds {each['against']}/{each['sample']} ({each['ngrams']} of {each['of']} word sequences)"
        for each in overlap["found"]
    ]
    found = f"{overlap['rows']} training rows hold samples that the model will be judged by"
    return found, "Remove the rows, or set data.budget.overlap", places, max(overlap["rows"], len(places))


def _dropped(audit: Mapping[str, Any]) -> Reason:
    faults = audit["faults"]
    found = f"{faults['rows']} rows are broken or cannot be masked for certain"
    return found, "Repair them, or set data.budget.dropped", faults["listed"], sum(faults["by_kind"].values())


def _exact(audit: Mapping[str, Any]) -> Reason:
    groups = [" = ".join(group) for group in audit["duplicates"]["exact_groups"]]
    found = f"{audit['duplicates']['exact']} rows repeat another one"
    return found, "Remove them, or raise data.budget.duplicates", groups, len(groups)


def _near(audit: Mapping[str, Any]) -> Reason:
    groups = [" ≈ ".join(group) for group in audit["duplicates"]["near_groups"]]
    found = f"{audit['duplicates']['near']} rows nearly repeat another one"
    return found, "Remove them, or raise data.budget.near_duplicates", groups, len(groups)


def _unchecked(audit: Mapping[str, Any]) -> Reason:
    unread = audit["overlap"]["unchecked"]
    places = [f"{each['against']}: {each['reason']}" for each in unread]
    do = "Give their data, name what to compare with in data.against, or set data.budget.unchecked"
    return f"{len(unread)} suites or tasks cannot be compared with the training rows", do, places, len(places)


REASONS: dict[str, Callable[[Mapping[str, Any]], Reason]] = {
    "cut": _cut,
    "overlap": _overlap,
    "dropped": _dropped,
    "duplicates": _exact,
    "near_duplicates": _near,
    "unchecked": _unchecked,
}
