"""lm-eval's own output (`results_*.json` with `samples_*.jsonl`) as samples, and back.

Comes in: a folder that lm-eval 0.4 wrote with `--output_path` and `--log_samples`, by any model. Goes out: samples with
the keys that a suite of the same tasks would give them, so that they pair with our own runs, and each metric's range,
direction and version. What lm-eval does not write is left empty, never invented: token counts, the prompt's token ids,
the weights' hash. Files that do not belong together are a fault: every mean must be the one that the results state.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, InputError
from sfteval.keys import content_key, pair_key
from sfteval.records import MetricInfo, RollingAsk, Sample, ScoreAsk, Status, TextAsk
from sfteval.tasks.asks import generation
from sfteval.tasks.draw import document_ids
from sfteval.tasks.metrics import SHARES, metric_name, value_of

if TYPE_CHECKING:
    from pathlib import Path

    from sfteval.records import Ask

SEED = 1234
"""Of a suite's lm_eval block when it names none: part of the keys of generated answers."""
TOLERANCE = 1e-6
BITS = "bits_per_byte"
LOGGED = "--output_path OUT --log_samples"


@dataclass(frozen=True, slots=True)
class LmEvalResults:
    """One model's results as lm-eval wrote them.

    Attributes:
        model: What lm-eval called the model.
        arguments: Its model arguments, as written.
        version: lm-eval's.
        date: Seconds since 1970 when it began.
        seconds: How long it took.
        samples: One per document and task.
        metrics: By "task/metric".
        warnings: Metrics that were left out.
    """

    model: str
    arguments: str
    version: str
    date: float
    seconds: float
    samples: tuple[Sample, ...]
    metrics: Mapping[str, MetricInfo]
    warnings: tuple[str, ...]


def find_results(path: Path) -> Path:
    """Return the newest `results_*.json` at or below a path.

    Raises:
        InputError: there is none.
    """
    found = [path] if path.is_file() else sorted(path.rglob("results_*.json"), key=lambda each: each.name)
    if not found:
        raise InputError(Fault(str(path), "no results_*.json", f"what lm-eval writes with {LOGGED}"))
    return found[-1]


