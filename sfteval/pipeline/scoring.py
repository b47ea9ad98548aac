"""Answers that somebody else generated, judged as a model's own: `sfteval score`.

Comes in: suites and a JSONL file of `{id | prompt, response, finish_reason?}` rows. Goes out: a stored run, the
verdicts of all gates, and what was not answered. A sample without an answer is errored, never a wrong answer.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints

from sfteval.backends import RecordedAnswer, RecordedBackend, WeightsPool
from sfteval.errors import BaselineMissingError, Fault, InputError
from sfteval.keys import file_key, model_fingerprint
from sfteval.pipeline.commands import load_given, metric_rows
from sfteval.pipeline.evaluate import Evaluation, silent
from sfteval.pipeline.others import Others
from sfteval.pipeline.planning import plan_files
from sfteval.pipeline.release import Release
from sfteval.pipeline.settings import NO_PREVIOUS, Settings
from sfteval.records import ChatAsk, DialogueAsk, FinishReason, Response, Strict
from sfteval.report.rows import rows_code, verdict_row
from sfteval.requests import continued, requests_for
from sfteval.store import RunStore
from sfteval.yamlfile import read_jsonl, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.pipeline.evaluate import Watch
    from sfteval.pipeline.planning import Planned
    from sfteval.protocols import Backend
    from sfteval.records import Item, Run, SuiteFile

SHOWN = 5
_OTHER_GREEDY = (
    "another answer to a prompt that the suite asks at temperature 0",
    "the same answer in every repeat",
    "Set `generate: {temperature: …}` to what the answers were sampled with.",
)


class ResponseRow(Strict):
    """One answer: which sample it answers, by id or by its last message, and what was said. Other fields are free."""

    model_config = ConfigDict(extra="ignore")

    id: Annotated[str | int, Field(union_mode="left_to_right")] | None = None
    suite: str | None = None
    prompt: Annotated[str, StringConstraints(min_length=1)] | None = None
    response: str | Annotated[tuple[str, ...], Field(min_length=1)] | None
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    """The answers that found their samples, and the rows and samples that are left."""

    answers: dict[str, RecordedAnswer] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    unmatched: list[int] = field(default_factory=list)


def score_answers(
    suites: Sequence[Path],
    responses: Path,
    runs_dir: Path,
    *,
    base: str | None = None,
    previous: str = NO_PREVIOUS,
    watch: Watch = silent,
) -> dict[str, Any]:
    """Judge a file of answers by suites: store a run, judge every gate.

    Args:
        suites: Suite files or folders with samples of their own (no lm-eval blocks).
        responses: JSONL rows, plain or `.gz`.
        runs_dir: Folder of the run store.
        base: A file of the base's answers, or a run id. None: gates against base are not judged.
        previous: A run id, "promoted", "latest"; "none": gates against previous are not judged.
        watch: Is told how far the work is.

    Returns:
        `{"run_id", "path", "metrics", "gates", "unanswered", "unmatched", "exit_code"}`.

    Raises:
        InputError: a row that cannot be read, answers two samples, or no row that answers any sample.
    """
    files = load_given(suites)
    planned = plan_files(files)
    run, matched = _recorded_run(planned, responses, runs_dir, "candidate", watch)
    if base is not None and Path(base).is_file():
        base = _recorded_run(planned, Path(base), runs_dir, "base", watch)[0].manifest.run_id
    rows = _verdict_rows(files, run, runs_dir, base, previous)
    return {
        "run_id": run.manifest.run_id,
        "path": str(run.path),
        "metrics": metric_rows(run),
        "gates": rows,
        "unanswered": matched.unanswered,
        "unmatched": matched.unmatched,
        "exit_code": rows_code(rows),
    }


def _recorded_run(planned: Planned, responses: Path, runs_dir: Path, label: str, watch: Watch) -> tuple[Run, Matched]:
    rows = read_responses(responses)
    backend = RecordedBackend(f"answers:{responses.name}", file_key(responses))
    matched = match(planned, rows, backend, str(responses))
    backend.answers = matched.answers
    store = RunStore(runs_dir)
    with closing(WeightsPool()) as weights:
        others = Others(_no_base, store, weights)
        return Evaluation(planned, backend, store, watch, others).run(label=label).run, matched


def _no_base() -> Backend | str:
    msg = "a check asks base, and answers from a file have no base model to ask; evaluate the model itself"
    raise BaselineMissingError(msg)


def _verdict_rows(
    files: Sequence[SuiteFile], run: Run, runs_dir: Path, base: str | None, previous: str
) -> list[dict[str, Any]]:
    gates = [gate for file in files for gate in file.gates]
    absent = frozenset({"base"}) if base is None else frozenset()
    settings = Settings(run.manifest.run_id, base, previous, runs_dir, absent=absent)
    release = Release(files, gates, settings)
    verdicts = release.verdicts()
    return [verdict_row(verdicts[gate.node], release.runs, release.slices(gate)) for gate in gates]


def read_responses(path: Path) -> list[ResponseRow]:
    """Return the rows of a file of answers. Raises InputError with every fault."""
    faults: list[Fault] = []
    located = list(read_jsonl(path, str(path), faults, mend=True))
    rows = [validate(ResponseRow, each, (), faults) for each in located]
    for each, row in zip(located, rows, strict=True):
        if row is not None and row.id is None and row.prompt is None:
            faults.append(each.fault((), "neither id nor prompt", "a sample's id or its last message"))
    if not rows and not faults:
        faults.append(Fault(str(path), "no rows", '{"id": …, "response": …} rows, one a line'))
    if faults:
        raise InputError(faults)
    return [row for row in rows if row is not None]


def match(planned: Planned, rows: Sequence[ResponseRow], backend: RecordedBackend, where: str) -> Matched:
    """Give every row to its sample; several rows of one sample are its repeats, in the file's order.

    Raises:
        InputError: no row answers any sample, a row names several samples, a sample has more answers than repeats.
    """
    fingerprint = model_fingerprint(backend.identity)
    waiting: dict[tuple[str, str], list[Item]] = {}
    for item in planned.plan.items:
        waiting.setdefault((item.suite, item.sample_id), []).append(item)
    names = _names(waiting)
    found, faults = Matched(), []
    for number, row in enumerate(rows, start=1):
        places = [p for p in names.get(_name(row), ()) if row.suite in (None, p[0])]
        if not places:
            found.unmatched.append(number)
            continue
        items, problem = _next_items(places, waiting)
        if problem:
            faults.append(Fault(f"{where} row {number}", *problem))
        for item in items if row.response is not None else ():
            problem = _answer_with(item, row, found.answers, _Asking(planned, backend, fingerprint))
            if problem:
                faults.append(Fault(f"{where} row {number}", *problem))
    found.unanswered.extend(f"{suite}/{sample}" for (suite, sample), items in waiting.items() for _ in items)
    if not found.answers and not faults:
        expected = "the id or the last user message of a sample of these suites"
        faults.append(Fault(where, f"{len(rows)} rows and none that answers a sample", expected))
    if faults:
        raise InputError(faults)
    return found


def _names(waiting: dict[tuple[str, str], list[Item]]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return the samples by what a row may call them."""
    names: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for place, items in waiting.items():
        names.setdefault(("id", place[1]), []).append(place)
        ask = items[0].asks[0]
        if isinstance(ask, (ChatAsk, DialogueAsk)):
            names.setdefault(("prompt", ask.messages[-1].content.strip()), []).append(place)
    return names


