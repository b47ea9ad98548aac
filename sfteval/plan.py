"""From suites to a plan: what must be judged, before any model is loaded.

Comes in: loaded suite files and, for lm-eval blocks, the items and metrics that `sfteval.tasks` made of them.
Goes out: one `Plan` with every gate (before any selection), every item, and warnings such as a gate that cannot do
what it asks. Mistakes that only show here (a metric that the task does not make) are `InputError`s with file and line.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from sfteval.errors import Fault, InputError
from sfteval.keys import content_key, pair_key
from sfteval.records import ChatAsk, DialogueAsk, Item, Message, MetricInfo, Plan, Suite
from sfteval.stats import samples_to_pass

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


def power_warnings(gates: Sequence[Gate], sizes: Mapping[str, int], measured: Mapping[str, float]) -> tuple[str, ...]:
    """Return a warning for each single `no_regression` gate that an unchanged model would rarely pass.

    Args:
        gates: The plan's gates.
        sizes: Samples by "suite/task".
        measured: Share of pairs by "suite/task/check" that differ when the same model is asked again (`sfteval noise`).
    """
    found = []
    for gate in gates:
        size = sizes.get(f"{gate.suite}/{gate.task}")
        if gate.demand != "no_regression" or gate.members or gate.slice or not size or not 0 < gate.threshold < 1:
            continue
        known = measured.get(f"{gate.suite}/{gate.task}/{gate.check}")
        share = ASSUMED_DISCORDANCE if known is None else max(known, 1 / size)
        needed = samples_to_pass(gate.threshold, discordance=share, alpha=gate.alpha)
        if needed > size:
            word = "assumed" if known is None else "measured"
            found.append(
                f"{gate.node}: this suite cannot do what its gate asks: with {size} samples an unchanged model rarely "
                f"proves that it lost less than {gate.threshold:.3g}; {needed} are needed at {share:.0%} discordant "
                f"pairs ({word}). Add samples, widen the margin, or let a family carry the proof"
            )
    return tuple(found)


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
