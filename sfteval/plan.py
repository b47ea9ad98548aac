"""From suites to a plan: what must be judged, before any model is loaded.

Comes in: loaded suite files and, for lm-eval blocks, the items and metrics that `sfteval.tasks` made of them.
Goes out: one `Plan` with every gate (before any selection), every item, and warnings such as a gate that cannot do
what it asks. Mistakes that only show here (a metric that the task does not make) are `InputError`s with file and line.
"""

from __future__ import annotations

import difflib
from math import inf, sqrt
from typing import TYPE_CHECKING

from sfteval.errors import Fault, InputError
from sfteval.keys import content_key, pair_key
from sfteval.records import ChatAsk, DialogueAsk, Item, Message, MetricInfo, Plan, Suite
from sfteval.stats import Changes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sfteval.records import Gate, SampleRow, SuiteFile

Metrics = dict[str, MetricInfo]
ASSUMED_DISCORDANCE = 0.10
"""Share of pairs that differ between two models of which neither is worse, where nothing was measured."""


def chat_items(suite: Suite) -> tuple[Item, ...]:
    """Return one item per repeat (`n`) of each sample row of a suite whose samples are resolved."""
    rows = suite.samples
    if not isinstance(rows, tuple):
        msg = f"suite {suite.suite} has no resolved samples"
        raise TypeError(msg)
    return tuple(_chat_item(suite, row, repeat) for row in rows for repeat in range(suite.n))


def _chat_item(suite: Suite, row: SampleRow, repeat: int) -> Item:
    messages = row.messages
    if suite.system and messages[0].role != "system":
        messages = (Message(role="system", content=suite.system), *messages)
    turns = tuple(Message(role="user", content=turn) for turn in row.turns)
    ask = DialogueAsk(messages, turns, suite.generate) if turns else ChatAsk(messages, suite.generate)
    asks = (ask,)
    held = row.reference is not None or bool(row.vars)
    wanted = row.model_dump(mode="json", include={"reference", "vars"}) if held else None
    return Item(
        key=pair_key(suite.suite, "", row.id, asks, repeat, wanted),
        suite=suite.suite,
        task="",
        sample_id=row.id,
        asks=asks,
        repeat=repeat,
        cluster=row.cluster or row.id,
        reference=row.reference,
        vars=row.vars,
        tags=row.tags,
    )


def make_plan(
    files: Sequence[SuiteFile],
    items: Mapping[str, Sequence[Item]],
    metrics: Mapping[str, Metrics],
    warnings: Sequence[str] = (),
) -> Plan:
    """Join suites, families and items to one plan.

    Args:
        files: Suites and families in order.
        items: By suite name.
        metrics: By "suite/task"; "suite/" for suites with samples.
        warnings: What planning noticed so far.

    Raises:
        InputError: a suite without items, a gate on a metric that its task does not make.
    """
    suites = [file for file in files if isinstance(file.suite, Suite)]
    faults = _empty_suites(suites, items)
    gates = tuple(gate for file in files for gate in file.gates)
    faults += [fault for gate in gates if not gate.members for fault in _unknown_metric(gate, metrics)]
    if faults:
        raise InputError(faults)
    flat = tuple(item for file in suites for item in items[file.suite.suite])  # type: ignore[union-attr]
    fingerprint = content_key([file.fingerprint for file in suites], [item.key for item in flat])
    return Plan(tuple(files), gates, flat, fingerprint, tuple(warnings))


def power_warnings(
    gates: Sequence[Gate],
    items: Sequence[Item],
    metrics: Mapping[str, MetricInfo],
    measured: Mapping[str, Mapping[str, float]],
) -> tuple[str, ...]:
    """Return a warning for each single `no_regression` gate that an unchanged model would rarely pass.

    Samples of one prompt count as one cluster. Where nothing was measured, a tenth of the clusters are taken to differ
    by the whole range of the score. Graded scores and means of clusters differ in more of them, but by less: if no more
    than a tenth of the samples differ, their mean square is at most that.

    Args:
        gates: The plan's gates.
        items: The plan's items.
        metrics: By "suite/task/check".
        measured: By "suite/task/check", how the scores differ when the same model is asked again (`sfteval noise`).
    """
    clusters: dict[str, list[str]] = {}
    for item in items:
        clusters.setdefault(f"{item.suite}/{item.task}", []).append(item.cluster or item.sample_id)
    found = []
    for gate in gates:
        names, key = clusters.get(f"{gate.suite}/{gate.task}"), f"{gate.suite}/{gate.task}/{gate.check}"
        if gate.demand == "no_regression" and not gate.members and not gate.slice and names and gate.threshold > 0:
            size = len(names), len(set(names))
            said = _cannot(gate, size, _expected(size, metrics.get(key, MetricInfo()), measured.get(key)))
            found += [f"{gate.node}: this suite cannot do what its gate asks: {said}"] if said else []
    return tuple(found)


def _expected(
    size: tuple[int, int], metric: MetricInfo, known: Mapping[str, float] | None
) -> tuple[Changes, str] | None:
    """Return how two models of which neither is worse differ, and whether that was measured; None if nobody knows."""
    samples, clusters = size
    reach = inf if metric.lower is None or metric.upper is None else metric.upper - metric.lower
    if known is not None and "mean_square" in known:
        change, square = known["mean_change"], known["mean_square"]
    elif reach == inf:
        return None
    else:
        share = ASSUMED_DISCORDANCE if known is None else known["discordance"]
        change, square = share * reach, share * reach**2
    binary = samples == clusters and reach == 1.0 and change == square
    expected = Changes.expected(clusters, change, square, reach=reach, binary=binary)
    return expected, "assumed" if known is None else "measured"


def _cannot(gate: Gate, size: tuple[int, int], expected: tuple[Changes, str] | None) -> str:
    """Say why a suite cannot do what its gate asks; "" if it can, or if nobody knows."""
    if expected is None:
        return ""
    (samples, clusters), (changes, word) = size, expected
    needed = changes.units_to_pass(gate.threshold, alpha=gate.alpha)
    if needed is None or needed <= clusters:
        return ""
    whole = changes.size == changes.reach
    spread = f"{changes.share:.0%} discordant pairs" if whole else f"differences of {sqrt(changes.square):.2g} (rms)"
    have, what = f"{samples} samples", ""
    if clusters < samples:
        have, what = f"{samples} samples in {clusters} clusters", " clusters"
    return (
        f"with {have} an unchanged model rarely proves that it lost less than {gate.threshold:.3g}; {needed}{what} are "
        f"needed at {spread} ({word}). Add samples, widen the margin, or let a family carry the proof"
    )


def _empty_suites(files: Sequence[SuiteFile], items: Mapping[str, Sequence[Item]]) -> list[Fault]:
    return [
        Fault(str(file.path), "no samples", "at least one sample", line=1)
        for file in files
        if not items.get(file.suite.suite)  # type: ignore[union-attr]
    ]


def _unknown_metric(gate: Gate, metrics: Mapping[str, Metrics]) -> list[Fault]:
    known = metrics.get(f"{gate.suite}/{gate.task}", {})
    if gate.check in known:
        return []
    near = difflib.get_close_matches(gate.check, known, n=1)
    do = f"Did you mean {near[0]!r}?" if near else ""
    made = ", ".join(sorted(known)) or "none"
    where = f"task {gate.task!r}" if gate.task else f"suite {gate.suite!r}"
    return [Fault(gate.path, f"a gate on {gate.check!r}", f"a metric that {where} makes ({made})", do, line=gate.line)]