def read_results(path: Path, suite_of: Mapping[str, str], suite: str) -> LmEvalResults:
    """Read lm-eval's results and their samples.

    Args:
        path: Folder or `results_*.json`.
        suite_of: Suite name by task, for tasks that are to pair with a run of that suite.
        suite: Suite name of all other tasks.

    Raises:
        InputError: files that are missing, damaged, cut short, or do not belong together.
    """
    place = find_results(path)
    document = _json(place)
    where = str(place)
    tasks = [task for task in _field(document, "results", dict, where) if task in document.get("configs", {})]
    if not tasks:
        raise InputError(Fault(where, "no task", "results of at least one task"))
    samples: list[Sample] = []
    metrics: dict[str, MetricInfo] = {}
    warnings: list[str] = []
    for task in tasks:
        rows = _rows(place, task, document)
        made, infos = _Task(task, suite_of.get(task, suite), document, where).read(rows, warnings)
        samples += made
        metrics |= {f"{task}/{name}": info for name, info in infos.items()}
    config = document.get("config") or {}
    return LmEvalResults(
        model=str(document.get("model_name") or config.get("model") or "unknown"),
        arguments=json.dumps(config.get("model_args"), sort_keys=True, default=str),
        version=str(document.get("lm_eval_version") or "unknown"),
        date=float(document.get("date") or 0.0),
        seconds=float(document.get("total_evaluation_time_seconds") or 0.0),
        samples=tuple(samples),
        metrics=metrics,
        warnings=tuple(warnings),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(Fault(str(path), f"a file that cannot be read ({error})", "lm-eval's JSON")) from None
    if not isinstance(document, dict):
        raise InputError(Fault(str(path), f"a {type(document).__name__}", "lm-eval's results, a JSON object"))
    return document


def _field(document: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    value = document.get(name)
    if not isinstance(value, kind):
        raise InputError(Fault(where, f"no {name!r}", f"lm-eval's field {name!r}"))
    return value


def _rows(results: Path, task: str, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the logged samples of a task, as many as the results say."""
    date = results.stem.removeprefix("results_")
    path = results.with_name(f"samples_{task}_{date}.jsonl")
    try:
        # Not splitlines: lm-eval leaves U+2028, U+0085 and their like in texts as they are.
        lines = path.read_text(encoding="utf-8").split("\n")
        rows = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        do = f"Run lm-eval with {LOGGED}."
        raise InputError(
            Fault(str(path), f"samples that cannot be read ({error})", "one JSON object a line", do)
        ) from None
    needed = ("doc_id", "doc", "arguments", "filter", "metrics", "filtered_resps")
    for number, row in enumerate(rows, start=1):
        missing = [name for name in needed if not isinstance(row, dict) or name not in row]
        if missing:
            raise InputError(Fault(str(path), f"no {missing[0]!r}", "a sample that lm-eval logged", line=number))
    count = (document.get("n-samples") or {}).get(task, {}).get("effective")
    per_filter = {name: sum(row["filter"] == name for row in rows) for name in {row["filter"] for row in rows}}
    if not rows or any(count is not None and found != count for found in per_filter.values()):
        found = f"{min(per_filter.values(), default=0)} samples of {task}"
        raise InputError(Fault(str(path), found, f"{count or 'at least one'}, as the results say"))
    return rows


class _Task:
    """One task's rows to samples."""

    def __init__(self, task: str, suite: str, document: Mapping[str, Any], where: str) -> None:
        self._task, self._suite, self._where = task, suite, where
        self._config = document["configs"][task]
        self._stated = document["results"][task]
        self._directions = (document.get("higher_is_better") or {}).get(task) or {}
        self._version = str((document.get("versions") or {}).get(task, "unknown"))

    def read(self, rows: list[dict[str, Any]], warnings: list[str]) -> tuple[list[Sample], dict[str, MetricInfo]]:
        filters = list(dict.fromkeys(row["filter"] for row in rows))
        first = sorted((row for row in rows if row["filter"] == filters[0]), key=lambda row: row["doc_id"])
        ids = document_ids([row["doc"] for row in first])
        scores: dict[int, dict[str, float]] = {row["doc_id"]: {} for row in first}
        names: dict[str, tuple[str, str]] = {}
        for row in rows:
            for metric in row["metrics"]:
                name = metric_name(
                    BITS if metric == "byte_perplexity" else metric, self._suffix(row["filter"], filters)
                )
                value = self._value(metric, row.get(metric), warnings)
                if value is not None and row["doc_id"] in scores:
                    scores[row["doc_id"]][name] = value
                    names[name] = (metric, row["filter"])
        kept = {name: source for name, source in names.items() if self._agrees(name, source, list(scores.values()))}
        infos = {name: self._info(metric) for name, (metric, _) in kept.items()}
        return [self._sample(row, ids[i], scores[row["doc_id"]], kept) for i, row in enumerate(first)], infos

    def _suffix(self, name: str, filters: Sequence[str]) -> str:
        return "" if name == filters[0] else name

    def _value(self, metric: str, value: Any, warnings: list[str]) -> float | None:
        """Return a score that is a mean over documents, or None with a warning."""
        aggregations = {m.get("metric"): m.get("aggregation") for m in self._config.get("metric_list") or []}
        if metric == "byte_perplexity" and isinstance(value, list):
            return value_of(BITS, tuple(value))
        if aggregations.get(metric, "mean") not in ("mean", "nanmean"):
            line = f"{self._task}: metric {metric} is left out: it is no mean of scores per document"
            if line not in warnings:
                warnings.append(line)
            return None
        return value_of(metric, float(value) if isinstance(value, bool) else value)

    def _agrees(self, name: str, source: tuple[str, str], scores: list[dict[str, float]]) -> bool:
        """Refuse samples whose mean is not what the results state."""
        metric, filtered = source
        stated = self._stated.get(f"{metric},{filtered}")
        values = [each[name] for each in scores if name in each]
        if metric != "byte_perplexity" and isinstance(stated, (int, float)) and math.isfinite(stated):
            mean = math.fsum(values) / len(values)
            if abs(mean - stated) > TOLERANCE * max(1.0, abs(stated)):
                found = f"samples of {self._task} whose mean {metric} is {mean:.6g}"
                raise InputError(Fault(self._where, found, f"{stated:.6g}, as the results state"))
        return True

    def _info(self, metric: str) -> MetricInfo:
        lower, upper = (0.0, 1.0) if metric in SHARES else (None, None)
        higher = metric != "byte_perplexity" and bool(self._directions.get(metric, True))
        return MetricInfo(lower, upper, higher, self._version)

    def _sample(self, row: dict[str, Any], sample_id: str, scores: dict[str, float], kept: Mapping[str, Any]) -> Sample:
        asks = tuple(self._asks(row))
        given = {name: value for name, value in scores.items() if name in kept}
        prompt = asks[0].text if isinstance(asks[0], RollingAsk) else asks[0].context  # type: ignore[union-attr]
        return Sample(
            key=pair_key(self._suite, self._task, sample_id, asks, 0),
            suite=self._suite,
            task=self._task,
            sample_id=sample_id,
            repeat=0,
            cluster=sample_id,
            status=Status.SCORED if given else Status.UNSCORED,
            scores=given,
            evidence={},
            prompt_key="",
            prompt=prompt,
            output=_shown(row, asks),
        )

    def _asks(self, row: dict[str, Any]) -> Iterator[Ask]:
        """Yield what was asked, as `load_tasks` makes it."""
        for given in row["arguments"].values():
            context, other = given.get("arg_0"), given.get("arg_1")
            if isinstance(other, str):
                yield ScoreAsk(str(context), other)
            elif isinstance(other, dict):
                yield TextAsk(str(context), generation(other, SEED))
            else:
                yield RollingAsk(str(context))


def _shown(row: dict[str, Any], asks: tuple[Ask, ...]) -> str:
    """Return the answer as people read it: the likeliest option, or the text."""
    responses = row["filtered_resps"]
    if isinstance(asks[0], ScoreAsk) and len(responses) == len(asks):
        values = [float(each[0]) for each in responses]
        best = max(range(len(values)), key=values.__getitem__)
        return asks[best].continuation.strip()  # type: ignore[union-attr]
    return str(responses[0]) if responses else ""


def results_key(results: LmEvalResults) -> str:
    """Return a hash that stands for the weights, which lm-eval does not hash: model, arguments and all answers."""
    answers = [(s.key, s.output, dict(s.scores)) for s in results.samples]
    return content_key("lm-eval", results.model, results.arguments, answers)