def _name(row: ResponseRow) -> tuple[str, str]:
    return ("id", str(row.id)) if row.id is not None else ("prompt", (row.prompt or "").strip())


def _next_items(
    places: list[tuple[str, str]], waiting: dict[tuple[str, str], list[Item]]
) -> tuple[list[Item], tuple[str, str, str] | None]:
    """Return the items that a row answers, or (found, expected, do) when it cannot be said."""
    conversations = {waiting[place][0].asks[0] for place in places if waiting[place]}
    if len(conversations) > 1:
        shown = ", ".join("/".join(place) for place in places[:SHOWN])
        problem = f"a name that {len(places)} samples share ({shown})", "one sample", "Add `suite` or use `id`."
        return [], problem
    if not conversations:
        return [], (f"one answer more than {'/'.join(places[0])} has repeats", "one row per repeat", "")
    return [waiting[place].pop(0) for place in places if waiting[place]], None


@dataclass(frozen=True, slots=True)
class _Asking:
    """How the evaluation will ask for answers."""

    planned: Planned
    backend: RecordedBackend
    fingerprint: str


def _answer_with(
    item: Item, row: ResponseRow, answers: dict[str, RecordedAnswer], asking: _Asking
) -> tuple[str, str, str] | None:
    """Enter a row under the keys under which the evaluation will ask, or say (found, expected, do)."""
    texts = (row.response,) if isinstance(row.response, str) else row.response or ()
    ask = item.asks[0]
    needed = 1 + len(ask.turns) if isinstance(ask, DialogueAsk) else 1
    if len(texts) != needed:
        found = f"{len(texts)} answer{'s' * (len(texts) != 1)} to a conversation of {needed}"
        return found, f"a list of {needed} texts under `response`" if needed > 1 else "one text under `response`", ""
    for asked in requests_for(item, asking.backend.text, asking.fingerprint):
        one, known = asking.planned.graders[item.suite].watched(asked), dict[str, Response]()
        for number, text in enumerate(texts, start=1):
            request = one.requests[-1]
            answer = RecordedAnswer(text, row.finish_reason if number == needed else None)
            if answers.setdefault(request.key, answer) != answer:
                return _OTHER_GREEDY
            known[request.key] = Response(request.key, text=text)
            more = continued(one, item, asking.backend.text, asking.fingerprint, known)
            one = one if more is None else asking.planned.graders[item.suite].watched(more)
    return None
